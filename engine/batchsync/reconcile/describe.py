"""The vendor's description of a target, fetched before a run begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from batchsync.core import backoff
from batchsync.errors import (
    AccountLimitError,
    CallsUsedUpError,
    PermanentError,
    RetryableError,
    UnavailableError,
    UsageError,
    VendorError,
)
from batchsync.ports import LimitReached, Waiting
from batchsync.reconcile.vendor_calls import with_emitted_calls

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.ports import TargetFacts
    from batchsync.reconcile.services import JobContext, Services

#: Number of requests for the description of a target before the run fails.
DESCRIBE_ATTEMPTS = 5


def describe(
    context: JobContext, services: Services, until: datetime | None = None, *, wait: bool = True
) -> TargetFacts:
    """Fetch the vendor's description of the job's target and check the record's members against its input template.

    Args:
        context: The job.
        services: Clock and event sink to use between retries.
        until: Latest time of another attempt; None for no limit.
        wait: Whether to wait until the account has calls again, where those of a day are used up.

    Returns:
        Parameters of the target and the columns of its input template, if any.

    Raises:
        UnavailableError: If the vendor cannot be reached, refuses the credentials, or does not know the target.
        AccountLimitError: If the calls of the account are used up for longer than this may wait.
        UsageError: If the record has a column that the template lacks.
    """
    emitting = with_emitted_calls(context, services)
    latest = _Latest(until, wait=wait)
    facts = _describe_with_retries(emitting, services, latest, context.job.mode)
    if context.rules.one_mode_per_batch and context.job.removal is not None:
        removal = _describe_with_retries(emitting, services, latest, context.job.removal.mode)
        facts = replace(facts, removal_params=removal.params)
    _check_template(context, facts)
    return facts


class _Latest(NamedTuple):
    """Latest time of another attempt, None for no limit; and whether to wait for the calls of another day."""

    at: datetime | None
    wait: bool


def _describe_with_retries(context: JobContext, services: Services, latest: _Latest, mode: str) -> TargetFacts:
    """Call `describe`, which is repeatable, up to `DESCRIBE_ATTEMPTS` times with backoff, not after the latest time."""
    attempts = 0
    while True:
        try:
            return context.vendor.describe(context.job.target, mode)
        except CallsUsedUpError as used_up:
            until = _free_again(used_up, context, services, latest)
        except VendorError as failure:
            attempts += 1
            vendor_retry_at = failure.retry_at if isinstance(failure, RetryableError) else None
            policy, now = context.policy, services.clock.now()
            pause = backoff.delay(attempts, context.job.name, first=policy.backoff_first, maximum=policy.backoff_max)
            until = max(now + pause, vendor_retry_at) if vendor_retry_at else now + pause
            too_late = attempts >= DESCRIBE_ATTEMPTS or (latest.at is not None and until > latest.at)
            if isinstance(failure, PermanentError) or too_late:
                raise UnavailableError(
                    f'{context.rules.title}, connection "{context.job.connection}": {failure.reason}',
                    hint="nothing was sent; `batchsync doctor` checks connections one by one",
                    name="environment.vendor",
                ) from None
        services.events.emit(Waiting(until=until))
        services.clock.sleep(until - services.clock.now())


def _free_again(error: CallsUsedUpError, context: JobContext, services: Services, latest: _Latest) -> datetime:
    """Return when the account has calls again, and say so.

    Raises:
        AccountLimitError: If that is not waited for.
    """
    calls = context.policy.account.calls_per_day
    limit = f"{calls:,} calls a day" if calls is not None else "calls a day"
    services.events.emit(LimitReached(job=context.job.name, batch="", limit=limit, until=error.free_at))
    if latest.wait and (latest.at is None or error.free_at <= latest.at):
        return error.free_at
    raise AccountLimitError(
        f"the limit of {limit} of the account is reached; it has calls again at {error.free_at:%Y-%m-%d %H:%M}Z",
        hint="nothing was sent; run the same command then, or without --no-wait and --timeout, which waits",
    ) from None


def _check_template(context: JobContext, facts: TargetFacts) -> None:
    """Raise UsageError if the record has columns that the vendor's input template lacks."""
    members = context.job.record.members
    missing = [f'"{name}" ({node.place})' for name, node in members if facts.columns and name not in facts.columns]
    if missing:
        raise UsageError(
            f"the vendor's input template has no column {', '.join(missing)}",
            hint=f"its columns are {', '.join(facts.columns or ())}; nothing was sent",
        )
