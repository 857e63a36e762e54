"""A job that others depend on is at its end when its newest run has settled; else the way on is named."""

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
CUT = replace(RUN, counts=RUN.counts.cut_to(4))
HELD, PREPARED = replace(RUN, state=RunState.AWAITING_APPROVAL), replace(RUN, state=RunState.PREPARED)
STUCK, FLYING = a_batch(Phase.NEEDS_ATTENTION), a_batch(Phase.SUBMITTED)


def test_a_job_whose_newest_run_has_settled_keeps_nobody_waiting() -> None:
    assert dependency_blocker("guests", RUN, []) is None


@pytest.mark.parametrize(
    ("newest", "batches", "reason"),
    [
        (None, [], "which never ran: `batchsync sync guests` first"),
        (PREPARED, [FLYING, STUCK], "of which a batch waits for a person: `batchsync status guests`"),
        (
            HELD,
            [],
            "which a guard holds: `batchsync approve guests` when its plan is right, then `batchsync sync guests`",
        ),
        (
            HELD,
            [FLYING],
            "which a guard holds: `batchsync approve guests` when its plan is right, then `batchsync sync guests`",
        ),
        (CUT, [], "of which a part was not sent yet: `batchsync sync guests` sends it"),
    ],
)
def test_what_needs_a_person_is_named_with_the_command(newest: Run | None, batches: list[Batch], reason: str) -> None:
    assert dependency_blocker("guests", newest, batches) == Blocker(
        reason=f'it depends on "guests", {reason}', temporary=False
    )


def test_a_plan_that_was_approved_needs_no_second_approval() -> None:
    found = dependency_blocker("guests", HELD, [], approved=True)

    assert found == Blocker(
        reason='it depends on "guests", whose plan was approved and not sent yet: `batchsync sync guests` sends it'
    )
    assert dependency_blocker("guests", RUN, [], approved=True) is None


@pytest.mark.parametrize(
    ("newest", "batches"),
    [(PREPARED, []), (replace(RUN, state=RunState.PREPARING), []), (PREPARED, [FLYING]), (RUN, [FLYING])],
)
def test_what_is_in_flight_passes_by_itself(newest: Run, batches: list[Batch]) -> None:
    found = dependency_blocker("guests", newest, batches)

    assert found == Blocker(
        reason='it depends on "guests", which has not settled: `batchsync resume guests` follows it to its end',
        temporary=True,
    )
