"""From a schedule to its slots: which come next, and which one is due. Pure; every moment is an argument.

It does not know what runs in a slot. A slot is the moment at which a job should start, aware and in UTC.

Where clocks are moved, a cron line with a set hour keeps to one run a day, as Debian's cron does (this is what cronsim
does with the clock time it is given, tried in `tests/schedule`):

- a time that is skipped (02:30 on the morning when 02:00 becomes 03:00) runs at the first moment after the gap, 03:00;
- a time that comes twice (02:30 when 03:00 becomes 02:00) runs the first time only.

A line whose minute or hour field starts with `*` runs by elapsed time: each hour that happens has its slot, so 23 or 25
on such a day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.core.job import Schedule

FIELDS = 5
SHOWN = 60  # characters of a wrong text that an error shows
#: As far back as a missed slot is looked for. 29 February on a Sunday (`0 0 29 2 */7`) comes once in 28 years.
LOOK_BACK = timedelta(days=50 * 366)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_WINDOW = timedelta(hours=2)
_DAY = timedelta(days=1)


def check(cron: str, timezone: str) -> str | None:
    """Say what is wrong with a cron line or its time zone; None when both will do."""
    try:
        # Names are paths in the zone database, so an absolute or climbing one is an error of its own.
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return f"{timezone[:SHOWN]!r} is no time zone; write one as in Pacific/Auckland, Europe/Prague or UTC"
    fields = len(cron.split())
    if fields != FIELDS:
        return f"a cron line has 5 fields (minute, hour, day of month, month, day of week), not {fields}"
    try:
        next(CronSim(cron, EPOCH))
    except CronSimError as error:
        return f"{cron[:SHOWN]!r} is no cron line: {str(error).lower()}"
    except StopIteration:
        return f"{cron[:SHOWN]!r} names a day that never comes"
    return None


def next_slots(schedule: Schedule, after: datetime, count: int) -> tuple[datetime, ...]:
    """Return the next `count` slots later than `after`, in order; fewer if the schedule ends, none if it has no times.

    Raises:
        ValueError: `after` has no time zone, or the schedule is one that `check` refuses or an interval of nothing.
    """
    return tuple(islice(_after(schedule, after), max(count, 0)))


def due_slot(schedule: Schedule, last_done: datetime | None, now: datetime) -> datetime | None:
    """Return the latest slot not later than `now` and later than `last_done`; None when nothing is due.

    Of several missed slots only the latest is due: a job compares whole states, so one run makes up for all. A job that
    was never done is due for the latest slot there was; who wants to wait for the next one gives the moment at which
    it started to watch as `last_done`.

    Raises:
        ValueError: as `next_slots`.
    """
    window = _FIRST_WINDOW
    while True:
        since = now - window
        floor = since if last_done is None else max(since, last_done)
        slots = tuple(_until(schedule, floor, now))
        if slots:
            return slots[-1]
        if floor == last_done or window > LOOK_BACK:
            return None
        # A wider window is walked only when the narrower one was empty, so few slots are ever passed over.
        window *= 8


def explain(schedule: Schedule) -> str:
    """Return the schedule in words, as in `At 02:00 every day (Pacific/Auckland)`.

    Raises:
        ValueError: as `next_slots`.
    """
    if schedule.cron is not None:
        return f"{_cron(schedule, EPOCH).explain()} ({schedule.timezone})"
    if schedule.every is not None:
        return f"Every {_span(schedule.every)}, counted from midnight UTC"
    return "Only when started by hand"


def _until(schedule: Schedule, after: datetime, last: datetime) -> Iterator[datetime]:
    for slot in _after(schedule, after):
        if slot > last:
            return
        yield slot


def _after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    if after.tzinfo is None:
        msg = "a moment needs a time zone"
        raise ValueError(msg)
    if schedule.cron is not None:
        yield from _cron_slots(schedule, after)
    elif schedule.every is not None:
        yield from _interval_slots(schedule.every, after)


def _cron_slots(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    for local in _cron(schedule, after):
        slot = local.astimezone(UTC)
        # In an hour that comes twice cronsim starts from the clock time alone and may name its first coming again.
        if slot > after:
            yield slot


def _interval_slots(every: timedelta, after: datetime) -> Iterator[datetime]:
    """Give the multiples of an interval since midnight UTC of 1970-01-01; one that divides a day keeps its times."""
    if every <= timedelta(0):
        msg = "an interval needs to be longer than nothing"
        raise ValueError(msg)
    slot = EPOCH + every * ((after - EPOCH) // every)
    while True:
        slot += every
        yield slot


def _cron(schedule: Schedule, after: datetime) -> CronSim:
    wrong = check(schedule.cron or "", schedule.timezone)
    if wrong is not None:
        raise ValueError(wrong)
    return CronSim(schedule.cron or "", after.astimezone(ZoneInfo(schedule.timezone)))


def _span(every: timedelta) -> str:
    units = {"day": every.days, "hour": every.seconds // 3600, "minute": every.seconds % 3600 // 60}
    units["second"] = every.seconds % 60
    parts = [f"{number} {unit}{'s' if number != 1 else ''}" for unit, number in units.items() if number]
    return " ".join(parts) or "moment"
