"""Safe handling of SIGINT, SIGTERM and the end of a time limit: immediate, or after a call that must be journaled.

A call that takes longer than `CALL_GRACE` is interrupted: its batch stays in doubt, and the next process queries
the vendor before it repeats anything. Native code cannot be interrupted; the process exits after `END_GRACE`, or at a
second signal. As after `kill -9`, no state is lost.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from batchsync.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from types import FrameType

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
#: Seconds that a vendor call may continue after a signal.
CALL_GRACE = 1.0
#: Seconds after which the process exits in any case.
END_GRACE = 1.8
SIGNAL_NOTICE = "interrupted; state saved"
NEXT_COMMAND = "run the same command to continue, or `batchsync resume` to finish only what is in flight"


class Interrupted(BaseException):
    """The process was asked to end. Everything that must be journaled is."""

    def __init__(self, exit_code: ExitCode, notice: str = SIGNAL_NOTICE, hint: str = NEXT_COMMAND) -> None:
        """Store the exit code, what is printed, and the next command."""
        super().__init__(exit_code)
        self.exit_code, self.notice, self.hint = exit_code, notice, hint


class TimeLimitReached(BaseException):
    """The time limit of the command has passed. Everything that must be journaled is."""


class Interrupts:
    """Translation of SIGINT and SIGTERM into `Interrupted`, delayed by a shield for at most `CALL_GRACE`.

    The end of a time limit becomes `TimeLimitReached` in the same way.
    """

    def __init__(self) -> None:
        """Start without a signal and without a shield."""
        self._exit_code: ExitCode | None = None
        self._limited = self._limit_reached = False
        self._shields = 0
        self._grace_expired = False
        self._sleep_event = threading.Event()
        self._resting = self._woken = False
        #: What is printed after a signal, and the next command, where a command leaves something else than its state.
        self.notice, self.hint = SIGNAL_NOTICE, NEXT_COMMAND

    def install(self) -> None:
        """Install the signal handlers of this process. Main thread only."""
        for number in _EXIT_CODES:
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGALRM, self._on_alarm)
        read_fd, write_fd = os.pipe()
        os.set_blocking(write_fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        threading.Thread(target=self._watch_signals, args=(read_fd,), name="batchsync-interrupts", daemon=True).start()

    @contextmanager
    def time_limit(self, limit: timedelta | None) -> Iterator[None]:
        """Interrupt this block after a time, whatever it does; None sets no limit. Main thread only, after `install`.

        Raises:
            TimeLimitReached: If the time is over.
        """
        if limit is None:
            yield
            return
        self._limited = True
        # Zero would switch the alarm off.
        signal.setitimer(signal.ITIMER_REAL, max(limit.total_seconds(), 0.001))
        try:
            yield
        finally:
            self._limited = self._limit_reached = False
            if self._exit_code is None:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self._grace_expired = False

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Delay an interruption to the end of this block, for at most `CALL_GRACE`."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            self.check()

    def check(self) -> None:
        """Raise if a signal arrived or the time limit has passed, and may interrupt now.

        Raises:
            Interrupted: If a signal arrived and no shield is held, or the grace time of a shield has expired.
            TimeLimitReached: If the time limit has passed, under the same conditions.
        """
        if self._shields and not self._grace_expired:
            return
        if self._exit_code is not None:
            # Python removes its handlers at exit: an alarm would then kill the process without a message.
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Interrupted(self._exit_code, self.notice, self.hint)
        if self._limit_reached:
            self._limited = self._limit_reached = self._grace_expired = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise TimeLimitReached

    def wait(self, duration: timedelta) -> None:
        """Wait for a duration, or until a signal interrupts."""
        self.check()
        self._sleep_event.wait(max(0.0, duration.total_seconds()))

    @contextmanager
    def rest(self) -> Iterator[None]:
        """Let `wake` of another thread end the waits of this block."""
        self._resting = True
        if self._woken:
            self._sleep_event.set()
        try:
            yield
        finally:
            self._resting = self._woken = False
            self._sleep_event.clear()

    def wake(self) -> None:
        """End the present wait of a `rest`, or else the next one at once. Any thread."""
        self._woken = True
        if self._resting:
            self._sleep_event.set()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._exit_code is not None:
            os._exit(_EXIT_CODES[signal.Signals(number)])
        self._exit_code = _EXIT_CODES[signal.Signals(number)]
        signal.setitimer(signal.ITIMER_REAL, CALL_GRACE)
        self.check()

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._exit_code is None and self._limited and not self._limit_reached:
            self._limit_reached = True
            signal.setitimer(signal.ITIMER_REAL, CALL_GRACE)
            self.check()
        elif self._shields:
            self._grace_expired = True
            self.check()

    def _watch_signals(self, read_fd: int) -> None:
        """Exit the process `END_GRACE` seconds after the first signal, or at the second.

        Python runs a handler between two instructions of the main thread, which may be in native code for long. The
        system writes the number of each signal into this pipe at once.
        """
        code = _read_exit_code(read_fd)
        readable = select.select([read_fd], [], [], END_GRACE)[0]
        while readable and os.read(read_fd, 1)[0] not in _EXIT_CODES:
            readable = select.select([read_fd], [], [], END_GRACE - CALL_GRACE)[0]
        if not readable:
            with suppress(OSError):
                os.write(2, f"error: {self.notice}\nnext: {self.hint}\n".encode())
        os._exit(code)


def _read_exit_code(read_fd: int) -> ExitCode:
    """Wait for the first of the two signals and return its exit code."""
    while True:
        number = os.read(read_fd, 1)[0]
        if number in _EXIT_CODES:
            return _EXIT_CODES[signal.Signals(number)]
