"""Ticks of schedules, including changes of daylight saving time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.schedule import Schedule
from batchsync.schedule import check, due_tick, explain, next_ticks

PRAGUE, AUCKLAND = "Europe/Prague", "Pacific/Auckland"
NIGHTLY = "30 2 * * *"


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def local(schedule: Schedule, after: datetime, count: int) -> list[str]:
    zone = ZoneInfo(schedule.timezone)
    return [tick.astimezone(zone).strftime("%m-%d %H:%M %z") for tick in next_ticks(schedule, after, count)]


def test_ticks_are_ordered_utc_datetimes() -> None:
    schedule = Schedule(cron="0 2 * * *", timezone=AUCKLAND)

    assert next_ticks(schedule, at(2026, 6, 1), 2) == (at(2026, 6, 1, 14), at(2026, 6, 2, 14))


def test_next_tick_is_strictly_later() -> None:
    schedule = Schedule(cron="0 2 * * *")

    assert next_ticks(schedule, at(2026, 6, 1, 2), 1) == (at(2026, 6, 2, 2),)
    assert next_ticks(schedule, at(2026, 6, 1, 1, 59), 1) == (at(2026, 6, 1, 2),)


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (PRAGUE, at(2026, 3, 27, 12), ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"]),
        (AUCKLAND, at(2026, 9, 25, 0), ["09-26 02:30 +1200", "09-27 03:00 +1300", "09-28 02:30 +1300"]),
    ],
)
def test_skipped_local_time_runs_after_the_gap(zone: str, after: datetime, expected: list[str]) -> None:
    assert local(Schedule(cron=NIGHTLY, timezone=zone), after, 3) == expected


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (PRAGUE, at(2026, 10, 24, 12), ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        (AUCKLAND, at(2026, 4, 4, 0), ["04-05 02:30 +1300", "04-06 02:30 +1200"]),
    ],
)
def test_repeated_local_time_runs_first_time_only(zone: str, after: datetime, expected: list[str]) -> None:
    assert local(Schedule(cron=NIGHTLY, timezone=zone), after, 2) == expected


def test_tick_is_not_repeated_within_repeated_hour() -> None:
    second_occurrence = at(2026, 10, 25, 1, 10)  # 02:10 in Prague for the second time; 02:30 was 40 minutes ago

    assert local(Schedule(cron=NIGHTLY, timezone=PRAGUE), second_occurrence, 1) == ["10-26 02:30 +0100"]


def test_hourly_cron_runs_by_elapsed_time() -> None:
    hourly = Schedule(cron="30 * * * *", timezone=PRAGUE)

    assert len(local(hourly, at(2026, 10, 24, 22), 25)) == 25
    assert local(hourly, at(2026, 10, 24, 22), 25)[-1] == "10-25 23:30 +0100"
    assert local(hourly, at(2026, 3, 28, 23), 23)[-1] == "03-29 23:30 +0200"


def test_two_skipped_times_run_once() -> None:
    assert local(Schedule(cron="0,30 2 * * *", timezone=PRAGUE), at(2026, 3, 28, 12), 2) == [
        "03-29 03:00 +0200",
        "03-30 02:00 +0200",
    ]


def test_interval_is_counted_from_midnight_utc() -> None:
    schedule = Schedule(every=timedelta(hours=6), timezone=AUCKLAND)

    assert [tick.hour for tick in next_ticks(schedule, at(2026, 6, 1, 0), 4)] == [6, 12, 18, 0]


def test_interval_not_dividing_a_day_keeps_its_length() -> None:
    ticks = next_ticks(Schedule(every=timedelta(hours=7)), at(2026, 6, 1), 10)

    assert {later - earlier for earlier, later in pairwise(ticks)} == {timedelta(hours=7)}


def test_zero_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        next_ticks(Schedule(every=timedelta(0)), at(2026, 6, 1), 1)


def test_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        next_ticks(Schedule(cron=NIGHTLY), at(2026, 6, 1).replace(tzinfo=None), 1)


def test_schedule_without_times_has_no_ticks() -> None:
    assert next_ticks(Schedule(), at(2026, 6, 1), 3) == ()
    assert due_tick(Schedule(), None, at(2026, 6, 1)) is None
    assert explain(Schedule()) == "Only when started manually"


def test_only_latest_missed_tick_is_due() -> None:
    assert due_tick(Schedule(cron="*/5 * * * *"), at(2020, 1, 1), at(2026, 6, 1, 0, 7)) == at(2026, 6, 1, 0, 5)


def test_tick_is_due_until_done() -> None:
    schedule = Schedule(cron="0 2 * * *")

    assert due_tick(schedule, at(2026, 5, 31, 2), at(2026, 6, 1, 1, 59)) is None
    assert due_tick(schedule, at(2026, 5, 31, 2), at(2026, 6, 1, 2)) == at(2026, 6, 1, 2)
    assert due_tick(schedule, at(2026, 6, 1, 2), at(2026, 6, 1, 9)) is None


def test_job_without_last_tick_is_due_for_latest() -> None:
    assert due_tick(Schedule(cron="0 2 * * 1"), None, at(2026, 6, 3)) == at(2026, 6, 1, 2)


def test_tick_years_ago_is_found() -> None:
    assert due_tick(Schedule(cron="0 0 29 2 *"), None, at(2027, 6, 1)) == at(2024, 2, 29)
    assert due_tick(Schedule(cron="0 0 29 2 */7"), None, at(2026, 6, 1)) == at(2004, 2, 29)


def test_clock_set_back_makes_no_tick_due() -> None:
    assert due_tick(Schedule(cron="* * * * *"), at(2026, 6, 2), at(2026, 6, 1)) is None


def test_done_tick_is_not_due_again_in_repeated_hour() -> None:
    schedule = Schedule(cron=NIGHTLY, timezone=PRAGUE)
    first_occurrence = at(2026, 10, 25, 0, 30)

    assert due_tick(schedule, at(2026, 10, 24, 0, 30), at(2026, 10, 25, 1, 10)) == first_occurrence
    assert due_tick(schedule, first_occurrence, at(2026, 10, 25, 1, 35)) is None


DATETIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
SCHEDULES = st.builds(
    Schedule,
    cron=st.sampled_from(["*/15 * * * *", "0 2 * * *", "30 2,3 * * *", "5 0 1 * *", "0 12 * * MON-FRI", "0 1 L * *"]),
    timezone=st.sampled_from([PRAGUE, AUCKLAND, "UTC", "America/New_York", "Asia/Kathmandu"]),
)


@given(SCHEDULES, DATETIMES, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_due_tick_is_last_tick_in_between(schedule: Schedule, last_done: datetime, passed: timedelta) -> None:
    ticks = [tick for tick in next_ticks(schedule, last_done, 300) if tick <= last_done + passed]

    assert due_tick(schedule, last_done, last_done + passed) == (ticks[-1] if ticks else None)


@given(SCHEDULES, DATETIMES)
def test_ticks_increase_strictly(schedule: Schedule, after: datetime) -> None:
    ticks = next_ticks(schedule, after, 20)

    assert list(ticks) == sorted({*ticks})
    assert all(tick > after for tick in ticks)


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("0 2 * *", "UTC", "5 cron fields"),
        ("0 0 2 * * *", "UTC", "5 cron fields"),
        ("@daily", "UTC", "5 cron fields"),
        ("", "UTC", "5 cron fields"),
        ("61 2 * * *", "UTC", "bad minute"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("0 0 */31 * MON#5", "UTC", "never occurs"),
        ("* * * * *,sat#3", "UTC", "day of week: * in a list"),
        ("* * * * 1,*", "UTC", "day of week: * in a list"),
        ("*,5 * * * *", "UTC", "minute: * in a list"),
        ("0 0 *,L * *", "UTC", "day of month: * in a list"),
        ("0 0 L/2 * *", "UTC", "day of month: the last day of a month has no step; write L alone"),
        ("0 0 1,lw/3 * *", "UTC", "write LW alone"),
        ("*/90 * * * *", "UTC", "minute: a step greater than 60"),
        ("0 */25 * * *", "UTC", "hour: a step greater than 24"),
        ("0 0 * 1/13 *", "UTC", "month: a step greater than 12"),
        ("0 2 * * *", "Mars/Base", "not a time zone"),
        ("0 2 * * *", "", "not a time zone"),
        ("0 2 * * *", "../../etc/passwd", "not a time zone"),
        ("0 2 * * *", "/etc/passwd", "not a time zone"),
        ("0 2 * * *", "UTC\0", "not a time zone"),
        ("0 2 * * *", "Europe", "not a time zone"),
    ],
)
def test_invalid_cron_or_zone_is_described(cron: str, zone: str, expected: str) -> None:
    problem = check(cron, zone)

    assert problem is not None
    assert expected in problem
    with pytest.raises(ValueError, match=re.escape(expected)):
        next_ticks(Schedule(cron=cron, timezone=zone), at(2026, 1, 1), 1)


def test_long_value_is_truncated_in_error() -> None:
    assert len(check("*/" + "9" * 100_000 + " * * * *", "UTC") or "") < 200
    assert len(check("x" * 100_000 + " * * * *", "UTC") or "") < 200
    assert len(check(NIGHTLY, "x" * 100_000) or "") < 200


@pytest.mark.parametrize(
    "cron",
    [
        "0 2 * * *",
        "*/15 8-18 * * MON-FRI",
        "0 0 L * *",
        "0 0 * * 5#2",
        "0 0 LW 12 *",
        "*/60 */24 L,LW,*/2 JUL/2 sat#3,mon",
        "0 0 29 2 */7",
    ],
)
def test_common_cron_expressions_are_accepted(cron: str) -> None:
    assert check(cron, AUCKLAND) is None


def test_schedule_is_explained() -> None:
    assert explain(Schedule(cron="0 2 * * *", timezone=AUCKLAND)) == "At 02:00 every day (Pacific/Auckland)"
    assert explain(Schedule(every=timedelta(hours=6))) == "Every 6 hours, counted from midnight UTC"
    assert explain(Schedule(every=timedelta(days=1, minutes=1))) == "Every 1 day 1 minute, counted from midnight UTC"
