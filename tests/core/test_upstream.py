"""A job that others depend on is at its end when its newest run has settled; else the way on is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_samples import NOW, a_batch

from lading.core.accounting import Tally
from lading.core.batch import Batch, Phase, RunId
from lading.core.run import Run, RunState
from lading.core.upstream import Obstacle, obstacle

RUN = Run(
    id=RunId("guests-1"),
    job="guests",
    serial=1,
    spec_hash="s",
    identity="i",
    state=RunState.SETTLED,
    created_at=NOW,
    tally=Tally(source_rows=10, selected=10, added=10),
    plan="p",
)
CUT = replace(RUN, tally=RUN.tally.cut_to(4))
HELD, PREPARED = replace(RUN, state=RunState.HELD), replace(RUN, state=RunState.PREPARED)
STUCK, FLYING = a_batch(Phase.STUCK), a_batch(Phase.SUBMITTED)


def test_a_job_whose_newest_run_has_settled_keeps_nobody_waiting() -> None:
    assert obstacle("guests", RUN, []) is None


@pytest.mark.parametrize(
    ("newest", "batches", "reason"),
    [
        (None, [], "which never ran: `lading sync guests` first"),
        (PREPARED, [FLYING, STUCK], "of which a batch waits for a person: `lading status guests`"),
        (HELD, [], "which a guard holds: `lading approve guests` when its plan is right, then `lading sync guests`"),
        (
            HELD,
            [FLYING],
            "which a guard holds: `lading approve guests` when its plan is right, then `lading sync guests`",
        ),
        (CUT, [], "of which a part was not sent yet: `lading sync guests` sends it"),
    ],
)
def test_what_needs_a_person_is_named_with_the_command(newest: Run | None, batches: list[Batch], reason: str) -> None:
    assert obstacle("guests", newest, batches) == Obstacle(reason=f'it depends on "guests", {reason}', passes=False)


def test_a_plan_that_was_approved_needs_no_second_approval() -> None:
    found = obstacle("guests", HELD, [], approved=True)

    assert found == Obstacle(
        reason='it depends on "guests", whose plan was approved and not sent yet: `lading sync guests` sends it'
    )
    assert obstacle("guests", RUN, [], approved=True) is None


@pytest.mark.parametrize(
    ("newest", "batches"),
    [(PREPARED, []), (replace(RUN, state=RunState.PREPARING), []), (PREPARED, [FLYING]), (RUN, [FLYING])],
)
def test_what_is_in_flight_passes_by_itself(newest: Run, batches: list[Batch]) -> None:
    found = obstacle("guests", newest, batches)

    assert found == Obstacle(
        reason='it depends on "guests", which has not settled: `lading resume guests` follows it to its end',
        passes=True,
    )
