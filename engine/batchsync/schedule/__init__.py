"""Schedules: ticks of cron expressions in a time zone, or of fixed intervals, as UTC datetimes.

A `Schedule` and times enter, ticks leave. The package must not read a clock or wait.
"""

from __future__ import annotations

from batchsync.schedule.ticks import check, due_tick, explain, next_ticks

__all__ = ["check", "due_tick", "explain", "next_ticks"]
