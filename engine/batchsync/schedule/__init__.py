"""Schedules: ticks of cron expressions in a time zone, or of fixed intervals, and when their runs begin, in UTC.

A `Schedule` and times enter, ticks leave; `export` writes schedules for other schedulers. The package must not read a
clock or wait.
"""

from __future__ import annotations

from batchsync.schedule.due import (
    due_run,
    due_tick,
    first_begin,
    latest_begin,
    next_begins,
    next_ticks,
    next_wake,
    quiet_until,
)
from batchsync.schedule.ticks import check, explain

__all__ = [
    "check",
    "due_run",
    "due_tick",
    "explain",
    "first_begin",
    "latest_begin",
    "next_begins",
    "next_ticks",
    "next_wake",
    "quiet_until",
]
