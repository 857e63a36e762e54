"""States and equation of a run during preparation and after an aborted preparation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_samples import LATER, NOW, ROWS, a_batch
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.accounting import PlanCounts, UnbalancedError
from batchsync.core.batch import Batch, Phase, RunId
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.run import Run, RunState, abort_preparation, settlement_of, with_finalized

PHASES = [phase for phase in Phase if phase is not Phase.NEEDS_ATTENTION]


def a_run(to_send: int, state: RunState = RunState.PREPARING) -> Run:
    return Run(
        id=RunId("guests-1"),
        job="guests",
        serial=1,
        spec_hash="s",
        account_id="i",
        state=state,
        created_at=NOW,
        counts=PlanCounts(
            source_rows=to_send + 7,
            selected=to_send + 7,
            added=to_send,
            outcomes=OutcomeCounts.of(unchanged=4, deferred=3),
        ),
        plan="p",
    )


@pytest.mark.parametrize(
    ("finalized", "state"), [(0, RunState.PREPARING), (29, RunState.PREPARING), (30, RunState.PREPARED)]
)
def test_run_is_prepared_with_its_last_record(finalized: int, state: RunState) -> None:
    assert with_finalized(a_run(30), finalized) == replace(a_run(30), state=state)


def test_more_finalized_records_than_planned_are_refused() -> None:
    with pytest.raises(UnbalancedError, match="plans to send 30 records, but its batches hold 31"):
        with_finalized(a_run(30), 31)


def test_records_not_finalized_yet_are_deferred_and_in_flight() -> None:
    settlement = settlement_of(a_run(3 * ROWS), [a_batch(Phase.DELIVERED), a_batch(Phase.SUBMITTED)])
    assert (settlement.outcomes[RowOutcome.DEFERRED], settlement.in_flight, settlement.settled) == (
        2 * ROWS + 3,
        2 * ROWS,
        False,
    )
    with pytest.raises(UnbalancedError, match="differ by 20"):
        settlement_of(a_run(3 * ROWS, state=RunState.PREPARED), [a_batch()])


def test_records_not_staged_by_an_aborted_run_are_deferred() -> None:
    own = [a_batch(Phase.DELIVERED)]
    run = abort_preparation(a_run(3 * ROWS), own, LATER)
    assert (run.state, run.settled_at) == (RunState.SETTLED, LATER)
    assert run.counts == replace(
        a_run(3 * ROWS).counts, outcomes=OutcomeCounts.of(unchanged=4, deferred=3 + 2 * ROWS), unstaged=2 * ROWS
    )
    assert run.counts.to_send == ROWS
    settlement = settlement_of(run, own)
    assert (settlement.outcomes[RowOutcome.DEFERRED], settlement.in_flight, settlement.settled) == (
        2 * ROWS + 3,
        0,
        True,
    )
    assert run.reason == "preparation was aborted after 10 of 30 records; the next run sends the rest"


def test_aborted_run_with_an_open_batch_is_prepared() -> None:
    run = abort_preparation(a_run(3 * ROWS), [a_batch(Phase.DELIVERED), a_batch(Phase.SUBMITTED)], LATER)
    assert (run.state, run.settled_at, run.counts.unstaged) == (RunState.PREPARED, None, ROWS)


@given(phases=st.lists(st.sampled_from(PHASES), min_size=1, max_size=6), rest=st.integers(1, 1000))
def test_equation_holds_before_and_after_abort(phases: list[Phase], rest: int) -> None:
    own: list[Batch] = [a_batch(phase) for phase in phases]
    run = a_run(len(own) * ROWS + rest)
    before, after = settlement_of(run, own), settlement_of(abort_preparation(run, own, LATER), own)
    assert before.outcomes == after.outcomes
    assert before.in_flight - after.in_flight == rest
