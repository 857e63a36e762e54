"""Which tick of a schedule is due, when the next run begins, and when quiet hours end."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice, takewhile
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from batchsync.core.schedule import CATCH_UP_MAX, CatchUp, DueTick, is_missed, jitter_of
from batchsync.schedule.ticks import LOOK_BACK, next_change, ticks_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.schedule import Schedule

#: Spans repeat each week; a day more for changes of the clocks.
_HORIZON = timedelta(days=9)
_FIRST_WINDOW = timedelta(hours=2)
#: Ticks outside the window that are passed over before a schedule counts as one without ticks.
_PASSED_OVER_MAX = 100_000


def run_ticks(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield the ticks after a time at which the job runs: those in the window.

    Args:
        schedule: The schedule.
        after: Timezone-aware.

    Yields:
        Ticks in order, in UTC; ends after very many ticks outside the window.
    """
    passed_over = 0
    for tick in ticks_after(schedule, after):
        if not schedule.window or schedule.in_window(_local(schedule, tick)):
            passed_over = 0
            yield tick
        elif (passed_over := passed_over + 1) > _PASSED_OVER_MAX:
            return


def begin_of(schedule: Schedule, job: str, tick: datetime) -> datetime:
    """Return when the run of a tick begins: the jitter later, unless that is outside the window."""
    if not schedule.jitter:
        return tick
    begin = tick + jitter_of(job, tick, schedule.jitter)
    return begin if schedule.in_window(_local(schedule, begin)) else tick


def next_ticks(schedule: Schedule, after: datetime, count: int) -> tuple[datetime, ...]:
    """Return the next ticks after a time.

    Args:
        schedule: The schedule.
        after: Timezone-aware.
        count: How many ticks to return at most.

    Returns:
        Ticks in order; fewer than `count` if the schedule ends, none if it has no times.

    Raises:
        ValueError: If `after` has no time zone, `check` refuses the schedule, or its interval is not positive.
    """
    return tuple(islice(run_ticks(schedule, after), max(count, 0)))


def next_begins(schedule: Schedule, job: str, now: datetime, count: int) -> tuple[datetime, ...]:
    """Return when the next runs begin, if none is missed: at ticks, moved by jitter, the window and quiet hours.

    Args:
        schedule: The schedule.
        job: Name of the job.
        now: Timezone-aware.
        count: How many times to return at most.

    Raises:
        ValueError: As `next_ticks`.
    """
    ticks = run_ticks(schedule, now - schedule.jitter)
    begins = (_opens(schedule, begin_of(schedule, job, tick)) for tick in ticks)
    # Ticks of the same quiet hours have one run, after them.
    return tuple(islice((begin for begin, _ in groupby(begin for begin in begins if begin > now)), max(count, 0)))


def due_tick(schedule: Schedule, last_done: datetime | None, now: datetime, job: str = "") -> datetime | None:
    """Return the tick that is due, later than `last_done`; None if there is none whose run begins by `now`.

    Of several it is the latest: a job compares whole states, so one run makes up for all. With `catch_up: all` it is
    the oldest of the latest `CATCH_UP_MAX`; a tick whose jitter is not over then keeps later ones waiting.

    Args:
        schedule: The schedule.
        last_done: The tick that was run last; None makes the latest tick due. To wait for the next tick instead, pass
            the time at which watching began.
        now: Timezone-aware.
        job: Name of the job, which the jitter depends on.

    Raises:
        ValueError: As `next_ticks`.
    """
    every_tick = schedule.catch_up is CatchUp.ALL and last_done is not None
    window = _FIRST_WINDOW + schedule.jitter
    while True:
        since = now - window
        floor = since if last_done is None else max(since, last_done)
        passed = takewhile(lambda tick: tick <= now, run_ticks(schedule, floor))
        begun = passed if every_tick else (tick for tick in passed if begin_of(schedule, job, tick) <= now)
        ticks = deque(begun, CATCH_UP_MAX if every_tick else 1)
        is_all = floor == last_done or window > LOOK_BACK
        if ticks and (is_all or len(ticks) == ticks.maxlen):
            return ticks[0] if begin_of(schedule, job, ticks[0]) <= now else None
        if is_all:
            return None
        # A wider window is searched only if the narrower one had too few, so few ticks are generated.
        window *= 8


