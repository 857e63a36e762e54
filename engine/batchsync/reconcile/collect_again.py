"""Ask the vendor again about rows of a delivered batch whose outcome is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.batch import VERDICTS_WITH_ROW_LOG, Batch, Phase, Verdict
from batchsync.core.events import CollectedAgain
from batchsync.core.naming import row_manifest_key
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.errors import UnavailableError, UsageError, VendorError
from batchsync.ports import Downloads, Finished
from batchsync.reconcile import collected
from batchsync.reconcile.accounts import account_changed_error, same_account
from batchsync.reconcile.deliver import baseline_of, erasing_ops
from batchsync.reconcile.restored import doubt_of
from batchsync.reconcile.sweep import sweep
from batchsync.reconcile.vendor_calls import with_emitted_calls

if TYPE_CHECKING:
    from batchsync.reconcile.services import JobContext, Services


def collect_again(batch: Batch, context: JobContext, services: Services) -> Batch:
    """Ask the vendor for the row log once more, and record what it now says.

    The caller holds the leases of the job and, if it was renamed, of the job that has its baseline now.

    Only rows of unknown outcome change: accepted rows move into the baseline, rejected rows are listed, and answers of
    a lookup are delivered.

    Args:
        batch: A delivered batch with rows of unknown outcome.
        context: The batch's job.
        services: Where the outcome is journaled.

    Returns:
        The batch afterwards; the same if the vendor still does not tell the outcome of any row.

    Raises:
        UsageError: If the batch has no rows of unknown outcome.
        UnavailableError: If the vendor cannot be asked, or has not finished.
        StateError: If the row manifest is missing or damaged.
    """
    if batch.phase is not Phase.DELIVERED or batch.counts is None or not batch.counts[RowOutcome.UNKNOWN]:
        refusal = _nothing_unknown(batch)
        raise refusal
    if not same_account(batch, context):
        changed = account_changed_error(batch, context)
        raise changed
    context = with_emitted_calls(context, services, batch)
    try:
        with services.shield():
            return _collect(batch, batch.counts, context, services)
    except VendorError as failure:
        reason = failure.reason
    finally:
        collected.remove(services.paths.collected(batch))
    raise UnavailableError(
        f"the vendor cannot be asked about batch {batch.id}: {reason}", hint=f"later, `batchsync collect {batch.id}`"
    )


def _collect(batch: Batch, counts: OutcomeCounts, context: JobContext, services: Services) -> Batch:
    status = _finished(batch, context)
    asked = replace(batch, verdict=status.verdict, vendor_status=status.vendor_status)
    folder = collected.new_results_dir(services.paths.collected(batch))
    downloads = Downloads(doubt=doubt_of(batch, context, services))
    allocation = batch.vendor_allocation
    if not downloads.doubt and allocation is not None and status.verdict in VERDICTS_WITH_ROW_LOG:
        downloads = context.vendor.collect(allocation, status.verdict, folder)
    keys = services.store.unknown_keys(batch.id)
    verdicts = services.data.join_outcomes(asked, context.rules, downloads, folder, keys)
    if not verdicts.counts.total:
        return batch
    if verdicts.answers is not None and context.job.results is not None:
        services.sinks.deliver(verdicts.answers, context.job.results, verdicts.key)
    services.store.begin_erasure(batch, erasing_ops(context))
    baseline = baseline_of(services.store.baseline_owner(batch.id), batch.account_id, services.store)
    after = services.store.resolve(
        batch,
        CollectedAgain(
            at=services.clock.now(),
            counts=counts + verdicts.counts + OutcomeCounts({RowOutcome.UNKNOWN: -verdicts.counts.total}),
            verdict=status.verdict,
            vendor_status=status.vendor_status,
        ),
        baseline=services.data.apply_verdicts(baseline, [verdicts.path], [row_manifest_key(batch.job, batch.file)]),
        known=services.data.keys_of(verdicts),
        rejects=services.data.rejects(verdicts),
    )
    sweep(batch.job, services)
    return after


def _finished(batch: Batch, context: JobContext) -> Finished:
    """Return the vendor's verdict: as it is known, or, of a lost batch, as the vendor now reports it."""
    if batch.verdict in VERDICTS_WITH_ROW_LOG and batch.verdict is not None:
        return Finished(batch.verdict, batch.vendor_status)
    allocation = batch.vendor_allocation
    if allocation is None:
        raise UnavailableError(f"batch {batch.id} has no allocation to ask its vendor about")
    status = context.vendor.poll(allocation)
    if isinstance(status, Finished) and status.verdict is not Verdict.LOST:
        return status
    raise UnavailableError(
        f"the vendor does not report on batch {batch.id}: {status.vendor_status}",
        hint=f"later, `batchsync collect {batch.id}`",
    )


def _nothing_unknown(batch: Batch) -> UsageError:
    hint = "`batchsync status` lists batches with unknown outcomes"
    if batch.phase is not Phase.DELIVERED:
        hint = f"`batchsync resume {batch.job}` follows it to its end"
    return UsageError(f"batch {batch.id} has no rows of unknown outcome: {batch.phase.label}", hint=hint)
