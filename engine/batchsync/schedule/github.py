"""Schedules as a workflow of GitHub, whose cron lines are in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim

from batchsync.schedule.cron_fields import DAY_OF_MONTH, DAY_OF_WEEK, CronLine, NotExpressibleError, compressed
from batchsync.schedule.ticks import next_change

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: GitHub starts workflows at most every five minutes.
_SHORTEST = timedelta(minutes=5)
#: A zone whose clocks did not change in these years counts as one without daylight saving time.
_FIRST, _LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
_HOUR, _DAY, _MINUTES = timedelta(hours=1), 24 * 60, 60
_WEEK = 7
_LOOKED_AT = 200


def utc_lines(lines: Sequence[CronLine]) -> tuple[str, ...]:
    """Return cron fields in UTC with the same ticks.

    Args:
        lines: Lines of one schedule.

    Raises:
        NotExpressibleError: If the zone has daylight saving time, the days of a month would shift, or the interval is
            too short.
    """
    found = [fields for line in lines for fields in _utc(line)]
    for fields in found:
        sim = CronSim(fields, _FIRST)
        times = [next(sim) for _ in range(_LOOKED_AT)]
        if min(later - earlier for earlier, later in pairwise(times)) < _SHORTEST:
            raise NotExpressibleError("cron", "an interval of less than five minutes", "5 minutes or more")
    return tuple(found)


def _utc(line: CronLine) -> Iterator[str]:
    """Yield the fields of a line in UTC: one line for each day to which its times shift, and each minute."""
    zone = ZoneInfo(line.timezone)
    if next_change(zone, _FIRST, _LAST) is not None:
        reason = f"times in {line.timezone}, whose clocks change; GitHub knows UTC only"
        raise NotExpressibleError("timezone", reason, "timezone: UTC, systemd, or `batchsync serve`")
    offset = (_FIRST.astimezone(zone).utcoffset() or timedelta(0)) // timedelta(minutes=1)
    if offset == 0:
        yield line.fields
        return
    sim = CronSim(line.fields, _FIRST)
    minute, hour, *days = line.fields.split()
    if hour == "*" and offset % _MINUTES == 0 and days == ["*", "*", "*"]:
        yield " ".join((minute, hour, *days))
        return
    times: dict[tuple[int, int], list[int]] = {}
    for local_hour in sorted(sim.hours):
        for local_minute in sorted(sim.minutes):
            day, rest = divmod(local_hour * _MINUTES + local_minute - offset, _DAY)
            times.setdefault((day, rest % _MINUTES), []).append(rest // _MINUTES)
    for (day, utc_minute), hours in sorted(times.items()):
        yield f"{utc_minute} {compressed(sorted(hours), 1)} {_shifted_days(line.fields, day)}"


def _shifted_days(fields: str, shift: int) -> str:
    """Return the fields of days and month, a number of days later.

    Raises:
        NotExpressibleError: If a day of the month would shift.
    """
    written = fields.split()
    if shift and (written[DAY_OF_MONTH] != "*" or written[DAY_OF_MONTH + 1] != "*"):
        reason = "days of a month that differ in UTC, where GitHub reads the times"
        raise NotExpressibleError("cron", reason, "timezone: UTC, days of the week, or `batchsync serve`")
    if not shift or written[DAY_OF_WEEK] == "*":
        return " ".join(written[DAY_OF_MONTH:])
    days = {day % _WEEK for day in CronSim(fields, _FIRST).weekdays if isinstance(day, int)}
    return f"* * {','.join(str(day) for day in sorted((day + shift) % _WEEK for day in days))}"


def workflow(lines: Mapping[str, Sequence[str]], options: Sequence[str]) -> str:
    """Return a workflow that runs jobs at their times.

    Args:
        lines: Cron lines in UTC, by job.
        options: Options of each command.
    """
    all_lines = sorted({line for found in lines.values() for line in found})
    crons = "".join(f'    - cron: "{line}"\n' for line in all_lines)
    jobs = "".join(_job(job, found, options) for job, found in lines.items())
    return f"""name: batchsync schedule
on:
  schedule: # in UTC; GitHub may start late, and leaves ticks out under load
{crons}  workflow_dispatch: {{}}
permissions: {{contents: read}}
jobs:
{jobs}"""


def _job(job: str, lines: Sequence[str], options: Sequence[str]) -> str:
    listed = ", ".join(f'"{line}"' for line in lines)
    words = " ".join(("batchsync", "sync", *options, job))
    return f"""  {job}:
    if: github.event_name == 'workflow_dispatch' || contains(fromJSON('[{listed}]'), github.event.schedule)
    runs-on: [self-hosted, batchsync] # the machine that has the state folder
    concurrency: {{group: batchsync, cancel-in-progress: false}}
    env:
      BATCHSYNC_STATE: /var/lib/batchsync # and the credentials that jobs.yaml names
    steps:
      - uses: actions/checkout@v4
      - run: {words}
"""
