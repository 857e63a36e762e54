"""Which batches of a connection may go on: within the vendor's limit, and none stands in another's way."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest
from core_samples import NOW, a_batch

from batchsync.core.batch import Allocation, Batch, BatchId, Phase, Verb, Verdict
from batchsync.core.decide import admit, needs_vendor, occupies_slot, possibly_delivered
from batchsync.core.policy import Policy

ALONE = Policy(in_flight_max=1)
OURS, THEIRS = "our account", "another account"
UPLOADING = {"pending_intent": Verb.UPLOAD, "intent_at": NOW}
ALLOCATING = {"pending_intent": Verb.ALLOCATE, "intent_at": NOW}


def named(name: str, phase: Phase, minute: int, **changes: object) -> Batch:
    """Return a batch of a job of the same name."""
    known = {"account_id": OURS} | changes
    return replace(a_batch(phase, **known), id=BatchId(name), prepared_at=NOW + timedelta(minutes=minute), job=name)


def admitted(*batches: Batch, policy: Policy = ALONE, failed: tuple[str, ...] = ()) -> list[str]:
    """Return who may go on, where every job sends to our account."""
    return [item.id for item in admit(batches, policy, defaultdict(lambda: OURS), failed)]


def test_fresh_batches_wait_for_a_place_oldest_first() -> None:
    fresh = [named(f"b{n}", Phase.PREPARED, n) for n in (2, 0, 1)]
    assert admitted(*fresh, policy=replace(ALONE, in_flight_max=2)) == ["b0", "b1"]


@pytest.mark.parametrize("phase", [Phase.ALLOCATED, Phase.SUBMITTED])
def test_a_batch_in_flight_takes_a_place_and_goes_on(phase: Phase) -> None:
    assert admitted(named("old", Phase.PREPARED, 0), named("flying", phase, 1)) == ["flying"]


def test_an_allocation_in_doubt_takes_a_place() -> None:
    doubtful = named("doubtful", Phase.PREPARED, 1, **ALLOCATING)
    assert admitted(named("old", Phase.PREPARED, 0), doubtful) == ["doubtful"]


@pytest.mark.parametrize("phase", [Phase.FINISHED, Phase.COLLECTED, Phase.NEEDS_ATTENTION])
def test_a_batch_that_waits_for_no_vendor_takes_no_place(phase: Phase) -> None:
    assert admitted(named("done", phase, 0), named("new", Phase.PREPARED, 1)) == ["done", "new"]


def test_an_empty_slot_waits_while_every_place_is_taken_by_a_file() -> None:
    """A job that failed had left its place to another: it fills its slot when that one is done."""
    empty, doubtful = named("empty", Phase.ALLOCATED, 0), named("doubtful", Phase.ALLOCATED, 1, **UPLOADING)
    sent = named("sent", Phase.SUBMITTED, 2)
    assert admitted(empty, sent) == ["sent"]
    assert admitted(empty, doubtful) == ["doubtful"]
    assert admitted(empty, doubtful, sent) == ["doubtful", "sent"]
    assert admitted(empty, sent, policy=replace(ALONE, in_flight_max=2)) == ["empty", "sent"]


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED])
def test_a_batch_of_another_account_neither_goes_on_nor_takes_a_place(phase: Phase) -> None:
    theirs = named("theirs", phase, 0, account_id=THEIRS)
    assert admitted(theirs, named("new", Phase.PREPARED, 1)) == ["new"]


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [
        (Phase.FINISHED, Verdict.CANCELLED),
        (Phase.FINISHED, Verdict.DECLARED),
        (Phase.FINISHED, Verdict.LOST),
        (Phase.COLLECTED, Verdict.PROCESSED),
    ],
)
def test_a_batch_of_another_account_goes_on_where_nobody_is_asked(phase: Phase, verdict: Verdict) -> None:
    assert admitted(named("theirs", phase, 0, account_id=THEIRS, verdict=verdict)) == ["theirs"]


@pytest.mark.parametrize("verdict", [Verdict.PROCESSED, Verdict.MIXED])
def test_the_row_log_of_a_batch_of_another_account_is_not_asked_for(verdict: Verdict) -> None:
    assert admitted(named("theirs", Phase.FINISHED, 0, account_id=THEIRS, verdict=verdict)) == []


@pytest.mark.parametrize(
    ("phase", "doubt"), [(Phase.PREPARED, {}), (Phase.PREPARED, ALLOCATING), (Phase.ALLOCATED, {})]
)
def test_an_unsent_batch_of_a_job_that_failed_takes_no_place(phase: Phase, doubt: dict[str, object]) -> None:
    assert admitted(named("failed", phase, 0, **doubt), named("new", Phase.PREPARED, 1), failed=("failed",)) == ["new"]


@pytest.mark.parametrize(("phase", "doubt"), [(Phase.SUBMITTED, {}), (Phase.ALLOCATED, UPLOADING)])
def test_a_batch_of_a_job_that_failed_takes_a_place_where_the_vendor_may_have_its_file(
    phase: Phase, doubt: dict[str, object]
) -> None:
    assert admitted(named("failed", phase, 0, **doubt), named("new", Phase.PREPARED, 1), failed=("failed",)) == []


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED, Phase.NEEDS_ATTENTION])
def test_what_is_not_settled_asks_the_vendor(phase: Phase) -> None:
    assert needs_vendor(a_batch(phase))


def test_what_is_delivered_asks_nobody() -> None:
    assert not needs_vendor(a_batch(Phase.DELIVERED))


@pytest.mark.parametrize(
    ("batch", "there"),
    [
        (a_batch(Phase.PREPARED), False),
        (a_batch(Phase.PREPARED, **ALLOCATING), False),
        (a_batch(Phase.ALLOCATED), False),
        (a_batch(Phase.ALLOCATED, allocation=Allocation(id="slot-1")), True),
        (a_batch(Phase.ALLOCATED, **UPLOADING), True),
        (a_batch(Phase.SUBMITTED), True),
        (a_batch(Phase.NEEDS_ATTENTION), False),
        (a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.ALLOCATED, **UPLOADING), True),
        (a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.SUBMITTED), True),
    ],
)
def test_a_file_may_be_there_from_its_upload_on(batch: Batch, *, there: bool) -> None:
    assert possibly_delivered(batch) is there


@pytest.mark.parametrize(
    ("batch", "does"),
    [
        (named("fresh", Phase.PREPARED, 0), False),
        (named("asked", Phase.PREPARED, 0, **ALLOCATING), True),
        (named("empty", Phase.ALLOCATED, 0), True),
        (named("sent", Phase.SUBMITTED, 0), True),
        (named("done", Phase.FINISHED, 0), False),
        (named("stuck", Phase.NEEDS_ATTENTION, 0, **UPLOADING), False),
    ],
    ids=lambda value: value.id if isinstance(value, Batch) else "",
)
def test_a_batch_takes_a_place_as_long_as_it_has_or_may_have_a_slot(batch: Batch, *, does: bool) -> None:
    assert occupies_slot(batch) is does
