"""Jobs that others depend on: settled, or blocked with the next command."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_samples import NOW, a_batch

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import Batch, Phase, RunId
from batchsync.core.run import Run, RunState
from batchsync.core.upstream import Blocker, dependency_blocker

RUN = Run(
    id=RunId("guests-1"),
    job="guests",
    serial=1,
    spec_hash="s",
    account_id="i",
    state=RunState.SETTLED,
    created_at=NOW,
    counts=PlanCounts(source_rows=10, selected=10, added=10),
    plan="p",
)
ABORTED = replace(RUN, counts=RUN.counts.with_staged(4))
AWAITING, PREPARED = replace(RUN, state=RunState.AWAITING_APPROVAL), replace(RUN, state=RunState.PREPARED)
PARKED, IN_FLIGHT = a_batch(Phase.NEEDS_ATTENTION), a_batch(Phase.SUBMITTED)


def test_settled_job_blocks_nothing() -> None:
    assert dependency_blocker("guests", RUN, []) is None


@pytest.mark.parametrize(
    ("newest", "batches", "reason"),
    [
        (None, [], "which has never run: run `batchsync sync guests` first"),
        (PREPARED, [IN_FLIGHT, PARKED], "which has a batch that needs attention: see `batchsync status guests`"),
        (
            AWAITING,
            [],
            "whose plan awaits approval: run `batchsync approve guests` if it is right, then `batchsync sync guests`",
        ),
        (
            AWAITING,
            [IN_FLIGHT],
            "whose plan awaits approval: run `batchsync approve guests` if it is right, then `batchsync sync guests`",
        ),
        (ABORTED, [], "whose records are not all sent: run `batchsync sync guests`"),
    ],
)
def test_blocker_that_needs_a_person_names_the_command(newest: Run | None, batches: list[Batch], reason: str) -> None:
    assert dependency_blocker("guests", newest, batches) == Blocker(
        reason=f'waiting for "guests", {reason}', temporary=False
    )


def test_approved_plan_needs_no_second_approval() -> None:
    found = dependency_blocker("guests", AWAITING, [], approved=True)

    assert found == Blocker(
        reason='waiting for "guests", whose approved plan is not sent yet: run `batchsync sync guests`'
    )
    assert dependency_blocker("guests", RUN, [], approved=True) is None


@pytest.mark.parametrize(
    ("newest", "batches"),
    [(PREPARED, []), (replace(RUN, state=RunState.PREPARING), []), (PREPARED, [IN_FLIGHT]), (RUN, [IN_FLIGHT])],
)
def test_blocker_in_flight_is_temporary(newest: Run, batches: list[Batch]) -> None:
    found = dependency_blocker("guests", newest, batches)

    assert found == Blocker(
        reason='waiting for "guests", which has not settled: run `batchsync resume guests`',
        temporary=True,
    )
