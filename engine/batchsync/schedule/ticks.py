"""Ticks of a schedule: the next ones, and the one that is due. Pure functions; times are arguments.

A tick is the time at which a job should start, timezone-aware and in UTC.

Where clocks change, a cron expression with a fixed hour keeps to one run a day, as Debian's cron does (this is the
behaviour of cronsim, see `tests/schedule`):

- a skipped time (02:30 on the morning when 02:00 becomes 03:00) runs at the first moment after the gap, 03:00;
- a repeated time (02:30 when 03:00 becomes 02:00) runs the first time only.

An expression whose minute or hour field starts with `*` runs by elapsed time: at each minute that occurs whose local
time it names, so 23 or 25 times on such a day. Cronsim steps by whole hours of elapsed time and loses ticks where
clocks change by half an hour (Lord Howe); here it steps through local time, from one change of the clocks to the next.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.schedule import Schedule

FIELDS = 5
MAX_SHOWN_CHARS = 60  # characters of a problem text that an error shows
_FIELD_NAMES = ("minute", "hour", "day of month", "month", "day of week")
_FIELD_SIZES = (60, 24, 31, 12, 7)
#: How far back missed ticks are searched. 29 February on a Sunday (`0 0 29 2 */7`) comes once in 28 years.
LOOK_BACK = timedelta(days=50 * 366)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)


def check(cron: str, timezone: str) -> str | None:
    """Return what is wrong with a cron expression or its time zone; None if both are valid."""
    try:
        # Names are paths in the zone database: absolute and relative ones raise ValueError.
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return f"{timezone[:MAX_SHOWN_CHARS]!r} is not a time zone; expected a name such as Europe/Prague or UTC"
    fields = len(cron.split())
    if fields != FIELDS:
        return f"expected 5 cron fields (minute, hour, day of month, month, day of week), found {fields}"
    if (misread := _misread(cron)) is not None:
        return f"{cron[:MAX_SHOWN_CHARS]!r} is not a cron expression: {misread}"
    try:
        next(CronSim(cron, EPOCH))
    except CronSimError as error:
        return f"{cron[:MAX_SHOWN_CHARS]!r} is not a cron expression: {str(error).lower()}"
    except StopIteration:
        return f"{cron[:MAX_SHOWN_CHARS]!r} is a day that never occurs"
    return None


def _misread(cron: str) -> str | None:
    """Return what is wrong with fields that cronsim reads as something else than what is written, or None."""
    for name, size, field in zip(_FIELD_NAMES, _FIELD_SIZES, cron.upper().split(), strict=True):
        terms = field.split(",")
        if len(terms) > 1 and "*" in terms:
            return f"{name}: * in a list means every value; write * alone, or leave it out of the list"
        for term in terms:
            base, _, step = term[:MAX_SHOWN_CHARS].partition("/")
            if step and base in ("L", "LW"):
                return f"{name}: the last day of a month has no step; write {base} alone"
            if step.isdecimal() and int(step) > size:
                return f"{name}: a step greater than {size} leaves only the first value; write that value"
    return None


def explain(schedule: Schedule) -> str:
    """Return the schedule in words, such as `At 02:00 every day (Pacific/Auckland)`.

    Raises:
        ValueError: If `check` refuses the schedule.
    """
    if schedule.cron is not None:
        text = f"{_cron(schedule, EPOCH).explain()} ({schedule.timezone})"
    elif schedule.every is not None:
        text = f"Every {_duration(schedule.every)}, counted from midnight UTC"
    else:
        return "Only when started manually"
    zone = "" if schedule.cron is not None else f" ({schedule.timezone})"
    parts = [f"up to {_duration(schedule.jitter)} later"] if schedule.jitter else []
    parts += [f"only {', '.join(map(str, schedule.window))}{zone}"] if schedule.window else []
    parts += [f"not {', '.join(map(str, schedule.quiet))}{zone}"] if schedule.quiet else []
    return ", ".join([text, *parts])


def ticks_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield all ticks after a time, whatever the window of the schedule.

    Args:
        schedule: The schedule.
        after: Timezone-aware.

    Yields:
        Ticks in order.

    Raises:
        ValueError: As `next_ticks`.
    """
    if after.tzinfo is None:
        message = "a datetime with a time zone is required"
        raise ValueError(message)
    if schedule.cron is not None:
        yield from _cron_ticks(schedule, after)
    elif schedule.every is not None:
        yield from _interval_ticks(schedule.every, after)


def _cron_ticks(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    local_times = _cron(schedule, after)
    minute, hour, *_ = (schedule.cron or "").split()
    if minute.startswith("*") or hour.startswith("*"):
        yield from _elapsed_ticks(schedule, after)
        return
    for local in local_times:
        tick = local.astimezone(UTC)
        # In a repeated hour cronsim starts from the local time alone and may return the first occurrence again.
        if tick > after:
            yield tick


def _elapsed_ticks(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield every minute later than `after` whose local time a cron expression names."""
    zone = ZoneInfo(schedule.timezone)
    start = from_time = after.astimezone(UTC).replace(microsecond=0)
    changed_at: datetime | None = start
    while changed_at is not None:
        changed_at, offset = None, _offset(zone, start)
        for local in CronSim(schedule.cron or "", (from_time + offset).replace(tzinfo=None)):
            tick = local.replace(tzinfo=UTC) - offset
            changed_at = next_change(zone, start, tick)
            if changed_at is not None:
                # The minute of the change may be a tick, and cronsim returns later times only.
                start, from_time = changed_at, changed_at - timedelta(seconds=1)
                break
            yield tick
            start = tick


def next_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """Return the first minute after `start`, up to `end`, with another offset from UTC; None if there is none."""
    offset = _offset(zone, start)
    while start < end:
        later = min(start + _DAY, end)
        if _offset(zone, later) != offset:
            while later - start > _MINUTE:
                middle = start + (later - start) // 2
                start, later = (middle, later) if _offset(zone, middle) == offset else (start, middle)
            return later.replace(second=0, microsecond=0)
        start = later
    return None


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    """Return the offset of local time from UTC."""
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _interval_ticks(every: timedelta, after: datetime) -> Iterator[datetime]:
    """Yield the multiples of an interval since midnight UTC of 1970-01-01; divisors of a day keep their times."""
    if every <= timedelta(0):
        message = "an interval must be positive"
        raise ValueError(message)
    tick = EPOCH + every * ((after - EPOCH) // every)
    while True:
        tick += every
        yield tick


def _cron(schedule: Schedule, after: datetime) -> CronSim:
    problem = check(schedule.cron or "", schedule.timezone)
    if problem is not None:
        raise ValueError(problem)
    return CronSim(schedule.cron or "", after.astimezone(ZoneInfo(schedule.timezone)))


def _duration(every: timedelta) -> str:
    units = {"day": every.days, "hour": every.seconds // 3600, "minute": every.seconds % 3600 // 60}
    units["second"] = every.seconds % 60
    parts = [f"{number} {unit}{'s' if number != 1 else ''}" for unit, number in units.items() if number]
    return " ".join(parts) or "moment"
