"""Virtual clock shared by batchsync and the mocks: sleeping costs nothing, and scheduled requests arrive on time."""

from __future__ import annotations

import contextlib
import heapq
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync_mocks.clock import Clock

START = 1_790_000_000.0
#: Sleeps in one pass after which the pass counts as endless.
MAX_SLEEPS = 3_000


class NotSettledError(AssertionError):
    """A pass that does not end."""


class VirtualTime:
    """The `Clock` port on top of the mocks' clock. `arrived` lists the scheduled requests that arrived so far."""

    def __init__(self, mocks: Clock) -> None:
        """Start at the time of the mocks' clock."""
        self._mocks = mocks
        self._scheduled: list[tuple[float, int, str, Callable[[], None]]] = []
        self._count = 0
        self.arrived: list[str] = []
        self.sleeps = 0

    def epoch(self) -> float:
        """Return the current time in epoch seconds."""
        return self._mocks.now()

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.fromtimestamp(self._mocks.now(), UTC)

    def sleep(self, duration: timedelta) -> None:
        """Advance the time, running what is scheduled meanwhile."""
        self.sleeps += 1
        if self.sleeps > MAX_SLEEPS:
            raise NotSettledError(f"still not settled after {MAX_SLEEPS} sleeps")
        self.advance(max(duration.total_seconds(), 0.0))

    @contextlib.contextmanager
    def behind(self, seconds: float) -> Iterator[None]:
        """Let the mocks see a clock that is this many seconds behind."""
        if not seconds:
            yield
            return
        real = self._mocks.now()
        self._mocks.set(real - seconds)
        try:
            yield
        finally:
            self._mocks.set(self._mocks.now() + seconds)

    def schedule(self, seconds: float, name: str, action: Callable[[], None]) -> None:
        """Schedule an action in this many seconds."""
        self.schedule_at(self.epoch() + seconds, self._count + 1, name, action)

    def schedule_at(self, at: float, count: int, name: str, action: Callable[[], None]) -> None:
        """Schedule an action at a time in epoch seconds; actions of equal time run in the order of `count`."""
        self._count = max(self._count, count)
        heapq.heappush(self._scheduled, (at, count, name, action))

    def scheduled(self) -> list[tuple[float, int, str, Callable[[], None]]]:
        """Return the scheduled actions, the next first."""
        return sorted(self._scheduled, key=lambda entry: entry[:2])

    def advance(self, seconds: float) -> None:
        """Advance the time by this many seconds."""
        until = self.epoch() + seconds
        while self._scheduled and self._scheduled[0][0] <= until:
            at, _, name, action = heapq.heappop(self._scheduled)
            self._mocks.set(max(at, self.epoch()))
            self.arrived.append(name)
            action()
        self._mocks.set(max(until, self.epoch()))
