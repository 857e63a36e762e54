"""The wall clock: the only module that reads it and sleeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta


class SystemClock:
    """Wall clock. Its sleep ends early when a signal arrives."""

    def __init__(self, wait: Callable[[timedelta], None]) -> None:
        """Store the wait function."""
        self._wait = wait

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        return datetime.now(tz=UTC)

    def sleep(self, duration: timedelta) -> None:
        """Wait."""
        self._wait(duration)
