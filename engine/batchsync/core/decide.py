"""Decide the next step of a batch, and which batches may proceed within the vendor's limits. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core import backoff
from batchsync.core.batch import Batch, Phase, Verb
from batchsync.core.lifecycle import AT_REST, IN_FLIGHT, UNSENT, needs_vendor, possibly_delivered
from batchsync.core.policy import OnUnknownOutcome, Policy
from batchsync.core.steps import (
    Allocate,
    Collect,
    Commit,
    Deliver,
    DropAllocation,
    FindAllocation,
    FindCommit,
    FindFile,
    NoOp,
    Park,
    Poll,
    RenewAllocation,
    Step,
    Upload,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

#: An allocation with less time left counts as expired: the upload might not end in time.
ALLOCATION_RESERVE = timedelta(seconds=30)


def decide(batch: Batch, policy: Policy, now: datetime) -> Step:  # noqa: C901, PLR0911 - a sequence of early returns
    """Return the next step of the batch."""
    if batch.phase in AT_REST:
        return NoOp()
    if batch.failures > policy.failures_max:
        return Park(f"failed {batch.failures:,} times in a row, for {policy.failing_max} or more; last: {batch.reason}")
    if batch.foreign_answers > policy.foreign_answers_max:
        return Park(
            f"answered {batch.foreign_answers} times in a row by something else than the vendor; last: {batch.reason}"
        )
    if batch.lost_allocations >= policy.attempts_max:
        return Park(f"lost {batch.lost_allocations} allocations; last: {batch.reason}")
    if batch.not_before is not None and now < batch.not_before:
        return Wait(batch.not_before)
    if batch.pending_intent is not None:
        return _resolve_pending_intent(batch, policy, now)
    match batch.phase:
        case Phase.PREPARED:
            return Allocate()
        case Phase.ALLOCATED:
            return _use_allocation(batch, policy, now)
        case Phase.UPLOADED:
            return Commit()
        case Phase.SUBMITTED:
            return _poll_until_deadline(batch, policy, now)
        case Phase.FINISHED:
            return _collect_until_ready(batch, policy)
        case _:
            return Deliver()


def needs_intent(step: Step, policy: Policy) -> Verb | None:
    """Return the verb to record as intent before the step, if repeating the step could do harm; else None."""
    match step:
        case Allocate() if policy.allocates and not policy.allocate_repeatable:
            return Verb.ALLOCATE
        case Upload():
            return Verb.UPLOAD
        case Commit() if not policy.commit_repeatable:
            return Verb.COMMIT
        case _:
            return None


def retry_at(batch: Batch, policy: Policy, now: datetime, asked_for: datetime | None = None) -> datetime:
    """Return when to retry after a failure.

    Args:
        batch: The batch, before the failure is counted.
        policy: Backoff limits.
        now: Current time.
        asked_for: Time that the vendor named (Retry-After), if any.

    Returns:
        The vendor's time, but not before our own backoff ends.
    """
    ours = now + backoff.delay(batch.failures + 1, batch.id, first=policy.backoff_first, maximum=policy.backoff_max)
    return max(ours, asked_for) if asked_for else ours


def within_grace(since: datetime, policy: Policy, now: datetime) -> bool:
    """Return whether an answer that would make rows unknown is asked for again.

    Args:
        since: When the vendor first gave such an answer about the batch.
        policy: The grace period.
        now: Current time.
    """
    return now < since + policy.grace


def retry_when_ready(batch: Batch, policy: Policy, now: datetime, asked_for: datetime | None = None) -> datetime:
    """Return when to fetch results again that were not ready: like `retry_at`, though it is no failure.

    Args:
        batch: The finished batch; its polls count how often its results were not ready.
        policy: Backoff limits.
        now: Current time.
        asked_for: Earliest time that the vendor client asks for, if any.
    """
    return retry_at(replace(batch, failures=batch.polls), policy, now, asked_for)


def retry_after_loss(batch: Batch, policy: Policy, now: datetime) -> datetime | None:
    """Return when to request the next allocation after a lost one; None: at once, for the first one lost in a row."""
    if batch.lost_allocations == 0:
        return None
    return retry_at(replace(batch, failures=batch.lost_allocations), policy, now)


def is_overdue_file(batch: Batch, policy: Policy, now: datetime) -> bool:
    """Return whether an allocation that is empty now should have contained the uploaded file long ago."""
    return batch.submitted_at is not None and now > batch.submitted_at + max(policy.empty_max, policy.ask_after)


def next_poll(batch: Batch, policy: Policy, now: datetime) -> datetime:
    """Return when to poll again: the interval grows from `poll_first` at each poll, up to `poll_max`."""
    longest = policy.poll_max.total_seconds()
    try:
        grown = policy.poll_first.total_seconds() * policy.poll_growth**batch.polls
    except OverflowError:
        # A number that no float can represent exceeds the longest wait.
        grown = longest
    # Compared as seconds: the grown number may exceed the range of timedelta.
    return now + timedelta(seconds=min(grown, longest))


def admit(
    batches: Iterable[Batch], policy: Policy, account_ids: Mapping[str, str], failed: Collection[str]
) -> tuple[Batch, ...]:
    """Return the batches of one connection that may proceed, within the vendor's limit of batches in flight.

    A batch whose file the vendor may have always proceeds and counts against the limit. Of the others, those that have
    an allocation or an intent come first.

    Args:
        batches: Open batches of all jobs of the connection.
        policy: The limit.
        account_ids: Present account of each job, by its name. A batch of another account does not count against the
            limit, and proceeds only if its next step needs no vendor call.
        failed: Names of jobs whose batches do not proceed; their unsent batches do not count against the limit.

    Returns:
        The admitted batches, ordered by time of preparation.
    """
    ordered = sorted(batches, key=lambda batch: (batch.prepared_at, batch.job, batch.seq))
    ours = {batch.id for batch in ordered if batch.account_id == account_ids[batch.job]}
    taken = sum(batch.id in ours and batch.phase in IN_FLIGHT and possibly_delivered(batch) for batch in ordered)
    able = [batch for batch in ordered if batch.job not in failed and (batch.id in ours or not needs_vendor(batch))]
    unsent = [batch for batch in able if batch.phase in UNSENT and not possibly_delivered(batch)]
    begun_first = sorted(unsent, key=lambda batch: batch.phase is Phase.PREPARED and batch.pending_intent is None)
    waiting = {batch.id for batch in begun_first[max(policy.in_flight_max - taken, 0) :]}
    return tuple(batch for batch in able if batch.id not in waiting)


def _resolve_pending_intent(batch: Batch, policy: Policy, now: datetime) -> Step:
    """Ask the vendor before repeating a call, but not at once: the request may still be in flight."""
    if batch.intent_at is not None and now < (ask_at := batch.intent_at + policy.ask_after):
        return Wait(ask_at)
    find: Step
    match batch.pending_intent:
        case Verb.UPLOAD:
            action, find, call, unused = policy.on_unknown_upload, FindFile(), "upload", "an upload without a commit"
        case Verb.COMMIT:
            action, find, call, unused = policy.on_unknown_commit, FindCommit(), "commit", ""
        case _:
            action, find, call = policy.on_unknown_allocation, FindAllocation(), "allocation"
            unused = "an unused allocation"
    match action:
        case OnUnknownOutcome.ASK:
            return find
        case OnUnknownOutcome.TAKE_ANOTHER:
            reason = f"unknown whether the {call} request arrived; {unused} does no harm"
            return DropAllocation(reason, batch.pending_intent)
        case _:
            return Park(f"unknown whether the {call} request arrived, and this vendor cannot be asked")


def _use_allocation(batch: Batch, policy: Policy, now: datetime) -> Step:
    """Upload, unless the allocation has expired or its URL is lost (it is never journaled).

    Both other steps read the status of the allocation first: it may contain the file.
    """
    allocation = batch.allocation
    if not policy.allocates:
        return Upload()
    if (
        allocation is not None
        and allocation.expires_at is not None
        and now >= allocation.expires_at - ALLOCATION_RESERVE
    ):
        return DropAllocation("the allocation expired")
    if allocation is None or allocation.url is None:
        if policy.on_unknown_allocation is OnUnknownOutcome.ASK:
            return RenewAllocation()
        return DropAllocation("the upload URL was lost with an earlier process")
    return Upload()


def _poll_until_deadline(batch: Batch, policy: Policy, now: datetime) -> Step:
    """Poll until the vendor has no verdict at a poll near or after the deadline.

    The last answer came near it or later if the next poll was due after it. An older one proves nothing: no process ran
    meanwhile, or the vendor could not be reached.
    """
    ends_at = batch.submitted_at + policy.deadline if batch.submitted_at is not None else now
    answered = batch.polls > 0 and batch.failures == 0 and batch.not_before is not None and batch.not_before > ends_at
    if answered and now > ends_at:
        return Park(f"no verdict {policy.deadline} after the upload; last status: {batch.vendor_status or 'none'}")
    return Poll()


def _collect_until_ready(batch: Batch, policy: Policy) -> Step:
    """Fetch results and row log, unless the results were not ready for as long as failures are retried."""
    if batch.polls > policy.failures_max:
        return Park(f"its results were not ready for {policy.failing_max} or more after the verdict; {batch.reason}")
    return Collect()
