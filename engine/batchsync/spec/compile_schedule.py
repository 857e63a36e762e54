"""Compile `schedule:` blocks into `Schedule` values."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from batchsync.core.schedule import CatchUp, Overlap, Schedule, is_always_closed
from batchsync.spec.compile_join import at
from batchsync.spec.interpolate import TypedMap, Value
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models_run import ScheduleModel
    from batchsync.spec.problems import Problems

#: Minute, hour, day, month, weekday.
_CRON_FIELDS = 5
#: What each field takes, by its name in messages of cronsim, in the order of the fields.
_CRON_RANGES = {
    "minute": "0 to 59, *, a list, a range or */5",
    "hour": "0 to 23, *, a list, a range or */2",
    "day-of-month": "1 to 31, *, L, a list or a range",
    "month": "1 to 12, JAN to DEC, *, a list or a range",
    "day-of-week": "0 to 7 (0 and 7 are Sunday), SUN to SAT, *, a list or a range",
}
#: Ticks that are looked at for the shortest interval, and for one in the window.
_LOOKED_AT = 500


def compile_schedule(model: ScheduleModel, node: Typed, start: int, problems: Problems) -> Schedule | None:
    """Compile a schedule block.

    Args:
        model: The validated block.
        node: The same block with places.
        start: Index of the key `schedule`.
        problems: Receives the problems.

    Returns:
        The schedule; None after reporting a problem with cron and every.
    """
    if (model.cron is None) == (model.every is None):
        has = "both cron and every" if model.cron else "neither cron nor every"
        problems.add("schedule", start, f'"schedule" has {has}', "either {cron: ..., timezone: ...} or {every: 15m}")
        return None
    zone = model.timezone or "UTC"
    if model.every is not None and model.timezone is not None and not (model.window or model.quiet):
        problems.add(
            "schedule",
            at(node, "timezone"),
            "time zone of an interval",
            "timezone only with cron, or with a window or quiet hours",
        )
    reason = cron_objection(model.cron) if model.cron is not None else ""
    if reason and model.cron is not None:
        _report_cron(reason, model.cron, node, problems)
    if not _is_zone(zone):
        advice = problems.suggest(zone, _zones(zone))
        problems.add(
            "timezone",
            at(node, "timezone"),
            f"unknown time zone {quoted(zone)}",
            "an IANA name such as Pacific/Auckland",
            advice,
        )
        zone = "UTC"
    entries = node.entries if isinstance(node, TypedMap) else ()
    places = {"schedule": problems.source.place(start)}
    places |= {entry.key: problems.source.place(entry.start) for entry in entries}
    found = Schedule(
        cron=model.cron,
        every=model.every,
        timezone=zone,
        overlap=Overlap(model.overlap),
        catch_up=CatchUp(model.catch_up),
        jitter=model.jitter or timedelta(0),
        window=model.window,
        quiet=model.quiet,
        places=places,
    )
    if not reason:
        _check_times(found, node, problems)
    return found


def _check_times(schedule: Schedule, node: Typed, problems: Problems) -> None:
    """Report a jitter that reaches the next tick, and spans by which no run would ever begin."""
    ticks = _some_ticks(schedule)
    shortest = min((later - earlier for earlier, later in pairwise(ticks)), default=None)
    if shortest is not None and schedule.jitter >= shortest:
        problem = f'"jitter" reaches the next tick, {int(shortest.total_seconds())} seconds later'
        problems.add("schedule", at(node, "jitter"), problem, "a jitter that is shorter than the interval")
    if is_always_closed(schedule):
        problems.add("schedule", at(node, "quiet"), "it is always quiet, so that no run begins", "some hours for runs")
    elif schedule.window and not any(schedule.in_window(tick) for tick in ticks):
        problems.add("schedule", at(node, "window"), "no tick is in the window", "a window with ticks of the schedule")


def _some_ticks(schedule: Schedule) -> list[datetime]:
    """Return some ticks as local times; those of an interval as if the zone had no offset from UTC."""
    start = datetime(2025, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    if schedule.cron is not None:
        return list(islice(CronSim(schedule.cron, start), _LOOKED_AT))
    return [start + schedule.every * number for number in range(_LOOKED_AT)] if schedule.every else []


def cron_objection(cron: str) -> str:
    """Return why a text is no cron line of five fields; empty if it is."""
    if len(cron.split()) != _CRON_FIELDS:
        return f"{len(cron.split())} fields"
    try:
        next(CronSim(cron, datetime(2025, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "no such date"
    return ""


def _report_cron(reason: str, cron: str, node: Typed, problems: Problems) -> None:
    """Report a cron line, at the field that is wrong if it is known."""
    written = node.get("cron") if isinstance(node, TypedMap) else None
    start = at(node, "cron")
    name = reason.removeprefix("bad ")
    if name not in _CRON_RANGES or not isinstance(written, Value):
        problems.add("schedule", start, f'"cron": {reason}', 'five fields, as in "0 2 * * *"')
        return
    number = list(_CRON_RANGES).index(name)
    field = list(re.finditer(r"\S+", cron))[number]
    inside = start + int(written.quoted) + field.start() if cron in written.raw else start
    problems.add("schedule", inside, f'"cron": bad {name} {quoted(field[0])}', _CRON_RANGES[name])


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _zones(name: str) -> list[str]:
    """Return candidates for a suggestion: the time zones with the same first letter, best matches first."""
    first = name.casefold()[:1]
    found = [timezone for timezone in sorted(available_timezones()) if timezone.casefold().startswith(first)]
    return sorted(found, key=lambda timezone: timezone.casefold()[:3] != name.casefold()[:3])
