"""Facts by which alerts are judged, of real runs: batches that take long, calls that fail, rows of unknown outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from harness import NO_WAIT, POLL, WAIT

from batchsync.core.alerts import HISTORY_MIN, evaluate
from batchsync.observers.alert_facts import FactsReader, Schedules, WatchedJob

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.core.alert_conditions import Facts

UNKNOWN = Schedules(frozenset(), lambda _, after: after, lambda _: False)


def facts(harness: Harness) -> Facts:
    """Return the facts of the job guests."""
    (job,) = harness.app.jobs(["guests"])
    watched = WatchedJob(
        name=job.name, all_names=job.all_names, budget=job.budget, schedule=None, peers=frozenset({"guests"})
    )
    return FactsReader(harness.app.journal, UNKNOWN, harness.services.clock.now()).read(watched, None)


def transitions(harness: Harness) -> list[str]:
    """Return the transitions of a first evaluation."""
    now = harness.services.clock.now()
    return [alert.transition for alert in evaluate({}, facts(harness), now, timedelta(minutes=15)).alerts]


def add_guest(harness: Harness, number: int) -> None:
    """Add a row to the source."""
    with (harness.deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write(f"N{number},new {number},new{number}@example.com\n")


def test_batch_is_late_after_enough_others_were_faster(harness: Harness) -> None:
    for number in range(HISTORY_MIN):
        add_guest(harness, number)
        harness.sync("guests", WAIT)
    assert (facts(harness).age, facts(harness).took) == (None, ())
    add_guest(harness, HISTORY_MIN)
    harness.sync("guests", NO_WAIT)
    assert len(facts(harness).took) == HISTORY_MIN
    assert transitions(harness) == []
    harness.advance(timedelta(hours=9))
    assert transitions(harness) == ["late"]


def test_calls_that_fail_in_a_row(harness: Harness) -> None:
    harness.sync("guests", NO_WAIT)
    harness.arm("guests", kind="status", status=503, times=0, **POLL["guests"])
    for _ in range(6):
        harness.advance(timedelta(hours=1))
        harness.resume("guests", NO_WAIT)
    assert facts(harness).failed_calls >= 5
    assert transitions(harness) == ["failing"]


def test_batch_and_rows_that_wait_for_a_person(harness: Harness) -> None:
    harness.arm("guests", kind="status", status=400, times=0, **POLL["guests"])
    harness.sync("guests", WAIT)
    assert (facts(harness).attention, transitions(harness)) == (1, ["needs_attention"])
