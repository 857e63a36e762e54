"""When jobs run by themselves: cron lines in a time zone, or fixed intervals, as moments in UTC.

It does not know jobs, what time it is, or how to wait.
"""

from __future__ import annotations

from lading.schedule.slots import check, due_slot, explain, next_slots

__all__ = ["check", "due_slot", "explain", "next_slots"]
