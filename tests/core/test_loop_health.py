"""The loop of `serve` is healthy while it turns as planned."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchsync.core.loop_health import WAIT_MARGIN, WORK_MARGIN, Heartbeat, is_turning, overdue_from

START = timedelta(days=3)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(minutes=5), timedelta(days=2)])
def test_wait_may_end_a_margin_late(wait: timedelta) -> None:
    last = Heartbeat(at=START, wake=START + wait)
    assert is_turning(last, START)
    assert is_turning(last, START + wait + WAIT_MARGIN)
    assert not is_turning(last, START + wait + WAIT_MARGIN + TICK)


def test_wait_that_was_planned_to_end_before_it_began_counts_from_its_beginning() -> None:
    last = Heartbeat(at=START, wake=START - timedelta(hours=1))
    assert overdue_from(last) == START + WAIT_MARGIN


def test_work_may_take_as_long_as_the_largest_transfers() -> None:
    last = Heartbeat(at=START)
    assert is_turning(last, START + WORK_MARGIN)
    assert not is_turning(last, START + WORK_MARGIN + TICK)
