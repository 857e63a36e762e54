"""The law of a batch: which events may happen in which phase, and what is true after each.

It does not know what should happen next (that is `decide`), nor who asks.

1. Everything that can change a phase stands in this file: the table below, and `evolve`, which reads it.
2. The table is the whole truth. An event that has no row for a phase is impossible there: `evolve` raises
   `ImpossibleEventError` and nothing has changed. The diagram in the docs is generated from the table.
3. Doubt is not a phase. "We announced a verb and do not know whether it happened" is a second, orthogonal fact,
   and only an event about that very verb ends it: a refused *question* says nothing about the act in question.
4. A slot is lost only when the vendor says that it is empty. Found with a file in it, it is the batch's, whatever this
   journal knew of it: a journal that was restored from a backup knows less than the vendor.
5. Nothing enters COLLECTED unless the books balance, and nothing is delivered from elsewhere. The only way back is that
   the collected answers were lost from our own disk: the vendor still has them, and its verdict stands.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Books, Phase, Slot, Verb, Verdict
from lading.core.events import (
    Allocated,
    Announced,
    AnswersLost,
    Collected,
    Delivered,
    DidNotHappen,
    Event,
    GaveUp,
    Reopened,
    Resolved,
    Settled,
    SlotLost,
    StillRunning,
    Unanswered,
    Uploaded,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: phase -> event -> the phase that is true afterwards. `None` stands for "where it was before it got stuck".
TRANSITIONS: Mapping[Phase, Mapping[type[Event], Phase | None]] = {
    Phase.PREPARED: {
        Announced: Phase.PREPARED,
        Allocated: Phase.ALLOCATED,
        Uploaded: Phase.SUBMITTED,
        DidNotHappen: Phase.PREPARED,
        Unanswered: Phase.PREPARED,
        SlotLost: Phase.PREPARED,
        Withdrawn: Phase.SETTLED,
        GaveUp: Phase.STUCK,
    },
    Phase.ALLOCATED: {
        Announced: Phase.ALLOCATED,
        Allocated: Phase.ALLOCATED,
        Uploaded: Phase.SUBMITTED,
        DidNotHappen: Phase.ALLOCATED,
        Unanswered: Phase.ALLOCATED,
        SlotLost: Phase.PREPARED,
        Withdrawn: Phase.SETTLED,
        GaveUp: Phase.STUCK,
    },
    Phase.SUBMITTED: {
        StillRunning: Phase.SUBMITTED,
        Settled: Phase.SETTLED,
        DidNotHappen: Phase.SUBMITTED,
        Unanswered: Phase.SUBMITTED,
        GaveUp: Phase.STUCK,
    },
    Phase.SETTLED: {
        Collected: Phase.COLLECTED,
        DidNotHappen: Phase.SETTLED,
        Unanswered: Phase.SETTLED,
        GaveUp: Phase.STUCK,
    },
    Phase.COLLECTED: {
        Delivered: Phase.DELIVERED,
        AnswersLost: Phase.SETTLED,
        DidNotHappen: Phase.COLLECTED,
        GaveUp: Phase.STUCK,
    },
    Phase.STUCK: {Reopened: None, Resolved: Phase.SETTLED},
    Phase.DELIVERED: {Resolved: Phase.DELIVERED},
}


class ImpossibleEventError(Exception):
    """This event cannot happen to a batch in this phase. Nothing was changed."""

    def __init__(self, batch: Batch, event: Event) -> None:
        """Say which event met which phase."""
        doubt = f" in doubt about {batch.doubt}" if batch.doubt else ""
        super().__init__(f"batch {batch.id} is {batch.phase}{doubt}: {type(event).__name__} cannot happen to it")


def evolve(batch: Batch, event: Event) -> Batch:
    """Return what is true of the batch after the event.

    Raises:
        ImpossibleEventError: when the table has no such arrow, or the event contradicts the batch's doubt or books.
    """
    arrows = TRANSITIONS[batch.phase]
    if type(event) not in arrows or not _is_possible(batch, event):
        raise ImpossibleEventError(batch, event)
    return replace(_change(batch, event), phase=arrows[type(event)] or batch.stuck_from or Phase.PREPARED)


def _is_possible(batch: Batch, event: Event) -> bool:  # noqa: PLR0911 - one arm for each event that may contradict
    """Whether an event that the table allows also agrees with the doubt, the verdict and the number of rows."""
    match event:
        case Announced(verb=verb):
            right = {Phase.PREPARED: Verb.ALLOCATE, Phase.ALLOCATED: Verb.UPLOAD}
            return batch.doubt is None and right[batch.phase] is verb
        case Uploaded(slot=None):
            return batch.phase is not Phase.PREPARED
        case Collected(books=books):
            return books.total == batch.file.rows and min(books.accepted, books.rejected, books.unknown) >= 0
        case Withdrawn():
            return batch.doubt is not Verb.UPLOAD
        case SlotLost(verb=verb):
            # While a doubt stands the file may be there: only an answer about that very verb may end the slot.
            return batch.doubt in (None, verb)
        case Resolved():
            return batch.books is None if batch.phase is Phase.STUCK else bool(batch.books and batch.books.unknown)
        case _:
            return True


def _change(batch: Batch, event: Event) -> Batch:  # noqa: C901, PLR0911, PLR0912 - one arm for each event, each a single value
    """Everything but the phase."""
    match event:
        case Announced(verb=verb, at=at):
            return replace(batch, doubt=verb, doubt_since=at)
        case Allocated(slot=slot):
            # Being told of the slot again answers no question about the upload: that doubt stays.
            # Failures count on over lost slots, or an upload that always fails would take slot after slot for days.
            calm = _calm(batch, slot=slot, settles=Verb.ALLOCATE)
            return replace(calm, failures=batch.failures if batch.lost else 0)
        case Uploaded(at=at, slot=slot):
            there = _calm(batch, slot=_bare(slot or batch.slot), settles=batch.doubt)
            return replace(there, submitted_at=at, polls=0)
        case StillRunning(word=word, look_again_at=when):
            return replace(_calm(batch, slot=batch.slot), word=word, polls=batch.polls + 1, not_before=when)
        case Settled(verdict=verdict, word=word):
            return replace(_calm(batch, slot=batch.slot), verdict=verdict, word=word)
        case Collected(books=books):
            return replace(_calm(batch, slot=batch.slot), books=books)
        case AnswersLost(reason=reason, look_again_at=when):
            return replace(batch, books=None, failures=batch.failures + 1, not_before=when, reason=reason)
        case Delivered():
            return _calm(batch, slot=batch.slot)
        case DidNotHappen(verb=verb, reason=reason, look_again_at=when):
            answered = when is None and batch.doubt is verb
            failures = batch.failures + (not answered)
            return replace(_sure(batch, verb), failures=failures, not_before=when, reason=reason)
        case Unanswered(at=at, reason=reason, look_again_at=when, expired=expired):
            slot = replace(batch.slot, url=None, until=at) if expired and batch.slot else batch.slot
            return replace(batch, slot=slot, failures=batch.failures + 1, not_before=when, reason=reason)
        case SlotLost(reason=reason, verb=verb):
            lost = _calm(batch, slot=None, settles=verb)
            attempt, failures = batch.attempt + 1, batch.failures
            return replace(lost, attempt=attempt, lost=batch.lost + 1, failures=failures, reason=reason)
        case Withdrawn(reason=reason):
            gone = _calm(batch, slot=None, settles=batch.doubt)
            return replace(gone, verdict=Verdict.CANCELLED, reason=reason)
        case GaveUp(reason=reason, verb=verb):
            return replace(_sure(batch, verb), stuck_from=batch.phase, not_before=None, reason=reason)
        case Reopened(reason=reason):
            # Every count that leads to giving up starts anew, or the batch would be stuck again at once.
            return replace(batch, stuck_from=None, failures=0, lost=0, polls=0, not_before=None, reason=reason)
        case _:
            # Only Resolved is left, and mypy holds this line to it: a new event has no `delivered`.
            return replace(_resolved(batch, delivered=event.delivered), reason=event.reason)


def _resolved(batch: Batch, *, delivered: bool) -> Batch:
    """Return the batch after a person spoke: a stuck one gets its verdict, the unknown rows of a delivered one move."""
    if batch.books is None:
        verdict = Verdict.DECLARED if delivered else Verdict.RESENT
        calm = _calm(batch, slot=batch.slot, settles=batch.doubt)
        # It is the person's verdict and no word of the vendor, whose last one was about something else.
        return replace(calm, verdict=verdict, word="", stuck_from=None, lost=0)
    books, unknown = batch.books, batch.books.unknown
    moved = Books(
        accepted=books.accepted + (unknown if delivered else 0),
        rejected=books.rejected + (0 if delivered else unknown),
        unknown=0,
    )
    return replace(batch, books=moved)


def _calm(batch: Batch, *, slot: Slot | None, settles: Verb | None = None) -> Batch:
    """Return the batch after something went well: no failures, no waiting, and the doubt about `settles` ended."""
    return replace(_sure(batch, settles), slot=slot, failures=0, not_before=None, reason="")


def _sure(batch: Batch, verb: Verb | None) -> Batch:
    """Return the batch without its doubt, if the doubt was about this verb."""
    if verb is None or batch.doubt is not verb:
        return batch
    return replace(batch, doubt=None, doubt_since=None)


def _bare(slot: Slot | None) -> Slot | None:
    """Return the slot without its URL, which has served."""
    return replace(slot, url=None) if slot else None
