"""Limit of the calls of an account: in this process, or in the state, where other processes count theirs, too."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from batchsync.core.account_limits import MINUTE, RESERVED_FOR
from batchsync.errors import CallsUsedUpError

if TYPE_CHECKING:
    from batchsync.ports import Clock
    from batchsync.ports.network import ReserveCalls

#: A call that has to wait longer than this fails, surely without an effect, and is made later.
_LONGEST_WAIT = MINUTE + 2 * RESERVED_FOR


class CallRate:
    """Lets no more calls begin than the account may make. Thread-safe."""

    def __init__(self, calls: int | None, clock: Clock, reserve: ReserveCalls | None = None) -> None:
        """Create a limit.

        Args:
            calls: Calls of this process per minute; None for no limit.
            clock: Time source, which also waits.
            reserve: Reserves calls in the state, where there is one; it takes the place of `calls`.
        """
        self._calls, self._clock, self._reserve = calls, clock, reserve
        self._begun: deque[datetime] = deque(maxlen=calls)
        self._reserved = 0
        self._expires_at: datetime | None = None
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next call may begin.

        Raises:
            CallsUsedUpError: If that is not soon; the call was not made.
        """
        with self._lock:
            if not self._wait_for_reservation():
                self._wait_in_process()

    def _wait_for_reservation(self) -> bool:
        """Use a reserved call, or reserve some; return whether there is a state to reserve in."""
        while self._reserve is not None:
            now = self._clock.now()
            if self._reserved and self._expires_at is not None and now < self._expires_at:
                self._reserved -= 1
                return True
            found = self._reserve(now)
            if found is None:
                return False
            if found.until is None:
                self._reserved, self._expires_at = found.amount - 1, now + RESERVED_FOR
                return True
            if found.until - now > _LONGEST_WAIT:
                raise CallsUsedUpError(found.until)
            self._clock.sleep(max(found.until - now, timedelta(milliseconds=1)))
        return False

    def _wait_in_process(self) -> None:
        """Count calls of this process only."""
        if self._calls is None:
            return
        now = self._clock.now()
        if len(self._begun) == self._calls and (pause := self._begun[0] + MINUTE - now) > timedelta(0):
            self._clock.sleep(pause)
            now = self._clock.now()
        self._begun.append(now)
