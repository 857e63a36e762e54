"""Signs of life of the loop of `serve`, from its events."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from batchsync.core.loop_health import Heartbeat, is_turning
from batchsync.ports import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from batchsync.ports import RunEvent


class LoopHealth:
    """Observer that knows whether the loop turns as planned. `is_healthy` may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Start with a sign of life now.

        Args:
            clock: Returns seconds that never go back.
        """
        self._clock = clock
        self._last = Heartbeat(at=timedelta(seconds=clock()))
        #: Whether jobs are loaded.
        self.loaded = False

    def beat(self) -> None:
        """Take note that the loop has turned, and works."""
        self._last = Heartbeat(at=timedelta(seconds=self._clock()))

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Take an event as a sign of life.

        Args:
            event: The event.
            at: When it was emitted.
        """
        now = timedelta(seconds=self._clock())
        self._last = Heartbeat(at=now, wake=now + (event.until - at) if isinstance(event, Waiting) else None)

    def is_healthy(self) -> bool:
        """Return whether the loop turns as planned."""
        return is_turning(self._last, timedelta(seconds=self._clock()))
