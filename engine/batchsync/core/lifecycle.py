"""State machine of a batch: which events are possible in which phase, and the batch after each of them.

1. All rules about phases are in this file: the table `TRANSITIONS`, and `evolve`, which applies it.
2. An event that is not in the table for a phase is impossible: `evolve` raises `ImpossibleEventError` and the batch is
   unchanged. The diagram in the docs is generated from the table.
3. A pending intent (a call in doubt) is independent of the phase. Only an event about the same verb ends it: a refused
   status query proves nothing about the call in doubt.
4. An allocation is lost only if the vendor reports it as empty. If it contains a file, that is the batch's file, even
   if this journal does not know of the upload: it may have been restored from an older backup.
5. A batch becomes COLLECTED only if its counts balance, and DELIVERED only from COLLECTED. The single way back is for
   collected results that were lost from disk: the vendor still has them, and its verdict remains.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.batch import Allocation, Batch, Phase, Verb, Verdict
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
from batchsync.core.row_outcome import BATCH_OUTCOMES, RowOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping

#: phase -> event -> next phase. `None` means the phase from which the batch was parked.
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
        ImpossibleEventError: If the table has no such transition, or the event contradicts the pending intent or the
            counts of the batch.
    """
    transitions = TRANSITIONS[batch.phase]
    if type(event) not in transitions or not _is_possible(batch, event):
        raise ImpossibleEventError(batch, event)
    return replace(_change(batch, event), phase=transitions[type(event)] or batch.parked_from or Phase.PREPARED)


def _is_possible(batch: Batch, event: Event) -> bool:  # noqa: PLR0911 - a case for each event that may contradict
    """Return whether an event of the table agrees with the pending intent, the verdict and the counts."""
    match event:
        case IntentRecorded(verb=verb):
            expected = {Phase.PREPARED: Verb.ALLOCATE, Phase.ALLOCATED: Verb.UPLOAD}
            return batch.pending_intent is None and expected[batch.phase] is verb
        case Uploaded(allocation=None):
            return batch.phase is not Phase.PREPARED
        case Collected(counts=counts):
            return counts.sum_of(BATCH_OUTCOMES) == counts.total == batch.file.rows and min(counts.values()) >= 0
        case Cancelled():
            return batch.pending_intent is not Verb.UPLOAD
        case AllocationLost(verb=verb):
            # With a pending intent the file may be there: only a response about that verb may drop the allocation.
            return batch.pending_intent in (None, verb)
        case Resolved():
            return (
                batch.counts is None
                if batch.phase is Phase.NEEDS_ATTENTION
                else bool(batch.counts and batch.counts[RowOutcome.UNKNOWN])
            )
        case _:
            return True


def _change(batch: Batch, event: Event) -> Batch:  # noqa: C901, PLR0911, PLR0912 - a case for each event
    """Return the batch after the event, except for its phase."""
    match event:
        case IntentRecorded(verb=verb, at=at):
            return replace(batch, pending_intent=verb, intent_at=at)
        case Allocated(allocation=allocation):
            # Receiving the allocation again does not resolve an upload in doubt. Failures are not reset after a lost
            # allocation, or an upload that always fails would use up allocations for days.
            after = _after_success(batch, allocation=allocation, resolves=Verb.ALLOCATE)
            return replace(after, failures=batch.failures if batch.lost_allocations else 0)
        case Uploaded(at=at, allocation=allocation):
            after = _after_success(
                batch, allocation=_without_url(allocation or batch.allocation), resolves=batch.pending_intent
            )
            return replace(after, submitted_at=at, polls=0)
        case StillRunning(vendor_status=vendor_status, retry_at=retry_at):
            return replace(
                _after_success(batch, allocation=batch.allocation),
                vendor_status=vendor_status,
                polls=batch.polls + 1,
                not_before=retry_at,
            )
        case VendorFinished(verdict=verdict, vendor_status=vendor_status):
            after = _after_success(batch, allocation=batch.allocation)
            return replace(after, verdict=verdict, vendor_status=vendor_status)
        case Collected(counts=counts):
            return replace(_after_success(batch, allocation=batch.allocation), counts=counts)
        case ResultsLost(reason=reason, retry_at=retry_at):
            return replace(batch, counts=None, failures=batch.failures + 1, not_before=retry_at, reason=reason)
        case Delivered():
            return _after_success(batch, allocation=batch.allocation)
        case NotApplied(verb=verb, reason=reason, retry_at=retry_at):
            answered = retry_at is None and batch.pending_intent is verb
            failures = batch.failures + (not answered)
            return replace(_without_intent(batch, verb), failures=failures, not_before=retry_at, reason=reason)
        case OutcomeUnknown(at=at, reason=reason, retry_at=retry_at, expired=expired):
            allocation = batch.allocation
            if expired and allocation:
                allocation = replace(allocation, url=None, expires_at=at)
            failures = batch.failures + 1
            return replace(batch, allocation=allocation, failures=failures, not_before=retry_at, reason=reason)
        case AllocationLost(reason=reason, verb=verb):
            after = _after_success(batch, allocation=None, resolves=verb)
            attempt, failures = batch.attempt + 1, batch.failures
            return replace(
                after, attempt=attempt, lost_allocations=batch.lost_allocations + 1, failures=failures, reason=reason
            )
        case Cancelled(reason=reason):
            after = _after_success(batch, allocation=None, resolves=batch.pending_intent)
            return replace(after, verdict=Verdict.CANCELLED, reason=reason)
        case Parked(reason=reason, verb=verb):
            return replace(_without_intent(batch, verb), parked_from=batch.phase, not_before=None, reason=reason)
        case Reopened(reason=reason):
            # Reset the counters that lead to parking, or the batch would be parked again at once.
            return replace(
                batch, parked_from=None, failures=0, lost_allocations=0, polls=0, not_before=None, reason=reason
            )
        case _:
            # Only Resolved remains, which mypy checks: other events have no `delivered`.
            return replace(_resolved(batch, delivered=event.delivered), reason=event.reason)


def _resolved(batch: Batch, *, delivered: bool) -> Batch:
    """Return the batch after manual resolution: with a verdict if it was parked, else without unknown rows."""
    if batch.counts is None:
        verdict = Verdict.DECLARED if delivered else Verdict.RESENT
        after = _after_success(batch, allocation=batch.allocation, resolves=batch.pending_intent)
        # The verdict is a person's; the last vendor status does not belong to it.
        return replace(after, verdict=verdict, vendor_status="", parked_from=None, lost_allocations=0)
    outcome = RowOutcome.ACCEPTED if delivered else RowOutcome.REJECTED
    return replace(batch, counts=batch.counts.moved(RowOutcome.UNKNOWN, outcome))


def _after_success(batch: Batch, *, allocation: Allocation | None, resolves: Verb | None = None) -> Batch:
    """Return the batch after a success: no failures, no waiting, and without a pending intent of `resolves`."""
    return replace(_without_intent(batch, resolves), allocation=allocation, failures=0, not_before=None, reason="")


def _without_intent(batch: Batch, verb: Verb | None) -> Batch:
    """Return the batch without its pending intent, if that is of this verb."""
    if verb is None or batch.pending_intent is not verb:
        return batch
    return replace(batch, pending_intent=None, intent_at=None)


def _without_url(allocation: Allocation | None) -> Allocation | None:
    """Return the allocation without its URL, which is not needed any more."""
    return replace(allocation, url=None) if allocation else None
