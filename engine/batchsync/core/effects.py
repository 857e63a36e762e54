"""What each event changes in a batch, apart from its phase. Whether the event is possible is decided by `lifecycle`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.batch import Allocation, Batch, Verb, Verdict
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    Cancelled,
    Collected,
    CollectedAgain,
    Committed,
    Delivered,
    FileMissing,
    IntentRecorded,
    NotApplied,
    OutcomeUnknown,
    Parked,
    Reopened,
    ResultsLost,
    StillRunning,
    Stored,
    Uploaded,
    VendorFinished,
)
from batchsync.core.row_outcome import RowOutcome

if TYPE_CHECKING:
    from batchsync.core.events import Event


def apply_effect(batch: Batch, event: Event) -> Batch:  # noqa: C901, PLR0911, PLR0912 - a case for each event
    """Return the batch after the event, except for its phase."""
    match event:
        case IntentRecorded(verb=verb, at=at):
            return replace(batch, pending_intent=verb, intent_at=at)
        case Allocated(allocation=allocation):
            # Receiving the allocation again does not resolve an upload in doubt. Failures are not reset, or an upload
            # that always fails would use up allocations without end.
            after = _after_success(batch, allocation=allocation, resolves=Verb.ALLOCATE)
            return replace(after, failures=batch.failures, foreign_answers=batch.foreign_answers)
        case Stored():
            return _after_success(batch, allocation=_without_url(batch.allocation), resolves=Verb.UPLOAD)
        case Uploaded(at=at, allocation=allocation) | Committed(at=at, allocation=allocation):
            after = _after_success(
                batch, allocation=_without_url(allocation or batch.allocation), resolves=batch.pending_intent
            )
            return replace(after, submitted_at=at, polls=0)
        case StillRunning(vendor_status=vendor_status, retry_at=retry_at, reason=reason):
            return replace(
                _after_success(batch, allocation=batch.allocation),
                vendor_status=vendor_status,
                polls=batch.polls + 1,
                not_before=retry_at,
                reason=reason,
            )
        case FileMissing(at=at, reason=reason):
            # Counted as a lost allocation, so that an upload that vanishes each time ends with a person.
            after = _after_success(batch, allocation=_without_url(batch.allocation))
            lost = batch.lost_allocations + 1
            after = replace(after, pending_intent=Verb.UPLOAD, intent_at=at, lost_allocations=lost)
            # The status belongs to an upload that vanished; heartbeats, which report it, are not stored as events.
            return replace(after, submitted_at=None, polls=0, vendor_status="", reason=reason)
        case VendorFinished(verdict=verdict, vendor_status=vendor_status):
            after = _after_success(batch, allocation=batch.allocation)
            return replace(after, verdict=verdict, vendor_status=vendor_status, polls=0)
        case Collected(counts=counts):
            return replace(_after_success(batch, allocation=batch.allocation), counts=counts)
        case CollectedAgain(counts=counts, verdict=verdict, vendor_status=vendor_status):
            return replace(batch, counts=counts, verdict=verdict, vendor_status=vendor_status)
        case ResultsLost(reason=reason, retry_at=retry_at):
            return replace(batch, counts=None, failures=batch.failures + 1, not_before=retry_at, reason=reason)
        case Delivered():
            return _after_success(batch, allocation=batch.allocation)
        case NotApplied(verb=verb, reason=reason, retry_at=retry_at):
            after = _without_intent(batch, verb)
            if retry_at is not None or batch.pending_intent is not verb:
                after = _after_failure(after)
            return replace(after, not_before=retry_at, reason=reason)
        case OutcomeUnknown(at=at, reason=reason, retry_at=retry_at, expired=expired, foreign=foreign):
            if expired:
                allocation = replace(batch.allocation.without_url, expires_at=at) if batch.allocation else None
                after = replace(batch, allocation=allocation, failures=batch.failures + 1)
            else:
                after = _after_failure(batch, foreign=foreign)
            return replace(after, not_before=retry_at, reason=reason)
        case AllocationLost(reason=reason, verb=verb, retry_at=retry_at):
            return replace(
                _without_intent(batch, verb),
                allocation=None,
                attempt=batch.attempt + 1,
                lost_allocations=batch.lost_allocations + 1,
                not_before=retry_at,
                reason=reason,
            )
        case Cancelled(reason=reason):
            after = _after_success(batch, allocation=None, resolves=batch.pending_intent)
            return replace(after, verdict=Verdict.CANCELLED, reason=reason)
        case Parked(reason=reason, verb=verb):
            return replace(_without_intent(batch, verb), parked_from=batch.phase, not_before=None, reason=reason)
        case Reopened(reason=reason):
            # Reset the counters that lead to parking, or the batch would be parked again at once.
            return replace(
                batch,
                parked_from=None,
                failures=0,
                foreign_answers=0,
                lost_allocations=0,
                polls=0,
                not_before=None,
                reason=reason,
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
    return replace(
        _without_intent(batch, resolves),
        allocation=allocation,
        failures=0,
        foreign_answers=0,
        not_before=None,
        reason="",
    )


def _after_failure(batch: Batch, *, foreign: bool = False) -> Batch:
    """Return the batch after a transient failure. It explains why allocations are lost, which then do not count."""
    return replace(
        batch,
        failures=batch.failures + 1,
        foreign_answers=batch.foreign_answers + 1 if foreign else 0,
        lost_allocations=0,
    )


def _without_intent(batch: Batch, verb: Verb | None) -> Batch:
    """Return the batch without its pending intent, if that is of this verb."""
    if verb is None or batch.pending_intent is not verb:
        return batch
    return replace(batch, pending_intent=None, intent_at=None)


def _without_url(allocation: Allocation | None) -> Allocation | None:
    """Return the allocation without its URL, which is not needed any more."""
    return allocation.without_url if allocation else None
