"""State machine of a batch: which events are possible in which phase, and what a phase says about the vendor.

1. All rules about phases are in this file: the table `TRANSITIONS` with its conditions, which `evolve` applies, and the
   predicates below it. What else an event changes in a batch is in `effects`.
2. An event that is not in the table for a phase is impossible: `evolve` raises `ImpossibleEventError` and the batch is
   unchanged. The diagram in the docs is generated from the table.
3. A pending intent (a call in doubt) is independent of the phase. Only an event about the same verb ends it: a refused
   status query proves nothing about the call in doubt.
4. An allocation is lost only if the vendor reports it as empty. If it contains a file, that is the batch's file, even
   if this journal does not know of the upload: it may have been restored from an older backup.
5. Where a vendor wants a commit after the upload, it processes nothing before: the batch is UPLOADED until then.
6. An upload that counted as successful is in doubt again if the vendor reports the allocation as empty long after it.
7. A batch becomes COLLECTED only if its counts balance, and DELIVERED only from COLLECTED. The single way back is for
   collected results that were lost from disk: the vendor still has them, and its verdict remains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchsync.core.batch import VERDICTS_WITH_ROW_LOG, Batch, Phase, Verb
from batchsync.core.effects import apply_effect
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    Cancelled,
    Collected,
    CollectedAgain,
    Committed,
    Delivered,
    Event,
    FileMissing,
    IntentRecorded,
    NotApplied,
    OutcomeUnknown,
    Parked,
    Reopened,
    Resolved,
    ResultsLost,
    StillRunning,
    Stored,
    Uploaded,
    VendorFinished,
)
from batchsync.core.row_outcome import BATCH_OUTCOMES, RowOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Condition = Callable[[Batch, Any], bool]

#: Calls after which the vendor may process the batch.
_SENDING = (Verb.UPLOAD, Verb.COMMIT)
_UNKNOWN = RowOutcome.UNKNOWN


def _always(_batch: Batch, _event: Event) -> bool:
    return True


def _first_intent(verb: Verb) -> Condition:
    """Return the condition that no call is in doubt, and the intent is of this verb."""
    return lambda batch, event: batch.pending_intent is None and event.verb is verb


def _found(_batch: Batch, event: Uploaded) -> bool:
    """Without a journaled allocation the event names the one that contains the file."""
    return event.allocation is not None


def _not_sending(batch: Batch, _event: Event) -> bool:
    """While an upload or a commit is in doubt, the vendor may process the batch."""
    return batch.pending_intent not in _SENDING


def _about_the_intent(batch: Batch, event: AllocationLost) -> bool:
    """With a pending intent the file may be there: only a response about that verb may drop the allocation."""
    return batch.pending_intent in (None, event.verb)


def _balanced(batch: Batch, event: Collected) -> bool:
    counts = event.counts
    return counts.sum_of(BATCH_OUTCOMES) == counts.total == batch.file.rows and min(counts.values()) >= 0


def _uncounted(batch: Batch, _event: Resolved) -> bool:
    return batch.counts is None


def _has_unknown_rows(batch: Batch, _event: Resolved) -> bool:
    return bool(batch.counts and batch.counts[RowOutcome.UNKNOWN])


def _fewer_unknown(batch: Batch, event: CollectedAgain) -> bool:
    """Rows of unknown outcome become known; the outcome of no other row changes."""
    if batch.counts is None or event.counts.total != batch.file.rows:
        return False
    growing = all(event.counts[outcome] >= batch.counts[outcome] for outcome in BATCH_OUTCOMES if outcome != _UNKNOWN)
    return growing and 0 <= event.counts[_UNKNOWN] < batch.counts[_UNKNOWN]


@dataclass(frozen=True, slots=True)
class Transition:
    """Next phase after an event, and the condition under which the event is possible.

    `to` is None for the phase from which the batch was parked.
    """

    to: Phase | None
    when: Condition = _always


#: phase -> event -> transition
TRANSITIONS: Mapping[Phase, Mapping[type[Event], Transition]] = {
    Phase.PREPARED: {
        IntentRecorded: Transition(Phase.PREPARED, _first_intent(Verb.ALLOCATE)),
        Allocated: Transition(Phase.ALLOCATED),
        Uploaded: Transition(Phase.SUBMITTED, _found),
        NotApplied: Transition(Phase.PREPARED),
        OutcomeUnknown: Transition(Phase.PREPARED),
        AllocationLost: Transition(Phase.PREPARED, _about_the_intent),
        Cancelled: Transition(Phase.FINISHED, _not_sending),
        Parked: Transition(Phase.NEEDS_ATTENTION),
    },
    Phase.ALLOCATED: {
        IntentRecorded: Transition(Phase.ALLOCATED, _first_intent(Verb.UPLOAD)),
        Allocated: Transition(Phase.ALLOCATED),
        Stored: Transition(Phase.UPLOADED),
        Uploaded: Transition(Phase.SUBMITTED),
        NotApplied: Transition(Phase.ALLOCATED),
        OutcomeUnknown: Transition(Phase.ALLOCATED),
        AllocationLost: Transition(Phase.PREPARED, _about_the_intent),
        Cancelled: Transition(Phase.FINISHED, _not_sending),
        Parked: Transition(Phase.NEEDS_ATTENTION),
    },
    Phase.UPLOADED: {
        IntentRecorded: Transition(Phase.UPLOADED, _first_intent(Verb.COMMIT)),
        Committed: Transition(Phase.SUBMITTED),
        NotApplied: Transition(Phase.UPLOADED),
        OutcomeUnknown: Transition(Phase.UPLOADED),
        Cancelled: Transition(Phase.FINISHED, _not_sending),
        Parked: Transition(Phase.NEEDS_ATTENTION),
    },
    Phase.SUBMITTED: {
        StillRunning: Transition(Phase.SUBMITTED),
        VendorFinished: Transition(Phase.FINISHED),
        FileMissing: Transition(Phase.ALLOCATED),
        NotApplied: Transition(Phase.SUBMITTED),
        OutcomeUnknown: Transition(Phase.SUBMITTED),
        Parked: Transition(Phase.NEEDS_ATTENTION),
    },
    Phase.FINISHED: {
        StillRunning: Transition(Phase.FINISHED),
        Collected: Transition(Phase.COLLECTED, _balanced),
        NotApplied: Transition(Phase.FINISHED),
        OutcomeUnknown: Transition(Phase.FINISHED),
        Parked: Transition(Phase.NEEDS_ATTENTION),
    },
    Phase.COLLECTED: {
        Delivered: Transition(Phase.DELIVERED),
        ResultsLost: Transition(Phase.FINISHED),
        NotApplied: Transition(Phase.COLLECTED),
        Parked: Transition(Phase.NEEDS_ATTENTION),
    },
    Phase.NEEDS_ATTENTION: {
        Reopened: Transition(None),
        Resolved: Transition(Phase.FINISHED, _uncounted),
    },
    Phase.DELIVERED: {
        Resolved: Transition(Phase.DELIVERED, _has_unknown_rows),
        CollectedAgain: Transition(Phase.DELIVERED, _fewer_unknown),
    },
}
#: Phases in which a batch counts against the limit of batches in flight.
IN_FLIGHT = frozenset({Phase.ALLOCATED, Phase.UPLOADED, Phase.SUBMITTED})
#: Phases in which nothing was sent, unless an upload is in doubt or another process had the upload URL.
UNSENT = frozenset({Phase.PREPARED, Phase.ALLOCATED})
#: Phases in which the vendor processes nothing, unless an upload or a commit is in doubt.
UNPROCESSED = UNSENT | {Phase.UPLOADED}
#: Phases in which nothing more happens without a person.
AT_REST = frozenset({Phase.DELIVERED, Phase.NEEDS_ATTENTION})


class ImpossibleEventError(Exception):
    """The event is impossible for the batch in its phase. Nothing was changed."""

    def __init__(self, batch: Batch, event: Event) -> None:
        """Describe the event and the state of the batch."""
        in_doubt = f", {batch.pending_intent} in doubt" if batch.pending_intent else ""
        super().__init__(
            f"batch {batch.id} is {batch.phase.label}{in_doubt}: event {type(event).__name__} is impossible"
        )


def evolve(batch: Batch, event: Event) -> Batch:
    """Return the batch after the event.

    Raises:
        ImpossibleEventError: If the table has no such transition, or its condition is not met.
    """
    transition = TRANSITIONS[batch.phase].get(type(event))
    if transition is None or not transition.when(batch, event):
        raise ImpossibleEventError(batch, event)
    return replace(apply_effect(batch, event), phase=transition.to or batch.parked_from or Phase.PREPARED)


def occupies_slot(batch: Batch) -> bool:
    """Return whether the batch has an allocation or may have one."""
    return batch.phase in IN_FLIGHT or (batch.phase is Phase.PREPARED and batch.pending_intent is not None)


def needs_vendor(batch: Batch) -> bool:
    """Return whether the next steps of the batch call the vendor: not without a row log, nor to deliver results."""
    if batch.phase is Phase.FINISHED:
        return batch.verdict in VERDICTS_WITH_ROW_LOG
    return batch.phase not in (Phase.COLLECTED, Phase.DELIVERED)


def possibly_delivered(batch: Batch) -> bool:
    """Return whether the vendor may have the batch's file. While it cannot, the batch may be cancelled safely.

    An allocation without a known URL was granted to another process, which may have uploaded the file if this journal
    was restored from an older backup.
    """
    phase = batch.parked_from or batch.phase
    of_other_process = phase is Phase.ALLOCATED and batch.allocation is not None and batch.allocation.url is None
    return batch.pending_intent in _SENDING or phase not in UNSENT or of_other_process


def is_stopped_unprocessed(batch: Batch) -> bool:
    """Return whether the batch needs attention and the vendor, as far as the journal knows, processes nothing of it."""
    return batch.parked_from in UNPROCESSED and batch.pending_intent not in _SENDING


def has_unknown_outcome(batch: Batch) -> bool:
    """Return whether a batch that needs attention may have been processed: its rows are unknown, not deferred."""
    if batch.phase is not Phase.NEEDS_ATTENTION:
        return False
    return batch.parked_from not in UNPROCESSED or batch.pending_intent in _SENDING
