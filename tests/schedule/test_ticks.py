"""The promises of schedules: which moments they name, above all when clocks are moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.job import Schedule
from lading.schedule import check, due_slot, explain, next_slots

PRAGUE, AUCKLAND = "Europe/Prague", "Pacific/Auckland"
NIGHTLY = "30 2 * * *"


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def local(schedule: Schedule, after: datetime, count: int) -> list[str]:
    zone = ZoneInfo(schedule.timezone)
    return [slot.astimezone(zone).strftime("%m-%d %H:%M %z") for slot in next_slots(schedule, after, count)]


def test_slots_are_moments_in_utc_in_the_order_they_come() -> None:
    schedule = Schedule(cron="0 2 * * *", timezone=AUCKLAND)

    assert next_slots(schedule, at(2026, 6, 1), 2) == (at(2026, 6, 1, 14), at(2026, 6, 2, 14))


def test_a_slot_is_always_later_than_the_moment_asked_about() -> None:
    schedule = Schedule(cron="0 2 * * *")

    assert next_slots(schedule, at(2026, 6, 1, 2), 1) == (at(2026, 6, 2, 2),)
    assert next_slots(schedule, at(2026, 6, 1, 1, 59), 1) == (at(2026, 6, 1, 2),)


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (PRAGUE, at(2026, 3, 27, 12), ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"]),
        (AUCKLAND, at(2026, 9, 25, 0), ["09-26 02:30 +1200", "09-27 03:00 +1300", "09-28 02:30 +1300"]),
    ],
)
def test_a_time_that_the_clocks_skip_runs_at_the_next_moment_there_is(
    zone: str, after: datetime, expected: list[str]
) -> None:
    assert local(Schedule(cron=NIGHTLY, timezone=zone), after, 3) == expected


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (PRAGUE, at(2026, 10, 24, 12), ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        (AUCKLAND, at(2026, 4, 4, 0), ["04-05 02:30 +1300", "04-06 02:30 +1200"]),
    ],
)
def test_a_time_that_comes_twice_runs_once_the_first_time(zone: str, after: datetime, expected: list[str]) -> None:
    assert local(Schedule(cron=NIGHTLY, timezone=zone), after, 2) == expected


def test_asking_within_the_hour_that_comes_twice_does_not_run_it_again() -> None:
    second_coming = at(2026, 10, 25, 1, 10)  # 02:10 in Prague for the second time; 02:30 was 40 minutes ago

    assert local(Schedule(cron=NIGHTLY, timezone=PRAGUE), second_coming, 1) == ["10-26 02:30 +0100"]


def test_an_hourly_line_runs_in_every_hour_that_happens() -> None:
    hourly = Schedule(cron="30 * * * *", timezone=PRAGUE)

    assert len(local(hourly, at(2026, 10, 24, 22), 25)) == 25
    assert local(hourly, at(2026, 10, 24, 22), 25)[-1] == "10-25 23:30 +0100"
    assert local(hourly, at(2026, 3, 28, 23), 23)[-1] == "03-29 23:30 +0200"


def test_two_skipped_times_of_one_morning_run_once() -> None:
    assert local(Schedule(cron="0,30 2 * * *", timezone=PRAGUE), at(2026, 3, 28, 12), 2) == [
        "03-29 03:00 +0200",
        "03-30 02:00 +0200",
    ]


def test_an_interval_is_counted_from_midnight_utc() -> None:
    schedule = Schedule(every=timedelta(hours=6), timezone=AUCKLAND)

    assert [slot.hour for slot in next_slots(schedule, at(2026, 6, 1, 0), 4)] == [6, 12, 18, 0]


def test_an_interval_that_does_not_divide_a_day_keeps_its_length() -> None:
    slots = next_slots(Schedule(every=timedelta(hours=7)), at(2026, 6, 1), 10)

    assert {later - earlier for earlier, later in pairwise(slots)} == {timedelta(hours=7)}


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        next_slots(Schedule(every=timedelta(0)), at(2026, 6, 1), 1)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        next_slots(Schedule(cron=NIGHTLY), at(2026, 6, 1).replace(tzinfo=None), 1)


def test_a_schedule_without_times_has_no_slots() -> None:
    assert next_slots(Schedule(), at(2026, 6, 1), 3) == ()
    assert due_slot(Schedule(), None, at(2026, 6, 1)) is None
    assert explain(Schedule()) == "Only when started by hand"


def test_of_many_missed_slots_only_the_latest_is_due() -> None:
    assert due_slot(Schedule(cron="*/5 * * * *"), at(2020, 1, 1), at(2026, 6, 1, 0, 7)) == at(2026, 6, 1, 0, 5)


def test_a_slot_is_due_at_its_very_moment_and_only_until_it_is_done() -> None:
    schedule = Schedule(cron="0 2 * * *")

    assert due_slot(schedule, at(2026, 5, 31, 2), at(2026, 6, 1, 1, 59)) is None
    assert due_slot(schedule, at(2026, 5, 31, 2), at(2026, 6, 1, 2)) == at(2026, 6, 1, 2)
    assert due_slot(schedule, at(2026, 6, 1, 2), at(2026, 6, 1, 9)) is None


def test_a_job_that_was_never_done_is_due_for_the_latest_slot() -> None:
    assert due_slot(Schedule(cron="0 2 * * 1"), None, at(2026, 6, 3)) == at(2026, 6, 1, 2)


def test_a_slot_years_ago_is_still_found() -> None:
    assert due_slot(Schedule(cron="0 0 29 2 *"), None, at(2027, 6, 1)) == at(2024, 2, 29)
    assert due_slot(Schedule(cron="0 0 29 2 */7"), None, at(2026, 6, 1)) == at(2004, 2, 29)


def test_a_clock_that_was_set_back_makes_nothing_due() -> None:
    assert due_slot(Schedule(cron="* * * * *"), at(2026, 6, 2), at(2026, 6, 1)) is None


def test_in_the_hour_that_comes_twice_a_done_slot_is_not_due_again() -> None:
    schedule = Schedule(cron=NIGHTLY, timezone=PRAGUE)
    first_coming = at(2026, 10, 25, 0, 30)

    assert due_slot(schedule, at(2026, 10, 24, 0, 30), at(2026, 10, 25, 1, 10)) == first_coming
    assert due_slot(schedule, first_coming, at(2026, 10, 25, 1, 35)) is None


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
SCHEDULES = st.builds(
    Schedule,
    cron=st.sampled_from(["*/15 * * * *", "0 2 * * *", "30 2,3 * * *", "5 0 1 * *", "0 12 * * MON-FRI", "0 1 L * *"]),
    timezone=st.sampled_from([PRAGUE, AUCKLAND, "UTC", "America/New_York", "Asia/Kathmandu"]),
)


@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_what_is_due_is_the_last_of_the_slots_in_between(
    schedule: Schedule, last_done: datetime, passed: timedelta
) -> None:
    slots = [slot for slot in next_slots(schedule, last_done, 300) if slot <= last_done + passed]

    assert due_slot(schedule, last_done, last_done + passed) == (slots[-1] if slots else None)


@given(SCHEDULES, MOMENTS)
def test_slots_strictly_rise_wherever_one_starts(schedule: Schedule, after: datetime) -> None:
    slots = next_slots(schedule, after, 20)

    assert list(slots) == sorted({*slots})
    assert all(slot > after for slot in slots)


@pytest.mark.parametrize(
    ("cron", "zone", "said"),
    [
        ("0 2 * *", "UTC", "5 fields"),
        ("0 0 2 * * *", "UTC", "5 fields"),
        ("@daily", "UTC", "5 fields"),
        ("", "UTC", "5 fields"),
        ("61 2 * * *", "UTC", "bad minute"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("0 0 */31 * MON#5", "UTC", "never comes"),
        ("0 2 * * *", "Mars/Base", "no time zone"),
        ("0 2 * * *", "", "no time zone"),
        ("0 2 * * *", "../../etc/passwd", "no time zone"),
        ("0 2 * * *", "/etc/passwd", "no time zone"),
        ("0 2 * * *", "UTC\0", "no time zone"),
        ("0 2 * * *", "Europe", "no time zone"),
    ],
)
def test_a_wrong_line_or_zone_is_told_in_words(cron: str, zone: str, said: str) -> None:
    wrong = check(cron, zone)

    assert wrong is not None
    assert said in wrong
    with pytest.raises(ValueError, match=said):
        next_slots(Schedule(cron=cron, timezone=zone), at(2026, 1, 1), 1)


def test_an_endless_text_is_cut_in_the_error() -> None:
    assert len(check("x" * 100_000 + " * * * *", "UTC") or "") < 200
    assert len(check(NIGHTLY, "x" * 100_000) or "") < 200


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/15 8-18 * * MON-FRI", "0 0 L * *", "0 0 * * 5#2", "0 0 LW 12 *"])
def test_the_usual_lines_are_accepted(cron: str) -> None:
    assert check(cron, AUCKLAND) is None


def test_a_schedule_is_told_in_words() -> None:
    assert explain(Schedule(cron="0 2 * * *", timezone=AUCKLAND)) == "At 02:00 every day (Pacific/Auckland)"
    assert explain(Schedule(every=timedelta(hours=6))) == "Every 6 hours, counted from midnight UTC"
    assert explain(Schedule(every=timedelta(days=1, minutes=1))) == "Every 1 day 1 minute, counted from midnight UTC"
