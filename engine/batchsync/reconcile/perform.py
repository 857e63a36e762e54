"""Perform one step of a batch and return the event that describes its result. The only module that calls a vendor."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core import decide, events, naming, steps
from batchsync.core.batch import VERDICTS_WITH_ROW_LOG, Allocation, Batch, Phase, Verb, Verdict
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import (
    AllocationExpiredError,
    AmbiguousOutcomeError,
    NotReadyError,
    PermanentError,
    RetryableError,
    VendorError,
)
from batchsync.ports import Downloads, Empty, Finished
from batchsync.reconcile import collected, grace
from batchsync.reconcile.accounts import same_account
from batchsync.reconcile.batch_files import opened_batch_file
from batchsync.reconcile.deliver import Delivery, deliver
from batchsync.reconcile.restored import doubt_of, doubt_of_accepted
from batchsync.reconcile.vendor_calls import with_emitted_calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.policy import Policy
    from batchsync.ports import RowVerdicts
    from batchsync.reconcile.services import JobContext, Services


_NO_URL = "the vendor returned no upload URL for the allocation"
_OLDER_STATE = "the state is an older copy, and this vendor cannot be asked whether the batch was sent from a newer one"


def perform(step: steps.Step, batch: Batch, context: JobContext, services: Services) -> events.Event | Delivery:
    """Perform the step for this batch.

    Vendor errors are not raised: each kind becomes the event that the core expects for it.

    Args:
        step: The decided step.
        batch: The batch that it applies to; its intent is journaled if the step needs one.
        context: The batch's job.
        services: Clock, data engine, sinks and paths to use.

    Returns:
        The event to journal, or the delivery to journal with its baseline and rejects.

    Raises:
        BatchsyncError: If a local file or a sink fails; nothing is known to have changed and the step can be repeated.
    """
    # Only steps that call the vendor can raise a VendorError, so each of them has a verb.
    try:
        event = _perform(step, batch, with_emitted_calls(context, services, batch), services)
    except (RetryableError, AmbiguousOutcomeError, PermanentError) as error:
        return _event_of(error, steps.VERB_OF[type(step)], batch, context, services)
    except collected.ResultsMissingError as error:
        now = services.clock.now()
        return events.ResultsLost(at=now, reason=str(error), retry_at=decide.retry_at(batch, context.policy, now))
    if isinstance(event, events.AllocationLost):
        return replace(event, retry_at=decide.retry_after_loss(batch, context.policy, event.at))
    return event


def _event_of(
    error: RetryableError | AmbiguousOutcomeError | PermanentError,
    verb: Verb,
    batch: Batch,
    context: JobContext,
    services: Services,
) -> events.Event:
    """Return the event for a call of this verb that failed."""
    now = services.clock.now()
    match error:
        case NotReadyError() if batch.phase is Phase.FINISHED:
            again = decide.retry_when_ready(batch, context.policy, now, error.retry_at)
            return events.StillRunning(at=now, vendor_status=batch.vendor_status, retry_at=again, reason=error.reason)
        case RetryableError():
            retry_at = decide.retry_at(batch, context.policy, now, error.retry_at)
            return events.NotApplied(at=now, verb=verb, reason=error.reason, retry_at=retry_at)
        case AmbiguousOutcomeError():
            retry_at = decide.retry_at(batch, context.policy, now, error.retry_at)
            return events.OutcomeUnknown(
                at=now, verb=verb, reason=error.reason, retry_at=retry_at, foreign=error.foreign
            )
        case AllocationExpiredError():
            # The URL cannot be used any more. Whether an earlier request used it, only the allocation's status shows.
            retry_at = decide.retry_at(batch, context.policy, now)
            return events.OutcomeUnknown(at=now, verb=verb, reason=error.reason, retry_at=retry_at, expired=True)
        case _:
            # A gateway may have refused after the work was done.
            ends_doubt = error.proven or _is_asked_about(verb, context.policy)
            return events.Parked(at=now, reason=error.reason, verb=verb if ends_doubt else None)


def _is_asked_about(verb: Verb, policy: Policy) -> bool:
    """Return whether the vendor is asked about a call before the call is repeated, also if it is not in doubt.

    An allocation is looked into before a file is uploaded or committed in it. Without one, or if the vendor reports
    nothing before the commit, only a pending intent keeps the call from being repeated.
    """
    match verb:
        case Verb.ALLOCATE:
            return False
        case Verb.UPLOAD:
            return policy.allocates
        case Verb.COMMIT:
            return not policy.unreported_before_commit
        case _:
            return True


def _perform(step: steps.Step, batch: Batch, context: JobContext, services: Services) -> events.Event | Delivery:  # noqa: C901, PLR0911, PLR0912 - a case for each step
    """Perform the step; vendor errors are raised unchanged."""
    clock, vendor = services.clock, context.vendor
    idempotency_key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
    match step:
        case steps.Allocate() | steps.Commit() if reason := _possibly_sent_before(step, batch, context, services):
            return events.Parked(at=clock.now(), reason=reason)
        case steps.Allocate():
            allocation = vendor.allocate(idempotency_key, batch.file, batch.target)
            return events.Allocated(at=clock.now(), allocation=allocation)
        case steps.FindAllocation():
            found = vendor.find(idempotency_key, batch.target)
            if found is None:
                return _not_applied_event(
                    Verb.ALLOCATE, "the vendor has no batch with this idempotency key", clock.now()
                )
            return _look_into(found, _NO_URL, context, services, verb=Verb.ALLOCATE)
        case steps.RenewAllocation():
            found = vendor.find(idempotency_key, batch.target)
            if found is None:
                raise AmbiguousOutcomeError(
                    "the vendor does not know an allocation that it granted: its contents are unknown"
                )
            return _look_into(found, _NO_URL, context, services)
        case steps.DropAllocation(reason=reason, verb=verb):
            dropped = batch.vendor_allocation
            # What waits for a commit with an id of its own cannot be asked about, and is not processed.
            if dropped is None or context.policy.unreported_before_commit:
                return events.AllocationLost(at=clock.now(), reason=reason, verb=verb)
            return _look_into(replace(dropped, url=None), reason, context, services, verb=verb)
        case steps.Upload():
            with opened_batch_file(batch, services.objects) as file:
                named = vendor.upload(_allocation(batch), file)
            if context.policy.commits:
                return events.Stored(at=clock.now())
            return events.Uploaded(at=clock.now(), allocation=named)
        case steps.FindFile():
            return _find_file(batch, context, services)
        case steps.Commit():
            return _commit(batch, context, services)
        case steps.FindCommit():
            if is_empty(_allocation(batch), context):
                return _not_applied_event(Verb.COMMIT, "the vendor has not begun to process the file", clock.now())
            return events.Committed(at=clock.now())
        case steps.Poll():
            return _poll(batch, context, services)
        case steps.Collect():
            return collect(batch, context, services)
        case steps.Deliver():
            # Collected before the state was lost: what the target holds may have changed since.
            if doubt := doubt_of_accepted(batch, context, services):
                return events.ResultsLost(at=clock.now(), reason=doubt, retry_at=clock.now())
            return deliver(batch, context, services)
        case steps.Park(reason=reason):
            return events.Parked(at=clock.now(), reason=reason)
        case _:
            message = f"{type(step).__name__} cannot be performed"
            raise AssertionError(message)


def is_empty(allocation: Allocation, context: JobContext) -> bool:
    """Return whether the vendor reports the allocation as empty. Any other status means that it processes the file.

    To a vendor that waits for a commit, an allocation is empty until then.

    Raises:
        AmbiguousOutcomeError: If the vendor does not know the allocation, which proves nothing about the file.
    """
    match context.vendor.poll(allocation):
        case Empty():
            return True
        case Finished(verdict=Verdict.LOST, vendor_status=status):
            raise AmbiguousOutcomeError(
                f"the vendor does not know allocation {allocation.id}, which it granted ({status})"
            )
        case _:
            return False


def _look_into(
    allocation: Allocation, reason: str, context: JobContext, services: Services, *, verb: Verb | None = None
) -> events.Allocated | events.AllocationLost | events.Uploaded:
    """Query the status of an allocation that this process did not use, and return the event for it.

    Args:
        allocation: The allocation; without its URL it cannot be used.
        reason: Reason to abandon it if it is empty and has no URL.
        context: The job, whose vendor is queried.
        services: The clock.
        verb: The pending intent that the response ends, if any.
    """
    empty = is_empty(allocation, context)
    now = services.clock.now()
    if not empty:
        return events.Uploaded(at=now, allocation=allocation)
    if allocation.url is None:
        return events.AllocationLost(at=now, reason=reason, verb=verb)
    return events.Allocated(at=now, allocation=allocation)


def _possibly_sent_before(
    step: steps.Allocate | steps.Commit, batch: Batch, context: JobContext, services: Services
) -> str:
    """Return why a batch may have been sent from a newer copy of the state; empty if the vendor would recognize it."""
    policy = context.policy
    askable = policy.recognizes_batches if isinstance(step, steps.Allocate) else not policy.unreported_before_commit
    return "" if askable or not services.store.is_of_older_state(batch.id) else _OLDER_STATE


def _find_file(batch: Batch, context: JobContext, services: Services) -> events.Event:
    """Query whether the upload in doubt arrived: unless the allocation is empty, the vendor took the file."""
    if not is_empty(_allocation(batch), context):
        return events.Uploaded(at=services.clock.now())
    return _not_applied_event(Verb.UPLOAD, "the allocation is empty: the upload did not arrive", services.clock.now())


def _commit(batch: Batch, context: JobContext, services: Services) -> events.Committed:
    """Commit the upload, unless it is committed already: the journal may have been restored from an older backup."""
    allocation, policy = _allocation(batch), context.policy
    if not (policy.commit_repeatable or policy.unreported_before_commit) and not is_empty(allocation, context):
        return events.Committed(at=services.clock.now())
    committed = context.vendor.commit(allocation, batch.file)
    return events.Committed(at=services.clock.now(), allocation=committed)


def _poll(batch: Batch, context: JobContext, services: Services) -> events.Event:
    status = context.vendor.poll(_allocation(batch))
    now, folder = services.clock.now(), services.paths.collected(batch)
    if not (isinstance(status, Finished) and status.verdict is Verdict.LOST):
        grace.end(grace.Premature.NOT_FOUND, folder)
    elif grace.is_premature(grace.Premature.NOT_FOUND, folder, context.policy, now):
        raise RetryableError(f"the vendor does not find the batch, which may not be visible ({status.vendor_status})")
    if isinstance(status, Finished):
        return events.VendorFinished(at=now, verdict=status.verdict, vendor_status=status.vendor_status)
    if isinstance(status, Empty) and decide.is_overdue_file(batch, context.policy, now):
        reason = f"the vendor has no file {context.policy.empty_max} after the upload ({status.vendor_status})"
        return events.FileMissing(at=now, reason=reason)
    retry_at = decide.next_poll(batch, context.policy, now)
    return events.StillRunning(at=now, vendor_status=status.vendor_status, retry_at=retry_at)


def collect(batch: Batch, context: JobContext | None, services: Services) -> events.Collected:
    """Download the vendor's row log, if the verdict has one, and count the row outcomes.

    Args:
        batch: A FINISHED batch.
        context: The batch's job; required only for verdicts with a row log.
        services: Data engine and paths to use.

    Returns:
        The event to journal; the row verdicts are on disk then.

    Raises:
        VendorError: If the vendor does not return the row log, or, within the grace period, one that covers all rows.
        BatchsyncError: If the results cannot be stored.
    """
    folder = collected.new_results_dir(services.paths.collected(batch))
    verdict = batch.verdict or Verdict.LOST
    downloads = Downloads(doubt=doubt_of(batch, context, services) if context is not None else "")
    try:
        if context is not None and verdict in VERDICTS_WITH_ROW_LOG and not downloads.doubt:
            with _asked_again(batch, context, services):
                downloads = context.vendor.collect(_allocation(batch), verdict, folder)
                verdicts = services.data.join_outcomes(batch, context.rules, downloads, folder)
            _check_complete(verdicts, downloads, batch, context, services)
            collected.write(folder, verdicts)
            return events.Collected(at=services.clock.now(), counts=verdicts.counts)
        if context is not None and verdict is Verdict.DECLARED:
            downloads = _rejections(batch, context, folder)
        verdicts = services.data.join_outcomes(batch, context.rules if context else None, downloads, folder)
        collected.write(folder, verdicts)
    except BaseException:
        # A retry uses a new folder.
        collected.remove(folder)
        raise
    return events.Collected(at=services.clock.now(), counts=verdicts.counts)


def _rejections(batch: Batch, context: JobContext, folder: Path) -> Downloads:
    """Return the row log of a batch that a person declared delivered, if its vendor has one: it may reject rows."""
    allocation = batch.vendor_allocation
    if allocation is None or not same_account(batch, context):
        return Downloads()
    # The person's word stands where the vendor does not answer.
    with suppress(VendorError):
        status = context.vendor.poll(allocation)
        if isinstance(status, Finished) and status.verdict in VERDICTS_WITH_ROW_LOG:
            return context.vendor.collect(allocation, status.verdict, folder)
    return Downloads()


def _check_complete(
    verdicts: RowVerdicts, downloads: Downloads, batch: Batch, context: JobContext, services: Services
) -> None:
    """Raise RetryableError during the grace period if the vendor's answers do not tell the outcome of every row."""
    problem = ""
    if unknown := verdicts.counts[RowOutcome.UNKNOWN]:
        problem = f"the vendor's answers leave {unknown:,} of {verdicts.counts.total:,} records unknown"
    elif downloads.errors_empty:
        problem = "the row log is empty"
    if problem and _is_premature(batch, context, services):
        raise RetryableError(f"{problem}; the vendor is asked again")


@contextmanager
def _asked_again(batch: Batch, context: JobContext, services: Services) -> Iterator[None]:
    """Let a refused download be repeated during the grace period: the document may not be there yet."""
    refusal = ""
    try:
        yield
    except PermanentError as error:
        if not _is_premature(batch, context, services):
            raise
        refusal = error.reason
    if refusal:
        raise RetryableError(refusal)


def _is_premature(batch: Batch, context: JobContext, services: Services) -> bool:
    folder, now = services.paths.collected(batch), services.clock.now()
    return grace.is_premature(grace.Premature.INCOMPLETE, folder, context.policy, now)


def _not_applied_event(verb: Verb, reason: str, now: datetime) -> events.NotApplied:
    return events.NotApplied(at=now, verb=verb, reason=reason)


def _allocation(batch: Batch) -> Allocation:
    allocation = batch.vendor_allocation
    if allocation is None:
        message = f"batch {batch.id} is {batch.phase.label} and has no allocation"
        raise AssertionError(message)
    return allocation
