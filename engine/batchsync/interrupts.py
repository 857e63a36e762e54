"""SIGINT and SIGTERM, made safe: at once while nothing is at stake, after the current call while something is.

A call that takes longer than `CALL_GRACE` is cut: what was announced stays in doubt, and the next process asks
before it repeats anything. What cannot be cut, native code on a great source, ends with the process after `END_GRACE`;
a second signal ends it at once. Even that loses nothing, as `kill -9` does not. It knows no job.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lading.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from types import FrameType

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
#: Seconds that a call to a vendor gets to come to its end after a signal.
CALL_GRACE = 1.0
#: Seconds after which the process ends, whatever it is doing.
END_GRACE = 1.8
SAID = "interrupted; state saved"
NEXT = "the same command goes on where it was; `lading resume` only ends what is under way"


class Interrupted(BaseException):
    """Somebody wants this process to end. Everything that must be remembered is."""

    def __init__(self, exit_code: ExitCode) -> None:
        """Keep how the process is to end."""
        super().__init__(exit_code)
        self.exit_code = exit_code


class Interrupts:
    """Turns the two signals into `Interrupted`: not before the shield is lowered, unless that takes too long."""

    def __init__(self) -> None:
        """Begin with no signal seen and no shield raised."""
        self._wanted: ExitCode | None = None
        self._shields = 0
        self._late = False
        self._never = threading.Event()

    def install(self) -> None:
        """Take the signals over for this process. Main thread only."""
        for number in _EXIT_CODES:
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGALRM, self._on_alarm)
        ears, mouth = os.pipe()
        os.set_blocking(mouth, False)
        signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
        threading.Thread(target=_end_for_certain, args=(ears,), name="lading-interrupts", daemon=True).start()

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Delay an interruption to the end of this block, or to the end of `CALL_GRACE`."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            self.check()

    def check(self) -> None:
        """Raise Interrupted if somebody asked and no shield is raised, or one was for too long."""
        if self._wanted is not None and (self._shields == 0 or self._late):
            # Python gives its handlers up as it ends: an alarm would then kill the process without a word.
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Interrupted(self._wanted)

    def wait(self, duration: timedelta) -> None:
        """Wait, or be interrupted by a signal."""
        self.check()
        self._never.wait(max(0.0, duration.total_seconds()))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._wanted is not None:
            os._exit(_EXIT_CODES[signal.Signals(number)])
        self._wanted = _EXIT_CODES[signal.Signals(number)]
        signal.setitimer(signal.ITIMER_REAL, CALL_GRACE)
        self.check()

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._shields:
            self._late = True
            self.check()


def _end_for_certain(ears: int) -> None:
    """End the process some time after the first signal, or at the second.

    Python runs a handler between two instructions of the main thread, which may be in native code for long. The system
    writes the number of each signal into this pipe at once.
    """
    code = _next_code(ears)
    second = select.select([ears], [], [], END_GRACE)[0]
    while second and os.read(ears, 1)[0] not in _EXIT_CODES:
        second = select.select([ears], [], [], END_GRACE - CALL_GRACE)[0]
    if not second:
        with suppress(OSError):
            os.write(2, f"error: {SAID}\nnext: {NEXT}\n".encode())
    os._exit(code)


def _next_code(ears: int) -> ExitCode:
    """Return how the process is to end, when the first of the two signals has come."""
    while True:
        number = os.read(ears, 1)[0]
        if number in _EXIT_CODES:
            return _EXIT_CODES[signal.Signals(number)]
