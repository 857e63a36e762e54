"""SIGINT and SIGTERM, made safe: at once while nothing is at stake, after the current call while something is.

A second signal ends the process at once; even that loses nothing, as `kill -9` does not. It knows no job.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lading.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from types import FrameType

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interrupted(BaseException):
    """Somebody wants this process to end. Everything that must be remembered is."""

    def __init__(self, exit_code: ExitCode) -> None:
        """Keep how the process is to end."""
        super().__init__(exit_code)
        self.exit_code = exit_code


class Interrupts:
    """Turns the two signals into `Interrupted`, not before the shield is lowered."""

    def __init__(self) -> None:
        """Begin with no signal seen and no shield raised."""
        self._wanted: ExitCode | None = None
        self._shields = 0
        self._woken = threading.Event()

    def install(self) -> None:
        """Take the two signals over for this process. Main thread only."""
        for number in _EXIT_CODES:
            signal.signal(number, self._on_signal)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Delay an interruption to the end of this block."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            self.check()

    def check(self) -> None:
        """Raise Interrupted if somebody asked and no shield is raised."""
        if self._wanted is not None and self._shields == 0:
            raise Interrupted(self._wanted)

    def wait(self, duration: timedelta) -> None:
        """Wait, or be woken by a signal."""
        self._woken.wait(max(0.0, duration.total_seconds()))
        self.check()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._wanted is not None:
            os._exit(_EXIT_CODES[signal.Signals(number)])
        self._wanted = _EXIT_CODES[signal.Signals(number)]
        self._woken.set()
        self.check()
