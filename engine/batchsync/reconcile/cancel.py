"""Cancel a batch: locally if its file was never sent, at the vendor otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core import naming
from batchsync.core.batch import Batch, Phase, Verb
from batchsync.core.events import Cancelled, Reopened
from batchsync.core.lifecycle import needs_vendor, possibly_delivered
from batchsync.core.policy import OnUnknownOutcome
from batchsync.errors import UnavailableError, UsageError, VendorError
from batchsync.reconcile.accounts import account_changed_error, manual_resolution_hint, same_account, undeclared_error
from batchsync.reconcile.close import close
from batchsync.reconcile.perform import is_empty
from batchsync.reconcile.vendor_calls import with_emitted_calls

if TYPE_CHECKING:
    from batchsync.reconcile.services import JobContext, Services

_REASON = "cancelled manually"


def cancel(batch: Batch, context: JobContext | None, services: Services, reason: str = _REASON) -> Batch:
    """Cancel the batch. The caller holds the job's lease.

    An allocation that exists or may exist is abandoned only if the vendor reports it as empty.

    Args:
        batch: An open batch.
        context: The batch's job; None if it is no longer in jobs.yaml, in which case a batch that can be cancelled
            locally is closed at once.
        services: Where the cancellation is journaled.
        reason: Why it is cancelled, for the journal.

    Returns:
        The batch after the cancellation.

    Raises:
        UsageError: If the batch can no longer be cancelled, or only by a vendor whose job is not in jobs.yaml.
        UnavailableError: If the vendor cannot be reached, refuses to cancel the batch, or the job's account changed.
        StateError: If a batch of an undeclared job cannot be closed because its collected results are damaged.
    """
    context = with_emitted_calls(context, services, batch) if context else None
    if (context and same_account(batch, context) and _has_empty_allocation(batch, context)) or not possibly_delivered(
        batch
    ):
        batch = services.store.record(_reopened(batch, services), Cancelled(at=services.clock.now(), reason=reason))
        return batch if context else close(batch, services)
    if context is None:
        if needs_vendor(batch):
            undeclared = undeclared_error(batch, "only the vendor can cancel it")
            raise undeclared
        return close(batch, services)
    if needs_vendor(batch) and not same_account(batch, context):
        account_changed = account_changed_error(batch, context)
        raise account_changed
    allocation = batch.vendor_allocation
    if (batch.parked_from or batch.phase) is not Phase.SUBMITTED or allocation is None:
        too_late = _too_late(batch, context)
        raise too_late
    try:
        context.vendor.cancel(allocation)
    except VendorError as failure:
        raise UnavailableError(
            f"the vendor did not cancel batch {batch.id}: {failure.reason}", hint=_next_command(batch, context)
        ) from None
    return _reopened(batch, services)


def _has_empty_allocation(batch: Batch, context: JobContext) -> bool:
    """Return whether the vendor reports that the batch's allocation is empty or does not exist.

    If the journal has no call of the batch at all, a vendor that does not answer does not prevent the cancellation:
    the result is False.

    Raises:
        UsageError: If the vendor has the file.
        UnavailableError: If the vendor does not answer.
    """
    phase = batch.parked_from or batch.phase
    by_key = phase is Phase.PREPARED and context.policy.on_unknown_allocation is OnUnknownOutcome.ASK
    has_allocation = phase in (Phase.ALLOCATED, Phase.UPLOADED)
    if batch.pending_intent in (Verb.UPLOAD, Verb.COMMIT) or not (by_key or has_allocation):
        return False
    if has_allocation and (context.policy.unreported_before_commit or not context.policy.allocates):
        return True
    try:
        idempotency_key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
        allocation = context.vendor.find(idempotency_key, batch.target) if by_key else batch.vendor_allocation
        empty = allocation is None or is_empty(allocation, context)
    except VendorError as failure:
        if by_key and batch.pending_intent is None:
            return False
        raise UnavailableError(
            f"batch {batch.id} is not cancelled: its vendor does not report whether it has the file: {failure.reason}",
            hint=_next_command(batch, context),
        ) from None
    if empty:
        return True
    raise UsageError(
        f"too late to cancel batch {batch.id} here: {batch.phase.label}, and its vendor has the file",
        hint=f"`batchsync resume {batch.job}` continues it; then `batchsync cancel {batch.id}` asks its vendor",
        name="usage.too_late",
    )


def _too_late(batch: Batch, context: JobContext) -> UsageError:
    call = "a commit" if batch.pending_intent is Verb.COMMIT else "an upload"
    in_doubt = f" with {call} in doubt" if batch.pending_intent else ""
    return UsageError(
        f"too late to cancel batch {batch.id}: {batch.phase.label}{in_doubt}",
        hint=_next_command(batch, context),
        name="usage.too_late",
    )


def _next_command(batch: Batch, context: JobContext) -> str:
    """Return how the batch can still be ended. Only a batch that needs attention can be resolved manually."""
    follows = f"`batchsync resume {batch.job}` follows the batch to its end"
    if batch.phase is Phase.NEEDS_ATTENTION and batch.counts is None:
        return f"{follows}; if the vendor no longer reports on it: {manual_resolution_hint(batch, context)}"
    return follows


def _reopened(batch: Batch, services: Services) -> Batch:
    """Reopen a batch that needs attention, after its cancellation succeeded: a refused one changes nothing."""
    if batch.phase is not Phase.NEEDS_ATTENTION:
        return batch
    return services.store.record(batch, Reopened(at=services.clock.now(), reason=_REASON))
