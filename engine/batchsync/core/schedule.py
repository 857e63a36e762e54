"""Schedules as frozen values, and the rules of what becomes of a tick. Local times are given; zones are not read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from batchsync.core.lifecycle import AT_REST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchsync.core.batch import Batch
    from batchsync.core.mapping import Place

WEEK = 7
#: Names of the days of a week in jobs.yaml, from Monday on.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: A tick that came so long before a process began to serve is missed; an earlier one is late, and run.
LATENESS = timedelta(minutes=15)
#: Greatest number of missed ticks that `catch_up: all` runs, the latest.
CATCH_UP_MAX = 1_000
_MIDNIGHT = time(0)
_HOURS = 24
_WHOLE_DAY = "00:00-24:00"
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
#: Text of a span: days, times of day, or both; also a pattern of JSON Schema.
SPAN_PATTERN = (
    f"(?:{_DAY}(?:-{_DAY})?(?:,{_DAY}(?:-{_DAY})?)*(?: {_CLOCK}-(?:{_CLOCK}|24:00))?|{_CLOCK}-(?:{_CLOCK}|24:00))"
)
_SPAN = re.compile(SPAN_PATTERN)


class Overlap(StrEnum):
    """What becomes of a tick while a run of its job is in flight."""

    #: a run begins in addition to it; rows whose keys are in flight are deferred to a later run
    ALLOW = "allow"
    #: the tick waits until the run is settled
    QUEUE = "queue"
    #: the tick is dropped
    SKIP = "skip"


class CatchUp(StrEnum):
    """Which of several ticks that were missed are run."""

    LAST = "last"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """Times of day, on some days of the week.

    From `begin` up to `end`, without it; an `end` that is not after `begin` is on the next day. `days` are those on
    which the span begins, from 0 for Monday.
    """

    begin: time = _MIDNIGHT
    end: time = _MIDNIGHT
    days: frozenset[int] = frozenset(range(WEEK))

    def __str__(self) -> str:
        """Return the span as jobs.yaml has it."""
        listed = "" if len(self.days) == WEEK else ",".join(DAYS[day] for day in sorted(self.days))
        whole_day = self.begin == self.end
        end = f"{self.end:%H:%M}" if self.end != _MIDNIGHT else "24:00"
        return listed if whole_day and listed else f"{listed} {self.begin:%H:%M}-{end}".strip()

    def covers(self, local: datetime) -> bool:
        """Return whether a local time is in the span."""
        at, today = local.time(), local.weekday()
        if self.begin < self.end:
            return today in self.days and self.begin <= at < self.end
        return (today in self.days and at >= self.begin) or ((today - 1) % WEEK in self.days and at < self.end)

    def edges(self, day: date) -> tuple[datetime, datetime]:
        """Return the local times at which a span beginning on a day begins and ends, be it one of its days or not."""
        ends_on = day if self.begin < self.end else day + timedelta(days=1)
        return datetime.combine(day, self.begin), datetime.combine(ends_on, self.end)


def parse_span(text: str) -> TimeSpan | None:
    """Return the span of a text such as `mon-fri 08:00-18:00`, `22:00-06:00` or `sat,sun`; None if it is none."""
    if _SPAN.fullmatch(text) is None:
        return None
    listed, _, times = text.rpartition(" ") if ":" in text else (text, "", "")
    days = _days(listed) if listed else frozenset(range(WEEK))
    if not times:
        return TimeSpan(days=days)
    begin, end = (time(int(at[:2]) % _HOURS, int(at[3:])) for at in times.split("-"))
    return None if begin == end and times != _WHOLE_DAY else TimeSpan(begin=begin, end=end, days=days)


def _days(text: str) -> frozenset[int]:
    """Return the days of a list of days and ranges, which may pass the end of the week: `fri-mon`."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % WEEK for day in range(begin, end + 1 + (WEEK if end < begin else 0))}
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Schedule of a job: a cron line in a time zone, or a fixed interval from midnight UTC.

    Attributes:
        cron: Cron line of five fields.
        every: Interval.
        timezone: IANA name of the zone of the cron line, the window and the quiet hours.
        overlap: What becomes of a tick while a run is in flight.
        catch_up: Which missed ticks are run.
        jitter: Runs begin up to so long after their ticks.
        window: Only ticks in these spans are run, and only in them; empty is always.
        quiet: In these spans no run begins and no batch is sent.
        places: Locations in jobs.yaml by key; that of the whole is under `schedule`.
    """

    cron: str | None = None
    every: timedelta | None = None
    timezone: str = "UTC"
    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.LAST
    jitter: timedelta = timedelta(0)
    window: tuple[TimeSpan, ...] = ()
    quiet: tuple[TimeSpan, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)

    def in_window(self, local: datetime) -> bool:
        """Return whether a local time is in the window."""
        return not self.window or any(span.covers(local) for span in self.window)

    def is_quiet(self, local: datetime) -> bool:
        """Return whether a local time is in quiet hours."""
        return any(span.covers(local) for span in self.quiet)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTick:
    """A tick that is due. One that is `missed` is not run, because of `catch_up: none`."""

    tick: datetime
    missed: bool = False


def jitter_of(job: str, tick: datetime, jitter: timedelta) -> timedelta:
    """Return how long after a tick its run begins: whole seconds from 0 up to `jitter`, by a hash of job and tick.

    Every process computes the same, so that neither a second one nor a restart moves the begin.
    """
    seconds = int(jitter.total_seconds())
    digest = sha256(f"{job}\n{int(tick.timestamp())}".encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8], "big") % (seconds + 1))


def is_missed(tick: datetime, catch_up: CatchUp, served_since: datetime | None) -> bool:
    """Return whether a due tick is missed and not to be run.

    Args:
        tick: The tick.
        catch_up: Which missed ticks are run.
        served_since: When the process began to serve the job; None if that is not known.
    """
    return catch_up is CatchUp.NONE and served_since is not None and tick < served_since - LATENESS


def is_running(batches: Iterable[Batch]) -> bool:
    """Return whether a run with these open batches is in flight. A batch that waits for a person holds no tick up."""
    return any(batch.phase not in AT_REST for batch in batches)


def is_always_closed(schedule: Schedule) -> bool:
    """Return whether no run may ever begin: the window and the quiet hours leave no local time of a week."""
    spans = (*schedule.window, *schedule.quiet)
    monday = date(2026, 1, 5)
    days = [monday + timedelta(days=number) for number in range(-1, WEEK + 1)]
    edges = {edge for span in spans for day in days for edge in span.edges(day)}
    # Between two edges nothing changes.
    return bool(spans) and all(schedule.is_quiet(edge) or not schedule.in_window(edge) for edge in edges)
