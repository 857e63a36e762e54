"""Limits, intervals and retry rules of a vendor, as used by `decide`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from batchsync.core import backoff
from batchsync.core.account_limits import AccountLimits

if TYPE_CHECKING:
    from batchsync.core.connection import Connection


class OnUnknownOutcome(StrEnum):
    """Action if the outcome of a request is unknown: of an allocation, an upload or a commit."""

    #: query the vendor, for an allocation by idempotency key
    ASK = "ask"
    #: allocate again with the next idempotency key; an unused allocation, or one without a commit, does no harm
    TAKE_ANOTHER = "take_another"
    #: park the batch for a person
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits and intervals of a vendor. Durations are measured with the injected clock.

    Attributes:
        on_unknown_allocation: What to do if the outcome of an allocation request is unknown.
        allocate_repeatable: Whether an allocation request may be repeated without an intent.
        allocates: Whether the vendor grants an allocation before the upload. Otherwise the upload is the only request
            of a delivery, and its response names the batch.
        recognizes_batches: Whether the vendor receives our idempotency key, so that it knows a batch that is sent
            again from an older copy of the state.
        on_unknown_upload: What to do if the outcome of an upload is unknown.
        on_unknown_commit: What to do if the outcome of a commit is unknown: ask or stop.
        commits: Whether the vendor processes an uploaded file only after a commit call.
        commit_repeatable: Whether a commit may be repeated without an intent.
        ask_after: How long a request may still be in flight after it timed out.
        empty_max: How long an allocation may be reported as empty after its upload counted as successful.
        poll_first: Interval before the first poll.
        poll_max: Longest interval between polls.
        poll_growth: Factor by which the interval grows with each poll.
        deadline: Time from upload or commit to verdict, after which the batch is parked.
        grace: How long an answer is asked for again before it counts: a vendor that does not find a batch that it has
            taken, and a row log that is missing or does not cover all rows. In the vendor spec a number of poll
            intervals; a connection's shorter interval does not shorten it.
        retry_for: How long transient failures in a row are retried before the batch is parked; None: `deadline`.
        backoff_first: Wait after the first failure.
        backoff_max: Longest wait after a failure.
        foreign_answers_max: Answers in a row that do not come from the vendor (pages and redirects of a proxy), after
            which the batch is parked.
        attempts_max: Lost allocations in a row, without another failure between them, after which the batch is parked.
        processing_time: How long the vendor takes for a batch, if it documents that; None if it does not.
        in_flight_max: Batches of an account between allocation and verdict.
        account: Calls, rows and bytes that the vendor takes from an account.
    """

    on_unknown_allocation: OnUnknownOutcome = OnUnknownOutcome.STOP
    allocate_repeatable: bool = False
    allocates: bool = True
    recognizes_batches: bool = True
    on_unknown_upload: OnUnknownOutcome = OnUnknownOutcome.ASK
    on_unknown_commit: OnUnknownOutcome = OnUnknownOutcome.ASK
    commits: bool = False
    commit_repeatable: bool = False
    ask_after: timedelta = timedelta(seconds=30)
    empty_max: timedelta = timedelta(hours=6)
    poll_first: timedelta = timedelta(seconds=5)
    poll_max: timedelta = timedelta(seconds=60)
    poll_growth: float = 1.5
    deadline: timedelta = timedelta(days=31)
    grace: timedelta = timedelta(minutes=5)
    backoff_first: timedelta = timedelta(seconds=2)
    backoff_max: timedelta = timedelta(minutes=5)
    retry_for: timedelta | None = None
    foreign_answers_max: int = 24
    attempts_max: int = 20
    processing_time: timedelta | None = None
    in_flight_max: int = 1
    account: AccountLimits = field(default=AccountLimits())

    @property
    def unreported_before_commit(self) -> bool:
        """Whether the vendor reports nothing about an uploaded file before its commit."""
        return self.commits and self.on_unknown_commit is OnUnknownOutcome.STOP

    @property
    def failing_max(self) -> timedelta:
        """How long transient failures in a row are retried before the batch is parked."""
        return self.deadline if self.retry_for is None else self.retry_for

    @property
    def failures_max(self) -> int:
        """Transient failures in a row after which the batch is parked: those whose waits add up to `failing_max`."""
        return backoff.failures_within(self.failing_max, first=self.backoff_first, maximum=self.backoff_max)


def with_overrides(policy: Policy, connection: Connection) -> Policy:
    """Return the policy with the overrides of the connection."""
    if connection.poll_every is not None:
        policy = replace(policy, poll_first=connection.poll_every, poll_max=connection.poll_every)
    if connection.deadline is not None:
        policy = replace(policy, deadline=connection.deadline)
    if connection.retry_for is not None:
        policy = replace(policy, retry_for=connection.retry_for)
    if connection.in_flight is not None:
        policy = replace(policy, in_flight_max=connection.in_flight)
    if connection.limits is not None:
        policy = replace(policy, account=policy.account.lowered(connection.limits))
    return policy
