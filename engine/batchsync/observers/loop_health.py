"""Signs of life of the loop of `serve`: its events, and bytes that are transferred."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from batchsync.core.loop_health import WORK_MARGIN, Heartbeat, is_turning
from batchsync.ports import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from batchsync.ports import RunEvent


class LoopHealth:
    """Observer that knows whether the loop turns as planned. `is_healthy` may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic, work_margin: timedelta = WORK_MARGIN) -> None:
        """Start with a sign of life now.

        Args:
            clock: Returns seconds that never go back.
            work_margin: How long work may take without a sign of life.
        """
        self._clock, self._work_margin = clock, work_margin
        self._last = Heartbeat(at=timedelta(seconds=clock()))
        #: Whether jobs are loaded.
        self.loaded = False

    def beat(self) -> None:
        """Take note that the loop has turned, and works."""
        self._last = Heartbeat(at=timedelta(seconds=self._clock()))

    def transfer(self) -> None:
        """Take note that bytes of a request or response were transferred; a planned wait stays planned."""
        if self._last.wake is None:
            self.beat()

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
        return is_turning(self._last, timedelta(seconds=self._clock()), self._work_margin)
