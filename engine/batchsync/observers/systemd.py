"""Notifications to the service manager, as sd_notify(3) describes them: state, a status line, and the watchdog.

Messages are datagrams to the socket that `NOTIFY_SOCKET` names. A message that cannot be sent is left out: a run does
not depend on who watches it.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from time import CLOCK_MONOTONIC, clock_gettime_ns
from typing import TYPE_CHECKING

from batchsync.ports import JobsReloaded, JobsReloadFailed, NeedsAttention, RunStarted, Waiting
from batchsync.report.text_format import format_duration, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from batchsync.ports import RunEvent

#: Longest status line, in characters; the manager shows it as one line.
_STATUS_MAX = 200


class SystemdNotifier:
    """Observer that notifies the service manager of what `serve` does."""

    def __init__(self, address: str, watchdog: float | None, is_healthy: Callable[[], bool]) -> None:
        """Create the observer; see `notifier`.

        Args:
            address: Path of the socket; an abstract name begins with `@`.
            watchdog: Seconds within which the manager expects a sign of life; None if it expects none.
            is_healthy: Returns whether the loop turns; called from a thread.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog, self._is_healthy = watchdog, is_healthy
        self._stopped = threading.Event()
        self._attention = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send signs of life until the block ends, then that the service stops.

        Yields:
            Nothing.
        """
        thread = threading.Thread(target=self._watch, name="batchsync-watchdog", daemon=True)
        if self._watchdog is not None:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._send("STOPPING=1")

    def ready(self, jobs: int) -> None:
        """Tell that jobs are loaded and run from now on."""
        self._send(f"READY=1\nSTATUS=serving {jobs} jobs")

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Tell the manager of reloads, and set the status line.

        Args:
            event: The event.
            at: When it was emitted.
        """
        match event:
            case JobsReloaded(jobs=jobs):
                self._reloaded(f"serving {len(jobs)} jobs")
            case JobsReloadFailed():
                self._reloaded("the changed jobs file cannot be used")
            case Waiting(until=until):
                attention = f"; {self._attention} batches needed attention" if self._attention else ""
                self._send(f"STATUS=waiting {format_duration(until - at)}, until {iso(until)}{attention}")
            case RunStarted(run=run):
                self._send(f"STATUS=run {run} started")
            case NeedsAttention(batch=batch):
                self._attention += 1
                self._send(f"STATUS=batch {batch.id} needs attention")
            case _:
                pass

    def _reloaded(self, status: str) -> None:
        """Tell that the jobs were loaded again; the manager leaves the state `reloading` at READY=1."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={clock_gettime_ns(CLOCK_MONOTONIC) // 1000}")
        self._send(f"READY=1\nSTATUS={status}")

    def _watch(self) -> None:
        """Send a sign of life at half of the interval, as long as the loop turns."""
        interval = (self._watchdog or 0.0) / 2
        while True:
            if self._is_healthy():
                self._send("WATCHDOG=1")
            if self._stopped.wait(interval):
                return

    def _send(self, message: str) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(0)
            sender.sendto(message[:_STATUS_MAX].encode(), self._address)


def notifier(environ: Mapping[str, str], is_healthy: Callable[[], bool]) -> SystemdNotifier | None:
    """Return the observer that the environment asks for; None if there is no service manager.

    Args:
        environ: Environment variables: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID.
        is_healthy: Returns whether the loop turns.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not address[1:]:
        return None
    own = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    microseconds = environ.get("WATCHDOG_USEC", "")
    watched = own and microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
    return SystemdNotifier(address, int(microseconds) / 1e6 if watched else None, is_healthy)
