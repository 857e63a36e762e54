"""Decision of the next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from core_samples import ALLOCATION, NOW, a_batch

from batchsync.core import backoff
from batchsync.core import decide as ladder
from batchsync.core.batch import Allocation, BatchId, Phase, Verb
from batchsync.core.decide import decide, needs_intent, next_poll, retry_after_loss, retry_at
from batchsync.core.events import AllocationLost, NotApplied, OutcomeUnknown, Parked, Reopened, StillRunning
from batchsync.core.lifecycle import evolve
from batchsync.core.policy import OnUnknownOutcome, Policy
from batchsync.core.steps import (
    Allocate,
    Collect,
    Deliver,
    DropAllocation,
    FindAllocation,
    FindFile,
    NoOp,
    Park,
    Poll,
    RenewAllocation,
    Step,
    Upload,
    Wait,
)

ASK = Policy(on_unknown_allocation=OnUnknownOutcome.ASK)
TAKE = Policy(on_unknown_allocation=OnUnknownOutcome.TAKE_ANOTHER)
STOP = Policy(on_unknown_allocation=OnUnknownOutcome.STOP)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        (Phase.PREPARED, Allocate()),
        (Phase.ALLOCATED, Upload()),
        (Phase.SUBMITTED, Poll()),
        (Phase.FINISHED, Collect()),
        (Phase.COLLECTED, Deliver()),
        (Phase.DELIVERED, NoOp()),
        (Phase.NEEDS_ATTENTION, NoOp()),
    ],
)
def test_without_failures_the_phase_determines_the_step(phase: Phase, step: Step) -> None:
    assert decide(a_batch(phase), ASK, NOW) == step


def test_batch_is_parked_after_the_maximum_of_failures() -> None:
    assert isinstance(decide(a_batch(failures=ASK.failures_max + 1), ASK, NOW), Park)
    assert decide(a_batch(failures=ASK.failures_max), ASK, NOW) == Allocate()


@pytest.mark.parametrize("hours", [1, 36, 48, 24 * 31])
def test_failures_are_retried_for_the_time_of_the_policy(hours: int) -> None:
    """Failures in a row at the waits of the back-off reach the bound not before that time, and soon after it."""
    policy = replace(ASK, retry_for=timedelta(hours=hours))
    batch, now = a_batch(), NOW
    while not isinstance(decide(batch, policy, now), Park):
        again = retry_at(batch, policy, now)
        batch, now = evolve(batch, NotApplied(at=now, verb=Verb.ALLOCATE, reason="503", retry_at=again)), again
    assert 1 <= (now - NOW) / timedelta(hours=hours) < 1.5


def test_failures_are_retried_until_the_deadline_by_default() -> None:
    assert ASK.failing_max == ASK.deadline
    assert replace(ASK, retry_for=timedelta(hours=2)).failing_max == timedelta(hours=2)


def test_time_without_a_process_does_not_count_as_failing() -> None:
    batch = a_batch(Phase.SUBMITTED, failures=9, polls=1, not_before=NOW)
    assert decide(batch, ASK, NOW + 10 * ASK.deadline) == Poll()


def test_batch_is_parked_after_answers_that_are_not_the_vendors() -> None:
    assert decide(a_batch(foreign_answers=ASK.foreign_answers_max), ASK, NOW) == Allocate()
    step = decide(a_batch(foreign_answers=ASK.foreign_answers_max + 1, reason="HTTP 200"), ASK, NOW)
    assert isinstance(step, Park)
    assert "HTTP 200" in step.reason


def test_results_that_are_never_ready_are_parked() -> None:
    waiting = a_batch(Phase.FINISHED, polls=ASK.failures_max)
    assert decide(waiting, ASK, NOW) == Collect()
    assert isinstance(decide(replace(waiting, polls=ASK.failures_max + 1), ASK, NOW), Park)


def test_lost_allocations_are_followed_by_growing_waits() -> None:
    assert retry_after_loss(a_batch(), ASK, NOW) is None
    times = [retry_after_loss(a_batch(lost_allocations=n), ASK, NOW) for n in range(1, 7)]
    assert all(time is not None for time in times)
    assert times == sorted(times, key=lambda time: time or NOW)
    assert times[0] is not None
    assert times[0] > NOW


def test_batch_is_parked_after_the_maximum_of_lost_allocations() -> None:
    assert isinstance(decide(a_batch(lost_allocations=ASK.attempts_max), ASK, NOW), Park)
    assert decide(a_batch(lost_allocations=ASK.attempts_max - 1), ASK, NOW) == Allocate()


def test_content_sent_often_before_is_not_parked() -> None:
    """A job with `send: all` sends the same content each day, with the next attempt of the idempotency key."""
    assert decide(a_batch(attempt=ASK.attempts_max + 1), ASK, NOW) == Allocate()


def test_reopened_batch_may_allocate_again() -> None:
    batch = a_batch()
    for _ in range(ASK.attempts_max):
        batch = evolve(batch, AllocationLost(at=NOW, reason="expired"))
    assert isinstance(decide(batch, ASK, NOW), Park)
    reopened = evolve(evolve(batch, Parked(at=NOW, reason="lost 20 allocations")), Reopened(at=NOW, reason="by hand"))
    assert decide(reopened, ASK, NOW) == Allocate()
    assert reopened.attempt == ASK.attempts_max + 1


def test_batch_waits_for_not_before_even_in_doubt() -> None:
    batch = a_batch(not_before=NOW + SECOND, pending_intent=Verb.ALLOCATE, intent_at=NOW - timedelta(hours=1))
    assert decide(batch, ASK, NOW) == Wait(NOW + SECOND)
    assert decide(batch, ASK, NOW + SECOND) == FindAllocation()


@pytest.mark.parametrize(
    ("policy", "step"),
    [
        (ASK, FindAllocation()),
        (
            TAKE,
            DropAllocation(
                "unknown whether the allocation request arrived; an unused allocation does no harm", Verb.ALLOCATE
            ),
        ),
        (STOP, Park("unknown whether the allocation request arrived, and this vendor cannot be asked")),
    ],
)
def test_allocation_in_doubt_is_resolved_by_policy_and_never_repeated(policy: Policy, step: Step) -> None:
    in_doubt = a_batch(pending_intent=Verb.ALLOCATE, intent_at=NOW)
    assert decide(in_doubt, policy, NOW) == Wait(NOW + policy.ask_after)
    assert decide(in_doubt, policy, NOW + policy.ask_after) == step


@pytest.mark.parametrize("policy", [ASK, TAKE, STOP])
@pytest.mark.parametrize(
    "allocation", [ALLOCATION, Allocation(id="allocation-1"), replace(ALLOCATION, expires_at=NOW - timedelta(days=1))]
)
def test_upload_in_doubt_is_queried_and_not_repeated(policy: Policy, allocation: Allocation) -> None:
    """Even if the allocation has expired meanwhile: it may contain the file."""
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW, allocation=allocation)
    assert decide(in_doubt, policy, NOW) == Wait(NOW + policy.ask_after)
    assert decide(in_doubt, policy, NOW + policy.ask_after) == FindFile()


def test_upload_that_did_not_arrive_is_repeated() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    empty = evolve(in_doubt, NotApplied(at=NOW, verb=Verb.UPLOAD, reason="the allocation is empty"))
    assert decide(empty, ASK, NOW) == Upload()


@pytest.mark.parametrize("policy", [ASK, TAKE, STOP])
def test_allocation_with_too_little_time_left_is_dropped(policy: Policy) -> None:
    reserve = ladder.ALLOCATION_RESERVE
    batch = a_batch(Phase.ALLOCATED, allocation=replace(ALLOCATION, expires_at=NOW + reserve))
    assert decide(batch, policy, NOW) == DropAllocation("the allocation expired")
    assert decide(batch, policy, NOW - SECOND) == Upload()


def test_status_is_queried_before_an_expired_allocation_is_dropped() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    expired = evolve(in_doubt, OutcomeUnknown(at=NOW, verb=Verb.UPLOAD, reason="403", retry_at=NOW, expired=True))
    later = NOW + ASK.ask_after
    assert decide(expired, ASK, later) == FindFile()
    empty = evolve(expired, NotApplied(at=later, verb=Verb.UPLOAD, reason="the allocation is empty"))
    assert decide(empty, ASK, later) == DropAllocation("the allocation expired")


def test_allocation_without_expiry_does_not_expire() -> None:
    assert (
        decide(
            a_batch(Phase.ALLOCATED, allocation=replace(ALLOCATION, expires_at=None)), ASK, NOW + timedelta(days=999)
        )
        == Upload()
    )


_URL_LOST = DropAllocation("the upload URL was lost with an earlier process")


@pytest.mark.parametrize(("policy", "step"), [(ASK, RenewAllocation()), (TAKE, _URL_LOST), (STOP, _URL_LOST)])
@pytest.mark.parametrize("allocation", [Allocation(id="allocation-1"), None])
def test_allocation_with_a_lost_url_is_renewed_or_dropped(
    policy: Policy, step: Step, allocation: Allocation | None
) -> None:
    assert decide(a_batch(Phase.ALLOCATED, allocation=allocation), policy, NOW) == step


def test_batch_without_verdict_at_the_deadline_is_parked_with_the_last_status() -> None:
    ends_at = NOW + ASK.deadline
    batch = evolve(a_batch(Phase.SUBMITTED), StillRunning(at=NOW, vendor_status="Queued", retry_at=ends_at))
    assert decide(batch, ASK, ends_at) == Poll()
    assert decide(batch, ASK, ends_at + SECOND) == Poll(), "the last answer is older than the deadline"
    batch = evolve(batch, StillRunning(at=ends_at, vendor_status="Queued", retry_at=ends_at + SECOND))
    step = decide(batch, ASK, ends_at + SECOND)
    assert isinstance(step, Park)
    assert "Queued" in step.reason


def test_deadline_reason_without_any_vendor_status() -> None:
    silent = a_batch(Phase.SUBMITTED, polls=1, not_before=NOW + timedelta(hours=2))
    step = decide(silent, replace(ASK, deadline=timedelta(hours=1)), NOW + timedelta(hours=2))
    assert step == Park("no verdict 1:00:00 after the upload; last status: none")


def test_batch_reopened_after_its_deadline_is_polled_once_more() -> None:
    late = NOW + ASK.deadline + SECOND
    batch = evolve(a_batch(Phase.SUBMITTED, polls=9), Parked(at=late, reason="no verdict"))
    reopened = evolve(batch, Reopened(at=late, reason="by hand"))
    assert decide(reopened, ASK, late) == Poll()
    asked = evolve(reopened, StillRunning(at=late, vendor_status="Queued", retry_at=late))
    assert isinstance(decide(asked, ASK, late), Park)


def test_intent_is_needed_for_uploads_and_unrepeatable_allocations() -> None:
    repeatable = replace(ASK, allocate_repeatable=True)
    assert needs_intent(Upload(), ASK) is Verb.UPLOAD
    assert needs_intent(Upload(), repeatable) is Verb.UPLOAD
    assert needs_intent(Allocate(), ASK) is Verb.ALLOCATE
    assert needs_intent(Allocate(), repeatable) is None
    others: list[Step] = [
        FindAllocation(),
        RenewAllocation(),
        FindFile(),
        Poll(),
        Collect(),
        Deliver(),
        NoOp(),
        Wait(NOW),
    ]
    others += [DropAllocation("x"), Park("x")]
    assert {needs_intent(step, ASK) for step in others} == {None}


def test_vendor_can_extend_the_backoff_but_not_shorten_it() -> None:
    ours = retry_at(a_batch(), ASK, NOW)
    assert retry_at(a_batch(), ASK, NOW, NOW - timedelta(days=1)) == ours
    assert retry_at(a_batch(), ASK, NOW, NOW + timedelta(days=1)) == NOW + timedelta(days=1)


def test_backoff_grows_with_failures_and_differs_between_batches() -> None:
    policy = replace(ASK, backoff_first=2 * SECOND, backoff_max=timedelta(minutes=5))
    for failures in range(7):
        wait = retry_at(a_batch(failures=failures), policy, NOW) - NOW
        assert wait == backoff.delay(failures + 1, a_batch().id, first=2 * SECOND, maximum=timedelta(minutes=5))
        assert 0.75 * 2**failures * 2 * SECOND <= wait <= 2**failures * 2 * SECOND
    neighbours = {retry_at(a_batch(id=BatchId(f"guests-{n}")), policy, NOW) for n in range(20)}
    assert len(neighbours) == 20


@pytest.mark.parametrize("growth", [1.0, 1.01, 1.5, 2.0, 10.0])
def test_poll_interval_grows_up_to_the_maximum(growth: float) -> None:
    policy = replace(ASK, poll_growth=growth)
    waits = [next_poll(a_batch(Phase.SUBMITTED, polls=n), policy, NOW) - NOW for n in (*range(70), 10**6)]
    assert waits == sorted(waits)
    assert waits[0] == policy.poll_first
    assert max(waits) <= policy.poll_max


@pytest.mark.parametrize("growth", [1.01, 1.03, 1.5, 10.0])
def test_growing_poll_interval_reaches_the_maximum(growth: float) -> None:
    policy = replace(ASK, poll_first=SECOND, poll_max=timedelta(minutes=1), poll_growth=growth)
    waits = [next_poll(a_batch(Phase.SUBMITTED, polls=n), policy, NOW) - NOW for n in range(1000)]
    assert waits[-1] == policy.poll_max
    assert all(before < after for before, after in pairwise(waits) if before < policy.poll_max)
