"""Schedules as timers and services of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cronsim import CronSim

from batchsync.core.schedule import CatchUp
from batchsync.schedule.cron_fields import NotExpressibleError, interval_lines
from batchsync.schedule.ticks import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchsync.core.schedule import Schedule
    from batchsync.schedule.command import Command

_WEEK = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAYS_OF_WEEK = 7
_NUMBERED = 2
_MONTH = 31


def units(job: str, schedule: Schedule, command: Command) -> Iterator[tuple[str, str]]:
    """Yield the file name and text of the service and the timer of a job.

    Args:
        job: Name of the job.
        schedule: Its schedule.
        command: What the service runs.

    Raises:
        NotExpressibleError: If a key cannot be expressed.
    """
    lines = calendar(schedule)
    name = f"batchsync-{job}"
    environment = "".join(f'Environment="{key}={_escaped(value)}"\n' for key, value in command.environment)
    yield (
        f"{name}.service",
        f"""[Unit]
Description=batchsync job {job}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={command.folder.replace("%", "%%")}
{environment}EnvironmentFile=-/etc/batchsync/secrets
ExecStart={" ".join(_argument(word) for word in command.words(job))}
# 5: a run goes on, and the next start resumes it.
SuccessExitStatus=5 143
""",
    )
    timer = [f"OnCalendar={line}" for line in lines]
    if schedule.jitter:
        timer += [f"RandomizedDelaySec={int(schedule.jitter.total_seconds())}s", "FixedRandomDelay=true"]
    timer += ["AccuracySec=1s", f"Persistent={str(schedule.catch_up is CatchUp.LAST).lower()}"]
    yield (
        f"{name}.timer",
        f"""[Unit]
Description=Times of batchsync job {job}

[Timer]
# A timer that elapses while the service runs starts no second one. A time that the clocks skip is not run that day.
{chr(10).join(timer)}

[Install]
WantedBy=timers.target
""",
    )


def calendar(schedule: Schedule) -> tuple[str, ...]:
    """Return the calendar events of systemd that have the ticks of a schedule.

    Raises:
        NotExpressibleError: If a key of the schedule cannot be expressed.
    """
    if schedule.cron is None:
        found = interval_lines(schedule.every) if schedule.every else iter(())
        return tuple(event for fields in found for event in _events(fields, "UTC"))
    return tuple(_events(schedule.cron, schedule.timezone))


def _events(fields: str, timezone: str) -> Iterator[str]:
    """Yield the events of a cron line: one for each way in which it names days."""
    sim = CronSim(fields, EPOCH)
    times = f"{_listed(sim.hours, 24)}:{_listed(sim.minutes, 60)}:00 {timezone}"
    months = _listed(sim.months, 12, 1)
    by_month = list(_days_of_month(sim.days, months))
    by_week = list(_days_of_week(sim.weekdays, months))
    every_day, every_weekday = len(sim.days) == _MONTH, not by_week
    if every_weekday:
        days = by_month
    elif every_day:
        days = [event if " " in event else f"{event} *-{months}-*" for event in by_week]
    elif not sim.day_and:
        days = [*by_month, *(event if " " in event else f"{event} *-{months}-*" for event in by_week)]
    elif any(" " in event for event in by_week):
        reason = "a numbered day of the week together with days of the month"
        raise NotExpressibleError("cron", reason, "either of both")
    else:
        days = [f"{week} {month}" for week in by_week for month in by_month]
    yield from (f"{day} {times}" for day in days)


def _days_of_month(days: Iterable[int], months: str) -> Iterator[str]:
    """Yield the dates of days of the month, counted from its end where the cron line does."""
    if CronSim.LAST_WEEKDAY in days:
        raise NotExpressibleError("cron", "LW, the last weekday of a month", "L, or days of the month")
    if numbers := [day for day in days if day > 0]:
        yield f"*-{months}-{_listed(numbers, _MONTH, 1)}"
    if CronSim.LAST in days:
        yield f"*-{months}~01"


def _days_of_week(weekdays: Iterable[object], months: str) -> Iterator[str]:
    """Yield days of the week, with dates where they are numbered; nothing if all are meant."""
    plain = {day % _DAYS_OF_WEEK for day in weekdays if isinstance(day, int)}
    numbered = [pair for pair in weekdays if isinstance(pair, tuple) and len(pair) == _NUMBERED]
    if plain and len(plain) < _DAYS_OF_WEEK:
        yield ",".join(_WEEK[day] for day in sorted(plain))
    for day, number in sorted(numbered):
        dates = (
            f"~{_DAYS_OF_WEEK:02}/1"
            if number == CronSim.LAST
            else f"-{number * 7 - 6:02}..{min(number * 7, _MONTH):02}"
        )
        yield f"{_WEEK[day]} *-{months}{dates}"


def _listed(values: Iterable[int], size: int, first: int = 0) -> str:
    """Return numbers as a component of a calendar event."""
    found = sorted(values)
    if found == list(range(first, first + size)):
        return "*"
    return ",".join(f"{value:02}" for value in found)


def _argument(word: str) -> str:
    """Return a word of a command line of a unit."""
    escaped = _escaped(word).replace("$", "$$")
    return f'"{escaped}"' if any(char.isspace() or char in "\"'\\;" for char in word) else escaped


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
