"""Admission of batches within the vendor's limit of batches in flight."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest
from core_samples import NOW, a_batch

from batchsync.core.batch import Allocation, Batch, BatchId, Phase, Verb, Verdict
from batchsync.core.decide import admit
from batchsync.core.lifecycle import needs_vendor, occupies_slot, possibly_delivered
from batchsync.core.policy import Policy

ONE_IN_FLIGHT = Policy(in_flight_max=1)
OURS, THEIRS = "our account", "another account"
UPLOADING = {"pending_intent": Verb.UPLOAD, "intent_at": NOW}
ALLOCATING = {"pending_intent": Verb.ALLOCATE, "intent_at": NOW}


def a_job_batch(name: str, phase: Phase, minute: int, **changes: object) -> Batch:
    """Return a batch of a job of the same name."""
    values = {"account_id": OURS} | changes
    return replace(a_batch(phase, **values), id=BatchId(name), prepared_at=NOW + timedelta(minutes=minute), job=name)


def admitted(*batches: Batch, policy: Policy = ONE_IN_FLIGHT, failed: tuple[str, ...] = ()) -> list[str]:
    """Return the ids of the admitted batches, where every job sends to our account."""
    return [batch.id for batch in admit(batches, policy, defaultdict(lambda: OURS), failed)]


def test_new_batches_are_admitted_oldest_first() -> None:
    fresh = [a_job_batch(f"b{n}", Phase.PREPARED, n) for n in (2, 0, 1)]
    assert admitted(*fresh, policy=replace(ONE_IN_FLIGHT, in_flight_max=2)) == ["b0", "b1"]


@pytest.mark.parametrize("phase", [Phase.ALLOCATED, Phase.SUBMITTED])
def test_batch_in_flight_is_admitted_and_counts_against_the_limit(phase: Phase) -> None:
    assert admitted(a_job_batch("old", Phase.PREPARED, 0), a_job_batch("in_flight", phase, 1)) == ["in_flight"]


def test_allocation_in_doubt_counts_against_the_limit() -> None:
    in_doubt = a_job_batch("in_doubt", Phase.PREPARED, 1, **ALLOCATING)
    assert admitted(a_job_batch("old", Phase.PREPARED, 0), in_doubt) == ["in_doubt"]


@pytest.mark.parametrize("phase", [Phase.FINISHED, Phase.COLLECTED, Phase.NEEDS_ATTENTION])
def test_batch_that_waits_for_no_vendor_does_not_count_against_the_limit(phase: Phase) -> None:
    assert admitted(a_job_batch("done", phase, 0), a_job_batch("new", Phase.PREPARED, 1)) == ["done", "new"]


def test_empty_allocation_waits_while_files_reach_the_limit() -> None:
    """The batch of a failed job does not count, so that another was admitted meanwhile."""
    empty, in_doubt = a_job_batch("empty", Phase.ALLOCATED, 0), a_job_batch("in_doubt", Phase.ALLOCATED, 1, **UPLOADING)
    sent = a_job_batch("sent", Phase.SUBMITTED, 2)
    assert admitted(empty, sent) == ["sent"]
    assert admitted(empty, in_doubt) == ["in_doubt"]
    assert admitted(empty, in_doubt, sent) == ["in_doubt", "sent"]
    assert admitted(empty, sent, policy=replace(ONE_IN_FLIGHT, in_flight_max=2)) == ["empty", "sent"]


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED])
def test_batch_of_another_account_is_neither_admitted_nor_counted(phase: Phase) -> None:
    theirs = a_job_batch("theirs", phase, 0, account_id=THEIRS)
    assert admitted(theirs, a_job_batch("new", Phase.PREPARED, 1)) == ["new"]


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [
        (Phase.FINISHED, Verdict.CANCELLED),
        (Phase.FINISHED, Verdict.DECLARED),
        (Phase.FINISHED, Verdict.LOST),
        (Phase.COLLECTED, Verdict.PROCESSED),
    ],
)
def test_batch_of_another_account_is_admitted_if_no_vendor_call_follows(phase: Phase, verdict: Verdict) -> None:
    assert admitted(a_job_batch("theirs", phase, 0, account_id=THEIRS, verdict=verdict)) == ["theirs"]


@pytest.mark.parametrize("verdict", [Verdict.PROCESSED, Verdict.MIXED])
def test_row_log_of_a_batch_of_another_account_is_not_fetched(verdict: Verdict) -> None:
    assert admitted(a_job_batch("theirs", Phase.FINISHED, 0, account_id=THEIRS, verdict=verdict)) == []


@pytest.mark.parametrize(
    ("phase", "intent"), [(Phase.PREPARED, {}), (Phase.PREPARED, ALLOCATING), (Phase.ALLOCATED, {})]
)
def test_unsent_batch_of_a_failed_job_does_not_count(phase: Phase, intent: dict[str, object]) -> None:
    assert admitted(
        a_job_batch("failed", phase, 0, **intent), a_job_batch("new", Phase.PREPARED, 1), failed=("failed",)
    ) == ["new"]


@pytest.mark.parametrize(("phase", "intent"), [(Phase.SUBMITTED, {}), (Phase.ALLOCATED, UPLOADING)])
def test_possibly_delivered_batch_of_a_failed_job_counts(phase: Phase, intent: dict[str, object]) -> None:
    assert (
        admitted(a_job_batch("failed", phase, 0, **intent), a_job_batch("new", Phase.PREPARED, 1), failed=("failed",))
        == []
    )


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED, Phase.NEEDS_ATTENTION])
def test_open_batch_needs_the_vendor(phase: Phase) -> None:
    assert needs_vendor(a_batch(phase))


def test_delivered_batch_does_not_need_the_vendor() -> None:
    assert not needs_vendor(a_batch(Phase.DELIVERED))


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (a_batch(Phase.PREPARED), False),
        (a_batch(Phase.PREPARED, **ALLOCATING), False),
        (a_batch(Phase.ALLOCATED), False),
        (a_batch(Phase.ALLOCATED, allocation=Allocation(id="allocation-1")), True),
        (a_batch(Phase.ALLOCATED, **UPLOADING), True),
        (a_batch(Phase.SUBMITTED), True),
        (a_batch(Phase.NEEDS_ATTENTION), False),
        (a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.ALLOCATED, **UPLOADING), True),
        (a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.SUBMITTED), True),
    ],
)
def test_file_is_possibly_delivered_from_its_upload_on(batch: Batch, *, expected: bool) -> None:
    assert possibly_delivered(batch) is expected


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (a_job_batch("fresh", Phase.PREPARED, 0), False),
        (a_job_batch("asked", Phase.PREPARED, 0, **ALLOCATING), True),
        (a_job_batch("empty", Phase.ALLOCATED, 0), True),
        (a_job_batch("sent", Phase.SUBMITTED, 0), True),
        (a_job_batch("done", Phase.FINISHED, 0), False),
        (a_job_batch("parked", Phase.NEEDS_ATTENTION, 0, **UPLOADING), False),
    ],
    ids=lambda value: value.id if isinstance(value, Batch) else "",
)
def test_batch_with_a_possible_allocation_occupies_a_slot(batch: Batch, *, expected: bool) -> None:
    assert occupies_slot(batch) is expected
