"""What should happen next, rung by rung."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from core_samples import NOW, SLOT, a_batch

from lading.core import backoff
from lading.core import decide as ladder
from lading.core.batch import BatchId, Phase, Slot, Verb
from lading.core.decide import announces, decide, look_again, next_poll
from lading.core.events import DidNotHappen, GaveUp, Reopened, SlotLost, StillRunning, Unanswered
from lading.core.lifecycle import evolve
from lading.core.policy import InDoubt, Policy
from lading.core.steps import (
    Allocate,
    Collect,
    Deliver,
    DropSlot,
    FindFile,
    FindSlot,
    GiveUp,
    Poll,
    RenewSlot,
    Rest,
    Step,
    Upload,
    Wait,
)

ASK = Policy(allocation_in_doubt=InDoubt.ASK)
TAKE = Policy(allocation_in_doubt=InDoubt.TAKE_ANOTHER)
STOP = Policy(allocation_in_doubt=InDoubt.STOP)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        (Phase.PREPARED, Allocate()),
        (Phase.ALLOCATED, Upload()),
        (Phase.SUBMITTED, Poll()),
        (Phase.SETTLED, Collect()),
        (Phase.COLLECTED, Deliver()),
        (Phase.DELIVERED, Rest()),
        (Phase.STUCK, Rest()),
    ],
)
def test_without_trouble_the_phase_says_what_is_next(phase: Phase, step: Step) -> None:
    assert decide(a_batch(phase), ASK, NOW) == step


def test_too_many_failures_in_a_row_stop_the_batch_and_one_less_does_not() -> None:
    assert isinstance(decide(a_batch(failures=ASK.failures_max + 1), ASK, NOW), GiveUp)
    assert decide(a_batch(failures=ASK.failures_max), ASK, NOW) == Allocate()


def test_too_many_lost_slots_stop_the_batch_and_one_less_does_not() -> None:
    assert isinstance(decide(a_batch(lost=ASK.attempts_max), ASK, NOW), GiveUp)
    assert decide(a_batch(lost=ASK.attempts_max - 1), ASK, NOW) == Allocate()


def test_content_that_was_sent_often_before_is_not_given_up_at_once() -> None:
    """A job that sends `all` sends the same content each day, under the ticket after the last one it used."""
    assert decide(a_batch(attempt=ASK.attempts_max + 1), ASK, NOW) == Allocate()


def test_a_reopened_batch_that_lost_its_slots_may_take_slots_again() -> None:
    batch = a_batch()
    for _ in range(ASK.attempts_max):
        batch = evolve(batch, SlotLost(at=NOW, reason="expired"))
    assert isinstance(decide(batch, ASK, NOW), GiveUp)
    again = evolve(evolve(batch, GaveUp(at=NOW, reason="lost 20 slots")), Reopened(at=NOW, reason="by hand"))
    assert decide(again, ASK, NOW) == Allocate()
    assert again.attempt == ASK.attempts_max + 1


def test_a_batch_waits_until_its_time_has_come_even_in_doubt() -> None:
    batch = a_batch(not_before=NOW + SECOND, doubt=Verb.ALLOCATE, doubt_since=NOW - timedelta(hours=1))
    assert decide(batch, ASK, NOW) == Wait(NOW + SECOND)
    assert decide(batch, ASK, NOW + SECOND) == FindSlot()


@pytest.mark.parametrize(
    ("policy", "step"),
    [
        (ASK, FindSlot()),
        (TAKE, DropSlot("nobody knows whether the allocation arrived; an empty slot harms nobody", Verb.ALLOCATE)),
        (STOP, GiveUp("nobody knows whether the allocation arrived, and this vendor cannot be asked")),
    ],
)
def test_an_allocation_in_doubt_is_settled_as_the_vendor_spec_says_and_never_repeated(
    policy: Policy, step: Step
) -> None:
    doubtful = a_batch(doubt=Verb.ALLOCATE, doubt_since=NOW)
    assert decide(doubtful, policy, NOW) == Wait(NOW + policy.ask_after)
    assert decide(doubtful, policy, NOW + policy.ask_after) == step


@pytest.mark.parametrize("policy", [ASK, TAKE, STOP])
@pytest.mark.parametrize("slot", [SLOT, Slot(id="slot-1"), replace(SLOT, until=NOW - timedelta(days=1))])
def test_an_upload_in_doubt_is_asked_about_and_not_repeated(policy: Policy, slot: Slot) -> None:
    """Whatever became of the slot meanwhile: the file may be in it."""
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW, slot=slot)
    assert decide(doubtful, policy, NOW) == Wait(NOW + policy.ask_after)
    assert decide(doubtful, policy, NOW + policy.ask_after) == FindFile()


def test_an_upload_that_the_vendor_does_not_have_is_done_again() -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW)
    empty = evolve(doubtful, DidNotHappen(at=NOW, verb=Verb.UPLOAD, reason="the slot is empty"))
    assert decide(empty, ASK, NOW) == Upload()


@pytest.mark.parametrize("policy", [ASK, TAKE, STOP])
def test_a_slot_with_too_little_time_left_is_dropped(policy: Policy) -> None:
    reserve = ladder.SLOT_RESERVE
    batch = a_batch(Phase.ALLOCATED, slot=replace(SLOT, until=NOW + reserve))
    assert decide(batch, policy, NOW) == DropSlot("the slot ran out")
    assert decide(batch, policy, NOW - SECOND) == Upload()


def test_expired_answer_to_upload_asks_for_the_status_before_the_slot_is_left() -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW)
    expired = evolve(doubtful, Unanswered(at=NOW, verb=Verb.UPLOAD, reason="403", look_again_at=NOW, expired=True))
    later = NOW + ASK.ask_after
    assert decide(expired, ASK, later) == FindFile()
    empty = evolve(expired, DidNotHappen(at=later, verb=Verb.UPLOAD, reason="the slot is empty"))
    assert decide(empty, ASK, later) == DropSlot("the slot ran out")


def test_a_slot_without_end_does_not_run_out() -> None:
    assert decide(a_batch(Phase.ALLOCATED, slot=replace(SLOT, until=None)), ASK, NOW + timedelta(days=999)) == Upload()


_URL_GONE = DropSlot("the upload URL went with the process that knew it")


@pytest.mark.parametrize(("policy", "step"), [(ASK, RenewSlot()), (TAKE, _URL_GONE), (STOP, _URL_GONE)])
@pytest.mark.parametrize("slot", [Slot(id="slot-1"), None])
def test_a_slot_whose_url_went_with_its_process_is_renewed_or_dropped(
    policy: Policy, step: Step, slot: Slot | None
) -> None:
    assert decide(a_batch(Phase.ALLOCATED, slot=slot), policy, NOW) == step


def test_a_batch_without_a_verdict_at_its_deadline_is_given_up_with_the_vendors_last_word() -> None:
    batch = evolve(a_batch(Phase.SUBMITTED), StillRunning(at=NOW, word="Queued", look_again_at=NOW))
    assert decide(batch, ASK, NOW + ASK.deadline) == Poll()
    step = decide(batch, ASK, NOW + ASK.deadline + SECOND)
    assert isinstance(step, GiveUp)
    assert "Queued" in step.reason


def test_a_vendor_that_never_said_a_word_is_given_up_as_one() -> None:
    silent = a_batch(Phase.SUBMITTED, polls=1)
    step = decide(silent, replace(ASK, deadline=timedelta(hours=1)), NOW + timedelta(hours=2))
    assert step == GiveUp("no verdict 1:00:00 after the upload; last status: none")


def test_a_batch_reopened_behind_its_deadline_is_asked_about_once_more() -> None:
    late = NOW + ASK.deadline + SECOND
    batch = evolve(a_batch(Phase.SUBMITTED, polls=9), GaveUp(at=late, reason="no verdict"))
    again = evolve(batch, Reopened(at=late, reason="by hand"))
    assert decide(again, ASK, late) == Poll()
    asked = evolve(again, StillRunning(at=late, word="Queued", look_again_at=late))
    assert isinstance(decide(asked, ASK, late), GiveUp)


def test_uploads_are_always_announced_and_allocations_unless_they_may_be_repeated() -> None:
    repeatable = replace(ASK, allocate_repeatable=True)
    assert announces(Upload(), ASK) is Verb.UPLOAD
    assert announces(Upload(), repeatable) is Verb.UPLOAD
    assert announces(Allocate(), ASK) is Verb.ALLOCATE
    assert announces(Allocate(), repeatable) is None
    quiet: list[Step] = [FindSlot(), RenewSlot(), FindFile(), Poll(), Collect(), Deliver(), Rest(), Wait(NOW)]
    quiet += [DropSlot("x"), GiveUp("x")]
    assert {announces(step, ASK) for step in quiet} == {None}


def test_the_vendor_may_ask_for_more_patience_but_never_for_less() -> None:
    ours = look_again(a_batch(), ASK, NOW)
    assert look_again(a_batch(), ASK, NOW, NOW - timedelta(days=1)) == ours
    assert look_again(a_batch(), ASK, NOW, NOW + timedelta(days=1)) == NOW + timedelta(days=1)


def test_after_each_failure_a_batch_waits_longer_and_never_as_long_as_its_neighbour() -> None:
    policy = replace(ASK, backoff_first=2 * SECOND, backoff_most=timedelta(minutes=5))
    for failures in range(7):
        wait = look_again(a_batch(failures=failures), policy, NOW) - NOW
        assert wait == backoff.delay(failures + 1, a_batch().id, first=2 * SECOND, most=timedelta(minutes=5))
        assert 0.75 * 2**failures * 2 * SECOND <= wait <= 2**failures * 2 * SECOND
    neighbours = {look_again(a_batch(id=BatchId(f"guests-{n}")), policy, NOW) for n in range(20)}
    assert len(neighbours) == 20


@pytest.mark.parametrize("growth", [1.0, 1.01, 1.5, 2.0, 10.0])
def test_polls_grow_apart_and_never_exceed_the_longest_wait(growth: float) -> None:
    policy = replace(ASK, poll_growth=growth)
    waits = [next_poll(a_batch(Phase.SUBMITTED, polls=n), policy, NOW) - NOW for n in (*range(70), 10**6)]
    assert waits == sorted(waits)
    assert waits[0] == policy.poll_first
    assert max(waits) <= policy.poll_most


@pytest.mark.parametrize("growth", [1.01, 1.03, 1.5, 10.0])
def test_polls_that_grow_at_all_grow_to_the_longest_wait(growth: float) -> None:
    policy = replace(ASK, poll_first=SECOND, poll_most=timedelta(minutes=1), poll_growth=growth)
    waits = [next_poll(a_batch(Phase.SUBMITTED, polls=n), policy, NOW) - NOW for n in range(1000)]
    assert waits[-1] == policy.poll_most
    assert all(before < after for before, after in pairwise(waits) if before < policy.poll_most)
