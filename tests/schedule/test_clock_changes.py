"""Cron expressions by elapsed time tick at every minute that occurs and matches, however the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.core.schedule import Schedule
from batchsync.schedule import next_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = timedelta(minutes=1)
#: A time before a change of the clocks: by half an hour, a whole hour, at midnight, of a day, by half an hour for good.
CHANGES = {
    ("Australia/Lord_Howe", "forward"): datetime(2026, 10, 3, 8, tzinfo=UTC),
    ("Australia/Lord_Howe", "back"): datetime(2026, 4, 4, 8, tzinfo=UTC),
    ("Europe/Prague", "forward"): datetime(2026, 3, 28, 20, tzinfo=UTC),
    ("Europe/Prague", "back"): datetime(2026, 10, 24, 20, tzinfo=UTC),
    ("Africa/Cairo", "forward"): datetime(2026, 4, 23, 14, tzinfo=UTC),
    ("Africa/Cairo", "back"): datetime(2026, 10, 29, 12, tzinfo=UTC),
    ("Pacific/Apia", "a day left out"): datetime(2011, 12, 29, 20, tzinfo=UTC),
    ("Asia/Pyongyang", "half an hour for good"): datetime(2018, 5, 4, 8, tzinfo=UTC),
    ("America/St_Johns", "one minute past midnight"): datetime(2006, 10, 28, 20, tzinfo=UTC),
    ("Asia/Kathmandu", "none"): datetime(2026, 1, 1, tzinfo=UTC),
}
CRONS = ["0 */3 * * *", "* 10 * * *", "*/20 2 * * *", "15 * * * *", "45 */2 * * *", "*/7 1-3 * * SUN", "* * 31 12 *"]


def matching(cron: str, zone: str, after: datetime, minutes: int) -> Iterator[datetime]:
    """Yield the matching minutes after a time, each examined by itself."""
    for number in range(1, minutes + 1):
        at = after + number * MINUTE
        wall = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if next(CronSim(cron, wall - timedelta(seconds=1))) == wall:
            yield at


@pytest.mark.parametrize("cron", CRONS)
@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
def test_ticks_are_the_minutes_that_match(change: tuple[str, str], cron: str) -> None:
    zone, after = change[0], CHANGES[change]
    expected = list(matching(cron, zone, after, 36 * 60))
    found = next_ticks(Schedule(cron=cron, timezone=zone), after, len(expected) + 1)
    assert list(found[: len(expected)]) == expected
    assert len(found) == len(expected) or found[-1] > after + timedelta(hours=36)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [("0 */3 * * *", 8), ("* 10 * * *", 60), ("30 * * * *", 24), ("*/10 * * * *", 141)],
)
def test_no_tick_is_lost_on_the_half_hour_change_of_lord_howe(cron: str, expected: int) -> None:
    midnight = datetime(2026, 10, 4, tzinfo=ZoneInfo("Australia/Lord_Howe"))
    ticks = next_ticks(Schedule(cron=cron, timezone="Australia/Lord_Howe"), midnight - MINUTE, 200)
    assert sum(tick < midnight + timedelta(days=1) for tick in ticks) == expected


FIELD = st.sampled_from(["*", "*/2", "*/5", "0", "30", "1", "0,30", "2-3"])


@settings(max_examples=60, deadline=None)
@given(minute=FIELD, hour=st.sampled_from(["*", "*/2", "*/3", "*/5"]), start=st.integers(0, 400), data=st.data())
def test_ticks_after_any_time_match(minute: str, hour: str, start: int, data: st.DataObject) -> None:
    change = data.draw(st.sampled_from(sorted(CHANGES)))
    after = CHANGES[change] + start * MINUTE + timedelta(seconds=data.draw(st.sampled_from([0, 1, 59])))
    cron = f"{minute} {hour} * * *"
    expected = list(matching(cron, change[0], after.replace(second=0), 10 * 60))
    found = next_ticks(Schedule(cron=cron, timezone=change[0]), after, len(expected))
    assert list(found) == expected
