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

from batchsync.core.batch import Allocation, Batch, Phase, RowCounts, Verb, Verdict
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    Cancelled,
    Collected,
    Delivered,
    Event,
    IntentRecorded,
    NotApplied,
    OutcomeUnknown,
    Parked,
    Reopened,
    Resolved,
    ResultsLost,
    StillRunning,
    Uploaded,
    VendorFinished,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: phase -> event -> the phase that is true afterwards. `None` stands for "where it was before it got stuck".
TRANSITIONS: Mapping[Phase, Mapping[type[Event], Phase | None]] = {
    Phase.PREPARED: {
        IntentRecorded: Phase.PREPARED,
        Allocated: Phase.ALLOCATED,
        Uploaded: Phase.SUBMITTED,
        NotApplied: Phase.PREPARED,
        OutcomeUnknown: Phase.PREPARED,
        AllocationLost: Phase.PREPARED,
        Cancelled: Phase.FINISHED,
        Parked: Phase.NEEDS_ATTENTION,
    },
    Phase.ALLOCATED: {
        IntentRecorded: Phase.ALLOCATED,
        Allocated: Phase.ALLOCATED,
        Uploaded: Phase.SUBMITTED,
        NotApplied: Phase.ALLOCATED,
        OutcomeUnknown: Phase.ALLOCATED,
        AllocationLost: Phase.PREPARED,
        Cancelled: Phase.FINISHED,
        Parked: Phase.NEEDS_ATTENTION,
    },
    Phase.SUBMITTED: {
        StillRunning: Phase.SUBMITTED,
        VendorFinished: Phase.FINISHED,
        NotApplied: Phase.SUBMITTED,
        OutcomeUnknown: Phase.SUBMITTED,
        Parked: Phase.NEEDS_ATTENTION,
    },
    Phase.FINISHED: {
        Collected: Phase.COLLECTED,
        NotApplied: Phase.FINISHED,
        OutcomeUnknown: Phase.FINISHED,
        Parked: Phase.NEEDS_ATTENTION,
    },
    Phase.COLLECTED: {
        Delivered: Phase.DELIVERED,
        ResultsLost: Phase.FINISHED,
        NotApplied: Phase.COLLECTED,
        Parked: Phase.NEEDS_ATTENTION,
    },
    Phase.NEEDS_ATTENTION: {Reopened: None, Resolved: Phase.FINISHED},
    Phase.DELIVERED: {Resolved: Phase.DELIVERED},
}


class ImpossibleEventError(Exception):
    """This event cannot happen to a batch in this phase. Nothing was changed."""

    def __init__(self, batch: Batch, event: Event) -> None:
        """Say which event met which phase."""
        doubt = f" in doubt about {batch.pending_intent}" if batch.pending_intent else ""
        super().__init__(f"batch {batch.id} is {batch.phase}{doubt}: {type(event).__name__} cannot happen to it")


def evolve(batch: Batch, event: Event) -> Batch:
    """Return what is true of the batch after the event.

    Raises:
        ImpossibleEventError: when the table has no such arrow, or the event contradicts the batch's doubt or books.
    """
    arrows = TRANSITIONS[batch.phase]
    if type(event) not in arrows or not _is_possible(batch, event):
        raise ImpossibleEventError(batch, event)
    return replace(_change(batch, event), phase=arrows[type(event)] or batch.parked_from or Phase.PREPARED)


def _is_possible(batch: Batch, event: Event) -> bool:  # noqa: PLR0911 - one arm for each event that may contradict
    """Whether an event that the table allows also agrees with the doubt, the verdict and the number of rows."""
    match event:
        case IntentRecorded(verb=verb):
            right = {Phase.PREPARED: Verb.ALLOCATE, Phase.ALLOCATED: Verb.UPLOAD}
            return batch.pending_intent is None and right[batch.phase] is verb
        case Uploaded(allocation=None):
            return batch.phase is not Phase.PREPARED
        case Collected(counts=books):
            return books.total == batch.file.rows and min(books.accepted, books.rejected, books.unknown) >= 0
        case Cancelled():
            return batch.pending_intent is not Verb.UPLOAD
        case AllocationLost(verb=verb):
            # While a doubt stands the file may be there: only an answer about that very verb may end the slot.
            return batch.pending_intent in (None, verb)
        case Resolved():
            return (
                batch.counts is None
                if batch.phase is Phase.NEEDS_ATTENTION
                else bool(batch.counts and batch.counts.unknown)
            )
        case _:
            return True


