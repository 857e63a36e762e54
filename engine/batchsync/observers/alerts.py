"""Observer that alerts: it notes what events say, and a thread of its own evaluates and delivers.

Nothing here delays a run: events are only noted, and at the end of a command the thread gets a few seconds. What it
could not send is sent by the next command.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from batchsync.core.alert_conditions import Failure, Seen
from batchsync.errors import ExitCode
from batchsync.ports import JobFinished, JobsReloaded, JobsReloadFailed, OriginChecked, Waiting
from batchsync.util.error_codes import code_of, error_codes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from batchsync.observers.alert_engine import Watch
    from batchsync.ports import RunEvent

#: Exit codes of jobs that could not run. A guard or a budget that is exceeded is in the journal.
_FAILED = frozenset({ExitCode.UNEXPECTED, ExitCode.INVALID, ExitCode.ENVIRONMENT})
#: Seconds that the thread has at the end of a command.
AT_END = 8.0
_FILE_FAILURE = "the changed jobs file cannot be used; the previous jobs stay active"


class AlertObserver:
    """Observer whose thread evaluates alerts when events say so, and from time to time."""

    def __init__(self) -> None:
        """Create an observer that notes events until `start` is called."""
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._seen = Seen()
        self._reload: Callable[[], Watch] | None = None
        self._watch: Watch | None = None
        self._warnings: deque[str] = deque(maxlen=100)
        self._thread: threading.Thread | None = None
        self._active = False
        self._ending = ""
        self._codes: set[int] = set()

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Note what an event says.

        Args:
            event: The event.
            at: When it was emitted.
        """
        with self._lock:
            self._active = True
            match event:
                case JobFinished(job=job, exit_code=code):
                    self._codes.add(code)
                    if code in _FAILED:
                        self._seen.failures[job] = Failure(at, _error_text(event.error))
                case JobsReloadFailed(job=""):
                    self._seen.file_failure, self._seen.file_recovers = Failure(at, _FILE_FAILURE), False
                case JobsReloaded():
                    self._seen.file_failure, self._seen.file_recovers = None, True
                    self._watch = self._reload() if self._reload is not None else None
                case OriginChecked(error=error):
                    self._seen.asked = error is None
                    self._seen.unasked = None if error is None else self._seen.unasked or at
                case _:
                    pass
        if isinstance(event, JobFinished | JobsReloaded | JobsReloadFailed | OriginChecked | Waiting):
            self._wake.set()

    def start(self, watch: Callable[[], Watch], run: Callable[[], None]) -> None:
        """Start the thread.

        Args:
            watch: Returns what is watched, as jobs.yaml says now; called again in this thread when it was reloaded.
            run: What the thread does until `wait` says how the command ended.
        """
        self._reload, self._watch = watch, watch()
        self._thread = threading.Thread(target=run, name="batchsync-alerts", daemon=True)
        self._thread.start()

    def loaded(self) -> None:
        """Note that `serve` has loaded the jobs file, and asked its origin: what was not noted otherwise, is over."""
        with self._lock:
            self._seen.file_recovers = self._seen.file_failure is None
            self._seen.asked = self._seen.unasked is None

    def warn(self, message: str) -> None:
        """Keep a warning until the main thread prints it."""
        self._warnings.append(message)

    def warnings(self) -> list[str]:
        """Return the warnings that were not printed yet."""
        return [self._warnings.popleft() for _ in range(len(self._warnings))]

    def close(self, *, failed: bool) -> None:
        """Let the thread evaluate and deliver for the last time, for a few seconds.

        Args:
            failed: Whether the command failed, which is pinged; it is as well if a job could not run.
        """
        if self._thread is None:
            return
        self._ending = "fail" if failed or self._codes & {*_FAILED, ExitCode.LOCKED} else "success"
        self._closing.set()
        self._wake.set()
        self._thread.join(AT_END)
        if self._thread.is_alive():
            self.warn("alerts: not all could be sent before the end; the next command, or serve, sends them")

    def taken(self) -> tuple[Watch | None, Seen, bool]:
        """Return what is watched, what was seen, and whether there was any event since the last call."""
        with self._lock:
            active, self._active = self._active, False
            return self._watch, self._seen.copy(), active

    def wait(self, seconds: float) -> str:
        """Return how the command ended, empty while it runs; wait for an event that matters before."""
        self._wake.wait(seconds)
        self._wake.clear()
        return self._ending

    def pause(self, seconds: float) -> None:
        """Wait, or until the command ends."""
        self._closing.wait(seconds)


def _error_text(name: str) -> str:
    """Return title and code of an error by its name; its message may name keys."""
    code = code_of(name)
    return f"{error_codes()[code].title} ({code})" if code else "it could not run"
