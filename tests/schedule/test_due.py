"""When runs begin: window, jitter, quiet hours and catching up, over changes of the clocks in every zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.core.schedule import CatchUp, Schedule, TimeSpan, parse_span
from batchsync.schedule import due_run, due_tick, next_begins, next_ticks, next_wake, quiet_until

PRAGUE = "Europe/Prague"
ZONES = sorted(available_timezones())
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def spans(*texts: str) -> tuple[TimeSpan, ...]:
    found = tuple(parse_span(text) for text in texts)
    assert None not in found
    return tuple(item for item in found if item is not None)


def test_ticks_outside_the_window_are_dropped() -> None:
    schedule = Schedule(every=timedelta(hours=4), timezone=PRAGUE, window=spans("mon-fri 08:00-18:00"))

    # Friday, 29 May: 10:00, 14:00 in Prague; the next is Monday at 10:00.
    assert next_ticks(schedule, at(5, 29), 3) == (at(5, 29, 8), at(5, 29, 12), at(6, 1, 8))
    assert due_tick(schedule, at(5, 29, 12), at(6, 1, 7)) is None


def test_tick_that_missed_its_window_waits_until_the_window_opens_again() -> None:
    schedule = Schedule(cron="30 17 * * *", window=spans("08:00-18:00"))

    assert due_run(schedule, "guests", at(6, 1, 1), at(6, 1, 18, 30)) is None
    assert next_wake(schedule, "guests", at(6, 1, 18, 30)) == at(6, 2, 8)
    due = due_run(schedule, "guests", at(6, 1, 1), at(6, 2, 8))
    assert due is not None
    assert due.tick == at(6, 1, 17, 30)


def test_tick_in_quiet_hours_waits_until_they_end() -> None:
    schedule = Schedule(cron="0 * * * *", timezone=PRAGUE, quiet=spans("mon-fri 08:00-18:00"))

    assert due_run(schedule, "guests", at(6, 1, 5), at(6, 1, 6, 30)) is None
    assert quiet_until(schedule, at(6, 1, 6, 30)) == at(6, 1, 16)
    assert quiet_until(schedule, at(6, 1, 16)) is None
    assert next_begins(schedule, "guests", at(6, 1, 5), 3) == (at(6, 1, 16), at(6, 1, 17), at(6, 1, 18))
    due = due_run(schedule, "guests", at(6, 1, 5), at(6, 1, 16))
    assert due is not None
    assert due.tick == at(6, 1, 16)


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        # Clocks go forward at 01:00 UTC: 02:30 does not exist, and the hours end at the change.
        ("00:00-02:30", at(3, 29, 0), at(3, 29, 1)),
        # Clocks go back at 01:00 UTC: 02:30 is repeated, and the hours end the second time.
        ("00:00-02:30", at(10, 25, 0), at(10, 25, 0, 30)),
        ("sat,sun", at(3, 28, 12), at(3, 29, 22)),
    ],
)
def test_quiet_hours_end_as_the_clocks_show(text: str, now: datetime, expected: datetime) -> None:
    assert quiet_until(Schedule(every=HOUR, timezone=PRAGUE, quiet=spans(text)), now) == expected


def test_jitter_delays_runs_and_keeps_them_in_the_window() -> None:
    plain = Schedule(cron="0 2 * * *")
    schedule = Schedule(cron="0 2 * * *", jitter=timedelta(minutes=50))
    narrow = Schedule(cron="0 2 * * *", jitter=timedelta(minutes=50), window=spans("02:00-02:10"))
    ticks = next_ticks(plain, at(6, 1), 40)

    begins = next_begins(schedule, "guests", at(6, 1), 40)

    assert all(tick <= begin <= tick + timedelta(minutes=50) for tick, begin in zip(ticks, begins, strict=True))
    assert len({begin - tick for tick, begin in zip(ticks, begins, strict=True)}) > 20
    assert {begin.minute < 10 for begin in next_begins(narrow, "guests", at(6, 1), 40)} == {True}
    assert due_tick(schedule, ticks[0], begins[1] - MINUTE, "guests") is None
    assert due_tick(schedule, ticks[0], begins[1], "guests") == ticks[1]


def test_all_missed_ticks_are_due_in_order() -> None:
    schedule = Schedule(cron="0 * * * *", catch_up=CatchUp.ALL)
    found, last = [], at(6, 1)
    while (tick := due_tick(schedule, last, at(6, 2, 0, 30))) is not None:
        found.append(tick)
        last = tick
    assert found == [at(6, 1) + HOUR * number for number in range(1, 25)]


def test_a_thousand_missed_ticks_at_most_are_caught_up() -> None:
    now = at(6, 1, 0, 5)
    schedule = Schedule(cron="*/5 * * * *", catch_up=CatchUp.ALL)
    assert due_tick(schedule, datetime(2020, 1, 1, tzinfo=UTC), now) == now - 999 * timedelta(minutes=5)


def test_missed_ticks_are_reported_with_catch_up_none() -> None:
    schedule = Schedule(cron="0 2 * * *", catch_up=CatchUp.NONE)

    missed = due_run(schedule, "guests", at(6, 1, 2), at(6, 2, 9), served_since=at(6, 2, 9))
    late = due_run(schedule, "guests", at(6, 1, 2), at(6, 2, 9), served_since=at(6, 2, 1))

    assert missed is not None
    assert late is not None
    assert (missed.tick, missed.missed) == (at(6, 2, 2), True)
    assert (late.tick, late.missed) == (at(6, 2, 2), False)


def changes_of(zone: str, year: int) -> list[datetime]:
    """Return days after which the clocks of a zone have changed in a year."""
    days = [datetime(year, 1, 1, tzinfo=UTC) + DAY * number for number in range(367)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    return [day for day, (before, after) in zip(days, pairwise(offsets), strict=False) if before != after]


def daily_ticks(zone: str, clock: time, first: datetime, last: datetime) -> list[datetime]:
    """Return the tick of each local day: the time of day, its first occurrence, or the end of the gap that has it."""
    info, found, day = ZoneInfo(zone), set(), first.date() - 2 * DAY
    while day <= last.date() + 2 * DAY:
        local = datetime.combine(day, clock)
        instants = sorted(local.replace(tzinfo=info, fold=fold).astimezone(UTC) for fold in (0, 1))
        exists = instants[0].astimezone(info).replace(tzinfo=None) == local
        found.add(instants[0] if exists else _change_after(instants[0], info))
        day += DAY
    return sorted(tick for tick in found if first < tick <= last)


def _change_after(start: datetime, info: ZoneInfo) -> datetime:
    """Return the first minute after a change of the clocks."""
    before, minutes = start.astimezone(info).utcoffset(), (start + number * MINUTE for number in range(2 * 24 * 60))
    return next(minute for minute in minutes if minute.astimezone(info).utcoffset() != before)


CLOCKS = st.sampled_from([time(0), time(0, 30), time(1), time(2), time(2, 30), time(3, 15), time(23, 45)])


@settings(max_examples=60, deadline=None)
@given(zone=st.sampled_from(ZONES), year=st.integers(1995, 2036), clock=CLOCKS, data=st.data())
def test_daily_tick_comes_once_a_day_in_every_zone(zone: str, year: int, clock: time, data: st.DataObject) -> None:
    changes = changes_of(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]
    around = data.draw(st.sampled_from(changes))
    first, last = around - 3 * DAY, around + 3 * DAY
    schedule = Schedule(cron=f"{clock.minute} {clock.hour} * * *", timezone=zone)

    found = [tick for tick in next_ticks(schedule, first, 12) if tick <= last]

    assert found == daily_ticks(zone, clock, first, last)


CRONS = st.sampled_from(["30 2 * * *", "*/20 * * * *", "0 1-3 * * *", "0 */2 * * *", "15 0,23 * * SUN-MON"])


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    year=st.integers(1995, 2036),
    cron=CRONS,
    catch_up=st.sampled_from([CatchUp.LAST, CatchUp.ALL]),
    jitter=st.sampled_from([timedelta(0), timedelta(minutes=7)]),
    data=st.data(),
)
def test_each_tick_is_run_once_and_in_order_whenever_controllers_look(
    zone: str, year: int, cron: str, catch_up: CatchUp, jitter: timedelta, data: st.DataObject
) -> None:
    """Two controllers share what was claimed; each looks at times of its own, with pauses for restarts."""
    around = data.draw(st.sampled_from(changes_of(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]))
    first, last = around - DAY, around + DAY
    schedule = Schedule(cron=cron, timezone=zone, catch_up=catch_up, jitter=jitter)
    looks = sorted(data.draw(st.lists(st.integers(0, 48 * 60), min_size=2, max_size=12, unique=True)))
    claimed: list[datetime] = [first]
    run: list[datetime] = []

    for look in [first + minutes * MINUTE for minutes in looks]:
        while (due := due_run(schedule, "guests", claimed[-1], look)) is not None:
            run.append(due.tick)
            claimed.append(due.tick)

    assert run == sorted(set(run))
    seen = first + looks[-1] * MINUTE
    ticks = [tick for tick in next_ticks(schedule, first, 400) if tick <= min(seen, last)]
    begun = [tick for tick in ticks if tick + jitter <= seen]
    assert set(run) <= set(ticks)
    if catch_up is CatchUp.ALL:
        assert run[: len(begun)] == begun
    elif begun:
        assert run[-1] >= begun[-1]


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    text=st.sampled_from(["22:00-06:00", "mon-fri 08:00-18:00", "01:00-02:30"]),
    data=st.data(),
)
def test_quiet_hours_end_in_every_zone(zone: str, text: str, data: st.DataObject) -> None:
    year = data.draw(st.integers(1995, 2036))
    around = data.draw(st.sampled_from(changes_of(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]))
    now = around + data.draw(st.integers(-2 * 24 * 60, 2 * 24 * 60)) * MINUTE
    schedule = Schedule(every=HOUR, timezone=zone, quiet=spans(text))

    until = quiet_until(schedule, now)

    local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert (until is not None) == schedule.is_quiet(local)
    if until is not None:
        assert not schedule.is_quiet(until.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
        assert schedule.is_quiet((until - MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None))