def _change(batch: Batch, event: Event) -> Batch:  # noqa: C901, PLR0911, PLR0912 - one arm for each event, each a single value
    """Everything but the phase."""
    match event:
        case IntentRecorded(verb=verb, at=at):
            return replace(batch, pending_intent=verb, intent_at=at)
        case Allocated(allocation=slot):
            # Being told of the slot again answers no question about the upload: that doubt stays.
            # Failures count on over lost slots, or an upload that always fails would take slot after slot for days.
            calm = _after_success(batch, allocation=slot, settles=Verb.ALLOCATE)
            return replace(calm, failures=batch.failures if batch.lost_allocations else 0)
        case Uploaded(at=at, allocation=slot):
            there = _after_success(
                batch, allocation=_without_url(slot or batch.allocation), settles=batch.pending_intent
            )
            return replace(there, submitted_at=at, polls=0)
        case StillRunning(vendor_status=word, retry_at=when):
            return replace(
                _after_success(batch, allocation=batch.allocation),
                vendor_status=word,
                polls=batch.polls + 1,
                not_before=when,
            )
        case VendorFinished(verdict=verdict, vendor_status=word):
            return replace(_after_success(batch, allocation=batch.allocation), verdict=verdict, vendor_status=word)
        case Collected(counts=books):
            return replace(_after_success(batch, allocation=batch.allocation), counts=books)
        case ResultsLost(reason=reason, retry_at=when):
            return replace(batch, counts=None, failures=batch.failures + 1, not_before=when, reason=reason)
        case Delivered():
            return _after_success(batch, allocation=batch.allocation)
        case NotApplied(verb=verb, reason=reason, retry_at=when):
            answered = when is None and batch.pending_intent is verb
            failures = batch.failures + (not answered)
            return replace(_without_intent(batch, verb), failures=failures, not_before=when, reason=reason)
        case OutcomeUnknown(at=at, reason=reason, retry_at=when, expired=expired):
            slot = (
                replace(batch.allocation, url=None, expires_at=at) if expired and batch.allocation else batch.allocation
            )
            return replace(batch, allocation=slot, failures=batch.failures + 1, not_before=when, reason=reason)
        case AllocationLost(reason=reason, verb=verb):
            lost = _after_success(batch, allocation=None, settles=verb)
            attempt, failures = batch.attempt + 1, batch.failures
            return replace(
                lost, attempt=attempt, lost_allocations=batch.lost_allocations + 1, failures=failures, reason=reason
            )
        case Cancelled(reason=reason):
            gone = _after_success(batch, allocation=None, settles=batch.pending_intent)
            return replace(gone, verdict=Verdict.CANCELLED, reason=reason)
        case Parked(reason=reason, verb=verb):
            return replace(_without_intent(batch, verb), parked_from=batch.phase, not_before=None, reason=reason)
        case Reopened(reason=reason):
            # Every count that leads to giving up starts anew, or the batch would be stuck again at once.
            return replace(
                batch, parked_from=None, failures=0, lost_allocations=0, polls=0, not_before=None, reason=reason
            )
        case _:
            # Only Resolved is left, and mypy holds this line to it: a new event has no `delivered`.
            return replace(_resolved(batch, delivered=event.delivered), reason=event.reason)


def _resolved(batch: Batch, *, delivered: bool) -> Batch:
    """Return the batch after a person spoke: a stuck one gets its verdict, the unknown rows of a delivered one move."""
    if batch.counts is None:
        verdict = Verdict.DECLARED if delivered else Verdict.RESENT
        calm = _after_success(batch, allocation=batch.allocation, settles=batch.pending_intent)
        # It is the person's verdict and no word of the vendor, whose last one was about something else.
        return replace(calm, verdict=verdict, vendor_status="", parked_from=None, lost_allocations=0)
    books, unknown = batch.counts, batch.counts.unknown
    moved = RowCounts(
        accepted=books.accepted + (unknown if delivered else 0),
        rejected=books.rejected + (0 if delivered else unknown),
        unknown=0,
    )
    return replace(batch, counts=moved)


def _after_success(batch: Batch, *, allocation: Allocation | None, settles: Verb | None = None) -> Batch:
    """Return the batch after something went well: no failures, no waiting, and the doubt about `settles` ended."""
    return replace(_without_intent(batch, settles), allocation=allocation, failures=0, not_before=None, reason="")


def _without_intent(batch: Batch, verb: Verb | None) -> Batch:
    """Return the batch without its doubt, if the doubt was about this verb."""
    if verb is None or batch.pending_intent is not verb:
        return batch
    return replace(batch, pending_intent=None, intent_at=None)


def _without_url(slot: Allocation | None) -> Allocation | None:
    """Return the slot without its URL, which has served."""
    return replace(slot, url=None) if slot else None
