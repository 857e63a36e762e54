"""Health of the loop of `serve`: whether it turned within the time that it planned. Pure; times are monotonic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

#: How much later than planned a wait may end: the machine may be busy, and a changed jobs file is read first.
WAIT_MARGIN = timedelta(minutes=2)
#: How long work may take without a sign of life, unless `serve --stalled-after` says otherwise.
WORK_MARGIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last sign of life of the loop.

    Attributes:
        at: When it was, by a monotonic clock.
        wake: When the wait that began then is to end, by the same clock; None while there is work.
    """

    at: timedelta
    wake: timedelta | None = None


def is_turning(last: Heartbeat, now: timedelta, work_margin: timedelta = WORK_MARGIN) -> bool:
    """Return whether the loop turns as planned.

    Args:
        last: Its last sign of life.
        now: The present time, by the clock of the heartbeat.
        work_margin: How long work may take without a sign of life.
    """
    return now <= overdue_from(last, work_margin)


def overdue_from(last: Heartbeat, work_margin: timedelta = WORK_MARGIN) -> timedelta:
    """Return the time after which the loop is not healthy unless there is another sign of life.

    Args:
        last: Its last sign of life.
        work_margin: How long work may take without one.
    """
    return last.at + work_margin if last.wake is None else max(last.wake, last.at) + WAIT_MARGIN
