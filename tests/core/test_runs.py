"""A run while it is prepared, when it is, and when preparing was cut short: no record is lost on the way."""

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
from batchsync.core.run import Run, RunState, abort_preparation, edited_since, settlement_of, with_finalized

PLANNED = 3 * ROWS


def a_run(**changes: Any) -> Run:
    """Return a run that is being prepared: three batches of records to send, and a few others."""
    run = Run(
        id=RunId("guests-1"),
        job="guests",
        serial=1,
        spec_hash="f" * 64,
        account_id="acme",
        state=RunState.PREPARING,
        created_at=NOW,
        counts=PlanCounts(selected=PLANNED + 5, added=ROWS, changed=ROWS, removed=ROWS, unchanged=3, deferred=2),
        plan="p" * 64,
    )
    return replace(run, **changes)


@pytest.mark.parametrize(
    ("sealed", "state"),
    [
        (0, RunState.PREPARING),
        (ROWS, RunState.PREPARING),
        (PLANNED - 1, RunState.PREPARING),
        (PLANNED, RunState.PREPARED),
    ],
)
def test_a_run_is_prepared_with_its_last_record_and_not_before(sealed: int, state: RunState) -> None:
    assert with_finalized(a_run(), sealed) == a_run(state=state)


def test_more_records_than_were_planned_are_a_defect_that_is_told_with_its_figures() -> None:
    with pytest.raises(UnbalancedError) as told:
        with_finalized(a_run(), PLANNED + 1)
    assert str(told.value) == "run guests-1 plans to send 30 records, but its batches hold 31"


def test_what_is_still_to_be_sealed_is_in_flight_and_held_for_the_moment() -> None:
    now = settlement_of(a_run(), [a_batch(), a_batch(Phase.DELIVERED)])
    assert (now.job, now.run) == ("guests", "guests-1")
    assert (now.in_flight, now.deferred, now.accepted, now.unknown, now.settled) == (
        ROWS + ROWS,
        2 + ROWS + ROWS,
        9,
        1,
        False,
    )


def test_a_run_that_is_prepared_has_all_its_batches_or_a_defect_is_told() -> None:
    prepared = a_run(state=RunState.PREPARED)
    assert settlement_of(prepared, [a_batch()] * 3).in_flight == PLANNED
    with pytest.raises(UnbalancedError, match="its plan of 30 records differ by 20"):
        settlement_of(prepared, [a_batch()])


def test_even_a_run_that_is_being_prepared_never_seals_more_than_it_planned() -> None:
    with pytest.raises(UnbalancedError, match="its plan of 30 records differ by 10"):
        settlement_of(a_run(), [a_batch()] * 4)


def test_a_run_cut_short_keeps_what_was_sealed_and_holds_the_rest_for_the_next() -> None:
    batches = [a_batch(Phase.DELIVERED), a_batch(Phase.SUBMITTED)]

    cut = abort_preparation(a_run(), batches, LATER)

    assert cut == a_run(
        state=RunState.PREPARED,
        counts=replace(a_run().counts, deferred=2 + ROWS, unstaged=ROWS),
        reason="preparing was cut short after 20 of 30 records; the next run sends the rest",
    )
    now = settlement_of(cut, batches)
    assert (now.deferred, now.in_flight, now.settled) == (2 + ROWS + ROWS, ROWS, False)


def test_a_run_cut_short_whose_batches_are_delivered_is_over_at_that_moment() -> None:
    cut = abort_preparation(a_run(), [a_batch(Phase.DELIVERED)], LATER)
    assert (cut.state, cut.settled_at) == (RunState.SETTLED, LATER)
    assert settlement_of(cut, [a_batch(Phase.DELIVERED)]).settled


def test_large_figures_of_a_run_cut_short_can_be_read() -> None:
    big = PlanCounts(selected=2_000_000, added=2_000_000)
    assert "after 0 of 2,000,000 records" in abort_preparation(a_run(counts=big), [], LATER).reason


@given(planned=st.integers(0, 10**9), sealed=st.integers(0, 10**9), again=st.integers(0, 10**9))
def test_a_cut_moves_records_from_what_is_sent_to_what_is_held_and_loses_none(
    planned: int, sealed: int, again: int
) -> None:
    first, second = min(sealed, planned), min(again, sealed, planned)
    tally = PlanCounts(selected=planned + 7, added=planned, deferred=7)

    once = tally.cut_to(first)
    twice = once.cut_to(second)

    assert (once.to_send, once.deferred, once.unstaged) == (first, 7 + planned - first, planned - first)
    assert (twice.to_send, twice.deferred, twice.unstaged) == (second, 7 + planned - second, planned - second)
    once.assert_balanced()
    twice.assert_balanced()
    assert compute_settlement("guests", "guests-1", twice, ()).deferred == planned + 7


@pytest.mark.parametrize(
    ("removal", "spec", "since"),
    [("a", "s", ""), ("a", "t", ""), ("b", "s", "guests-1"), ("", "s", ""), ("", "t", "guests-1")],
)
def test_edit_is_seen_by_what_decides_removals(removal: str, spec: str, since: str) -> None:
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
