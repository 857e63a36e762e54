"""One virtual clock for batchsync and the vendors: sleeping costs nothing, and what is under way lands in its time.

It does not know what lands.
"""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync_mocks.clock import Clock

START = 1_790_000_000.0
#: Sleeps in one pass before it counts as never coming to rest.
MOST_SLEEPS = 3_000


class NeverRestsError(AssertionError):
    """The loop goes on and on."""


class VirtualTime:
    """The port `Clock` on the mocks' clock. `landed` names what came late."""

    def __init__(self, mocks: Clock) -> None:
        """Stand at the mocks' moment."""
        self._mocks = mocks
        self._under_way: list[tuple[float, int, str, Callable[[], None]]] = []
        self._count = 0
        self.landed: list[str] = []
        self.sleeps = 0

    def epoch(self) -> float:
        """Return the moment in epoch seconds."""
        return self._mocks.now()

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        return datetime.fromtimestamp(self._mocks.now(), UTC)

    def sleep(self, duration: timedelta) -> None:
        """Let time pass, landing what is due on the way."""
        self.sleeps += 1
        if self.sleeps > MOST_SLEEPS:
            raise NeverRestsError(f"still not at rest after {MOST_SLEEPS} sleeps")
        self.pass_by(max(duration.total_seconds(), 0.0))

    def later(self, seconds: float, what: str, land: Callable[[], None]) -> None:
        """Let something happen so many seconds from now."""
        self.later_at(self.epoch() + seconds, self._count + 1, what, land)

    def later_at(self, at: float, count: int, what: str, land: Callable[[], None]) -> None:
        """Let something happen at a moment; what falls on the same one happens by its count."""
        self._count = max(self._count, count)
        heapq.heappush(self._under_way, (at, count, what, land))

    def under_way(self) -> list[tuple[float, int, str, Callable[[], None]]]:
        """Return what will happen, the next first."""
        return sorted(self._under_way, key=lambda one: one[:2])

    def pass_by(self, seconds: float) -> None:
        """Let so many seconds pass."""
        until = self.epoch() + seconds
        while self._under_way and self._under_way[0][0] <= until:
            at, _, what, land = heapq.heappop(self._under_way)
            self._mocks.set(max(at, self.epoch()))
            self.landed.append(what)
            land()
        self._mocks.set(max(until, self.epoch()))
