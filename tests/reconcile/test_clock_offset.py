"""Vendors whose clock differs from ours, and allocations that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from harness import NO_WAIT, UPLOAD, WAIT, Harness

from batchsync.core.batch import Phase
from batchsync.core.events import AllocationLost
from batchsync.observers.log import LogObserver
from batchsync.ports import ClockDiffers
from batchsync.reconcile.vendor_clock import NAME, read_clock_offsets

if TYPE_CHECKING:
    from batchsync.ports import Clock, RunEvent


@dataclass
class OffsetClock:
    """The clock of a machine that is ahead of the mocks' by `ahead`."""

    inner: Clock
    ahead: timedelta

    def now(self) -> datetime:
        return self.inner.now() + self.ahead

    def sleep(self, duration: timedelta) -> None:
        self.inner.sleep(duration)


@dataclass
class Recorder:
    """Event sink that keeps the differences of clocks."""

    found: list[ClockDiffers] = field(default_factory=list)

    def emit(self, event: RunEvent, /) -> None:
        if isinstance(event, ClockDiffers):
            self.found.append(event)


def with_clock_ahead(harness: Harness, minutes: int) -> tuple[Harness, Recorder]:
    """Return the harness on a machine whose clock is ahead of the vendors'."""
    clock = OffsetClock(harness.services.clock, timedelta(minutes=minutes))
    harness.app.clock = clock
    recorder = Recorder()
    return harness.with_services(clock=clock, events=recorder), recorder


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("minutes", [20, 80, 600, -20, -80])
def test_clocks_that_differ_cost_no_allocation_and_are_reported_once(harness: Harness, job: str, minutes: int) -> None:
    other, recorder = with_clock_ahead(harness, minutes)

    other.sync(job, WAIT)
    other.sync(job, WAIT)

    batch = other.batch(job)
    assert (batch.phase, batch.attempt) == (Phase.DELIVERED, 1)
    assert other.delivered_once(job)
    (reported,) = recorder.found
    assert abs(reported.offset + timedelta(minutes=minutes)) < timedelta(seconds=5)
    assert read_clock_offsets(other.services.paths.state) == {reported.connection: reported.offset}


def test_clocks_that_agree_again_are_forgotten(harness: Harness) -> None:
    state = harness.services.paths.state
    (state / NAME).write_text('{"cdp": -1200.0, "other": 60.0}', encoding="utf-8")
    connection = harness.context("guests").job.connection
    (state / NAME).write_text(f'{{"{connection}": -1200.0, "other": 60.0}}', encoding="utf-8")

    harness.sync("guests", NO_WAIT)

    assert read_clock_offsets(state) == {"other": timedelta(minutes=1)}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "b"}', '{"a": 1e999}'])
def test_unreadable_file_of_differences_means_none(harness: Harness, content: str) -> None:
    path = harness.services.paths.state / NAME
    path.write_text(content, encoding="utf-8")
    assert read_clock_offsets(path.parent) == {}


def test_log_names_connection_difference_and_remedy(harness: Harness) -> None:
    lines: list[str] = []
    event = ClockDiffers(job="guests", connection="cdp", offset=timedelta(minutes=-80))
    LogObserver(lines.append).observe(event, harness.services.clock.now())
    (line,) = lines
    assert "WARNING connection cdp: the vendor's clock is 1h 20m behind this machine's" in line
    assert "Check the clock of this machine" in line


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_dead_allocations_are_requested_at_growing_intervals(harness: Harness, job: str) -> None:
    harness.arm(job, kind="expire", times=0, **UPLOAD)
    started = harness.services.clock.now()

    harness.sync(job, WAIT)

    batch = harness.batch(job)
    lost = [event for event in harness.app.journal.events(batch.id) if isinstance(event, AllocationLost)]
    assert batch.phase is Phase.NEEDS_ATTENTION
    assert len(lost) == harness.context(job).policy.attempts_max
    assert lost[0].retry_at is None
    assert all(event.retry_at is not None and event.retry_at > event.at for event in lost[1:])
    assert harness.services.clock.now() - started > timedelta(minutes=40)
    harness.clear_faults()
    harness.resume(job)
    assert harness.delivered_once(job)