def due_run(
    schedule: Schedule, job: str, last_done: datetime | None, now: datetime, served_since: datetime | None = None
) -> DueTick | None:
    """Return the tick whose run begins now; None if none is due, or no run may begin now.

    Args:
        schedule: The schedule.
        job: Name of the job.
        last_done: As for `due_tick`.
        now: Timezone-aware.
        served_since: When the process began to serve; None counts no tick as missed.

    Raises:
        ValueError: As `next_ticks`.
    """
    if _opens(schedule, now) > now or (tick := due_tick(schedule, last_done, now, job)) is None:
        return None
    return DueTick(tick=tick, missed=is_missed(tick, schedule.catch_up, served_since))


def first_begin(schedule: Schedule, job: str, last_done: datetime) -> datetime | None:
    """Return when the run of the first tick after another begins, at any time: it is late if that has passed.

    Args:
        schedule: The schedule.
        job: Name of the job.
        last_done: The tick that was run last.
    """
    tick = next(run_ticks(schedule, last_done), None)
    return None if tick is None else _opens(schedule, begin_of(schedule, job, tick))


def latest_begin(schedule: Schedule, last_done: datetime) -> datetime | None:
    """Return when the run of the first tick after another has begun at the latest, whatever its job.

    Args:
        schedule: The schedule.
        last_done: The tick that was run last.
    """
    tick = next(run_ticks(schedule, last_done), None)
    return None if tick is None else _opens(schedule, tick) + schedule.jitter


def next_wake(schedule: Schedule, job: str, now: datetime) -> datetime | None:
    """Return when a run may begin, after `now`: by the next tick, or when the window opens or quiet hours end."""
    opens = _opens(schedule, now)
    return opens if opens > now else next(iter(next_begins(schedule, job, now, 1)), None)


def quiet_until(schedule: Schedule, now: datetime) -> datetime | None:
    """Return when the present quiet hours end; None if these are none."""
    if not schedule.quiet or not schedule.is_quiet(_local(schedule, now)):
        return None
    return next((at for at in _edges(schedule, now) if not schedule.is_quiet(_local(schedule, at))), now + _HORIZON)


def _opens(schedule: Schedule, now: datetime) -> datetime:
    """Return the first time from `now` on that is in the window and not in quiet hours."""

    def is_open(at: datetime) -> bool:
        local = _local(schedule, at)
        return schedule.in_window(local) and not schedule.is_quiet(local)

    if not (schedule.window or schedule.quiet) or is_open(now):
        return now
    return next((at for at in _edges(schedule, now) if is_open(at)), now + _HORIZON)


def _edges(schedule: Schedule, now: datetime) -> list[datetime]:
    """Return the times after `now` at which a span may begin or end, in order: its edges, and changes of the clocks."""
    zone = ZoneInfo(schedule.timezone)
    spans = (*schedule.quiet, *schedule.window)
    today = _local(schedule, now).date()
    found: set[datetime] = set()
    for number in range(-1, _HORIZON.days):
        for span in spans:
            for edge in span.edges(today + timedelta(days=number)):
                # A local time that is repeated has two instants, and one that is skipped two readings.
                found |= {edge.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    start = now
    while (change := next_change(zone, start, now + _HORIZON)) is not None:
        found.add(change)
        start = change
    return sorted(at for at in found if at > now)


def _local(schedule: Schedule, at: datetime) -> datetime:
    return at.astimezone(ZoneInfo(schedule.timezone)).replace(tzinfo=None)
