"""Counts of a run during preparation, when prepared, and after an aborted preparation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_samples import LATER, NOW, ROWS, a_batch
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.accounting import PlanCounts, UnbalancedError, compute_settlement
from batchsync.core.batch import Phase, RunId
from batchsync.core.job import Job, Source
from batchsync.core.mapping import Object
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.run import Run, RunState, abort_preparation, edited_since, settlement_of, with_finalized

PLANNED = 3 * ROWS


def a_run(**changes: Any) -> Run:
    """Return a preparing run with the records of three batches to send, and a few others."""
    run = Run(
        id=RunId("guests-1"),
        job="guests",
        serial=1,
        spec_hash="f" * 64,
        account_id="acme",
        state=RunState.PREPARING,
        created_at=NOW,
        counts=PlanCounts(
            selected=PLANNED + 5,
            added=ROWS,
            changed=ROWS,
            removed=ROWS,
            outcomes=OutcomeCounts.of(unchanged=3, deferred=2),
        ),
        plan="p" * 64,
    )
    return replace(run, **changes)


@pytest.mark.parametrize(
    ("finalized", "state"),
    [
        (0, RunState.PREPARING),
        (ROWS, RunState.PREPARING),
        (PLANNED - 1, RunState.PREPARING),
        (PLANNED, RunState.PREPARED),
    ],
)
def test_run_is_prepared_with_its_last_record_and_not_before(finalized: int, state: RunState) -> None:
    assert with_finalized(a_run(), finalized) == a_run(state=state)


def test_error_for_more_records_than_planned_contains_the_counts() -> None:
    with pytest.raises(UnbalancedError) as raised:
        with_finalized(a_run(), PLANNED + 1)
    assert str(raised.value) == "run guests-1 plans to send 30 records, but its batches hold 31"


def test_records_not_finalized_yet_are_in_flight_and_deferred() -> None:
    settlement = settlement_of(a_run(), [a_batch(), a_batch(Phase.DELIVERED)])
    assert (settlement.job, settlement.run) == ("guests", "guests-1")
    assert (
        settlement.in_flight,
        settlement.outcomes[RowOutcome.DEFERRED],
        settlement.outcomes[RowOutcome.ACCEPTED],
        settlement.outcomes[RowOutcome.UNKNOWN],
        settlement.settled,
    ) == (
        ROWS + ROWS,
        2 + ROWS + ROWS,
        9,
        1,
        False,
    )


def test_prepared_run_without_all_its_batches_is_refused() -> None:
    prepared = a_run(state=RunState.PREPARED)
    assert settlement_of(prepared, [a_batch()] * 3).in_flight == PLANNED
    with pytest.raises(UnbalancedError, match="its plan of 30 records differ by 20"):
        settlement_of(prepared, [a_batch()])


def test_preparing_run_with_more_batches_than_planned_is_refused() -> None:
    with pytest.raises(UnbalancedError, match="its plan of 30 records differ by 10"):
        settlement_of(a_run(), [a_batch()] * 4)


def test_aborted_run_keeps_finalized_batches_and_defers_the_rest() -> None:
    batches = [a_batch(Phase.DELIVERED), a_batch(Phase.SUBMITTED)]

    aborted = abort_preparation(a_run(), batches, LATER)

    assert aborted == a_run(
        state=RunState.PREPARED,
        counts=replace(a_run().counts, outcomes=OutcomeCounts.of(unchanged=3, deferred=2 + ROWS), unstaged=ROWS),
        reason="preparation was aborted after 20 of 30 records; the next run sends the rest",
    )
    settlement = settlement_of(aborted, batches)
    assert (settlement.outcomes[RowOutcome.DEFERRED], settlement.in_flight, settlement.settled) == (
        2 + ROWS + ROWS,
        ROWS,
        False,
    )


def test_aborted_run_with_delivered_batches_is_settled() -> None:
    aborted = abort_preparation(a_run(), [a_batch(Phase.DELIVERED)], LATER)
    assert (aborted.state, aborted.settled_at) == (RunState.SETTLED, LATER)
    assert settlement_of(aborted, [a_batch(Phase.DELIVERED)]).settled


def test_abort_reason_has_thousands_separators() -> None:
    counts = PlanCounts(selected=2_000_000, added=2_000_000)
    assert "after 0 of 2,000,000 records" in abort_preparation(a_run(counts=counts), [], LATER).reason


@given(planned=st.integers(0, 10**9), finalized=st.integers(0, 10**9), again=st.integers(0, 10**9))
def test_with_staged_moves_records_from_sent_to_deferred(planned: int, finalized: int, again: int) -> None:
    first, second = min(finalized, planned), min(again, finalized, planned)
    counts = PlanCounts(selected=planned + 7, added=planned, outcomes=OutcomeCounts.of(deferred=7))

    once = counts.with_staged(first)
    twice = once.with_staged(second)

    assert (once.to_send, once.outcomes[RowOutcome.DEFERRED], once.unstaged) == (
        first,
        7 + planned - first,
        planned - first,
    )
    assert (twice.to_send, twice.outcomes[RowOutcome.DEFERRED], twice.unstaged) == (
        second,
        7 + planned - second,
        planned - second,
    )
    once.assert_balanced()
    twice.assert_balanced()
    assert compute_settlement("guests", "guests-1", twice, ()).outcomes[RowOutcome.DEFERRED] == planned + 7


@pytest.mark.parametrize(
    ("removal", "spec", "since"),
    [("a", "s", ""), ("a", "t", ""), ("b", "s", "guests-1"), ("", "s", ""), ("", "t", "guests-1")],
)
def test_edit_is_detected_by_the_removal_hash(removal: str, spec: str, since: str) -> None:
    job = Job(
        name="job",
        source=Source(path="a.csv", folder="/", key=("id",)),
        connection="c",
        target={},
        mode="upsert",
        record=Object(()),
        spec_hash="s",
        mapping_hash="m",
        removal_hash="a",
    )
    last = a_run(removal_hash=removal, spec_hash=spec)
    assert edited_since(job, last) == since
    assert edited_since(job, None) == ""
