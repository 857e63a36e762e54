"""Limit of the calls of a connection per minute."""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.ports import Clock

_WINDOW = timedelta(minutes=1)


class CallRate:
    """Lets at most so many calls begin in any minute. Thread-safe."""

    def __init__(self, calls: int | None, clock: Clock) -> None:
        """Create a limit.

        Args:
            calls: Calls per minute; None for no limit.
            clock: Time source, which also waits.
        """
        self._calls, self._clock = calls, clock
        self._begun: deque[datetime] = deque(maxlen=calls)
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next call may begin."""
        if self._calls is None:
            return
        with self._lock:
            now = self._clock.now()
            if len(self._begun) == self._calls and (pause := self._begun[0] + _WINDOW - now) > timedelta(0):
                self._clock.sleep(pause)
                now = self._clock.now()
            self._begun.append(now)
