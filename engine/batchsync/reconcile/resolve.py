"""Manual resolution of unknown outcomes: the target holds the rows, or they are sent again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from batchsync.core.accounting import unresolved
from batchsync.core.batch import Batch, Phase
from batchsync.core.events import Parked, Resolved
from batchsync.core.lifecycle import needs_vendor, possibly_delivered
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import UnavailableError, UsageError
from batchsync.reconcile.accounts import same_account, undeclared_error
from batchsync.reconcile.close import close
from batchsync.reconcile.collect_again import collect_again
from batchsync.reconcile.deliver import baseline_of, erasing_ops

if TYPE_CHECKING:
    from batchsync.reconcile.services import JobContext, Services

_UNREACHABLE = "the vendor cannot be queried: the account of its job changed, or its job is not in the jobs file"


def resolve(batch: Batch, context: JobContext | None, services: Services, *, delivered: bool, reason: str) -> Batch:
    """Record the outcome of the unknown rows of a batch. The caller holds the job's lease.

    A batch that needs attention proceeds: the loop counts its rows. So does a batch whose vendor can no longer be
    queried because the account of its job changed or its job is no longer in jobs.yaml. For a delivered batch, its
    counts and the baseline are updated in one transaction. Before rows count as delivered, the vendor is asked once
    more: rows that it rejected stay rejected.

    Args:
        batch: The batch.
        context: The batch's job; None if it is no longer in jobs.yaml, in which case the batch is closed at once.
        services: Where the resolution is journaled.
        delivered: Whether the target holds the rows; otherwise the next run sends them again.
        reason: Reason for the decision, kept in the journal.

    Returns:
        The batch after the resolution.

    Raises:
        UsageError: If the batch has no unknown outcome, or is a lookup that was to be resolved as delivered.
        StateError: If the state folder is damaged.
    """
    needs_attention = batch.phase is Phase.NEEDS_ATTENTION and batch.counts is None
    unknown_rows = batch.phase is Phase.DELIVERED and batch.counts is not None and batch.counts[RowOutcome.UNKNOWN]
    if not (needs_attention or unknown_rows or _is_unreachable(batch, context)):
        nothing_unknown = _nothing_unknown(batch)
        raise nothing_unknown
    if delivered:
        _check_answers(batch, context)
    event = Resolved(at=services.clock.now(), delivered=delivered, reason=reason)
    if unknown_rows:
        if delivered and context is not None and same_account(batch, context):
            # What the vendor rejected is not held, whatever a person says; where it does not answer, the word stands.
            with suppress(UnavailableError):
                batch = collect_again(batch, context, services)
        if delivered:
            services.store.begin_erasure(batch, erasing_ops(context))
        return _resolve_rows(batch, event, services) if unresolved(batch) else batch
    if not needs_attention:
        batch = services.store.record(batch, Parked(at=event.at, reason=_UNREACHABLE))
    resolved = services.store.record(batch, event)
    return resolved if context else close(resolved, services)


def _resolve_rows(batch: Batch, event: Resolved, services: Services) -> Batch:
    """Move the unknown rows of a delivered batch, in the baseline of the account that it was sent to.

    The baseline is that of a renamed job, if one took it over. The caller holds its lease, too.
    """
    baseline = baseline_of(services.store.baseline_owner(batch.id), batch.account_id, services.store)
    resolved = services.data.resolve(baseline, services.store.unknown_keys(batch.id), delivered=event.delivered)
    return services.store.resolve(batch, event, baseline=resolved)


def _is_unreachable(batch: Batch, context: JobContext | None) -> bool:
    """Return whether the vendor may have the batch and cannot be queried about it."""
    reachable = context is not None and same_account(batch, context)
    return (
        not reachable and batch.phase is not Phase.NEEDS_ATTENTION and possibly_delivered(batch) and needs_vendor(batch)
    )


def _check_answers(batch: Batch, context: JobContext | None) -> None:
    """Raise UsageError if the batch is a lookup, or may be, and thus cannot be resolved as delivered."""
    if context is None:
        raise undeclared_error(batch, "it may be a lookup, and cannot be resolved as delivered")
    if context.job.results is not None:
        resume_hint = f"`batchsync resume {batch.job}` downloads available answers, " if batch.counts is None else ""
        raise UsageError(
            f"batch {batch.id} is a lookup: it cannot be resolved as delivered without its answers",
            hint=f"{resume_hint}`batchsync resolve {batch.id} --resend` requests them again",
        )


def _nothing_unknown(batch: Batch) -> UsageError:
    hint = "`batchsync status` lists batches that need attention"
    if batch.phase is not Phase.NEEDS_ATTENTION and not possibly_delivered(batch):
        hint = f"nothing was sent: `batchsync cancel {batch.id}` cancels it"
    return UsageError(f"batch {batch.id} has no unknown outcome: {batch.phase.label}", hint=hint)
