"""The jobs of `lading serve` as jobs.yaml declares them now: it is read again whenever it says otherwise.

One that cannot be used is told once, and the jobs of before go on. It runs nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lading.errors import LadingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.app import App
    from lading.reconcile.context import JobContext

#: A file that does not change for so long is written to its end. Half of one can be a whole one that says otherwise.
_STILL = timedelta(seconds=2)
#: So often it is looked at, one time after the other. One that changes all the time waits for the next pass.
_LOOKS = 10


class Heard(Protocol):
    """Somebody who is told what became of another jobs.yaml."""

    def taken(self, jobs: Sequence[str], gone: Sequence[str]) -> None:
        """Tell that these jobs count from now on, and that these others are declared no more."""
        ...

    def refused(self, error: LadingError) -> None:
        """Tell why it cannot be used."""
        ...


class JobsNow:
    """What jobs.yaml declares, asked for in each pass of `serve`."""

    def __init__(self, app: App, names: Sequence[str], heard: Heard, pause: Callable[[timedelta], None]) -> None:
        """Keep what to read, whom to tell, and how to wait for a file that is being written."""
        self._app, self._names, self._heard, self._pause = app, names, heard, pause
        #: of the file whose jobs count now, and of the last one that could not be used, with the reason
        self._taken = app.stamp()
        self._refused: tuple[bytes, LadingError] | None = None
        #: what counts now; nothing before it was asked for once
        self.contexts: tuple[JobContext, ...] = ()
        self._begun = False

    def __call__(self) -> tuple[JobContext, ...]:
        """Return the jobs with everything it takes to run them.

        Raises:
            LadingError: when they cannot be used and never could.
        """
        if not self._begun:
            self.contexts, self._begun = self._app.contexts(self._names), True
            return self.contexts
        stamp: bytes | None = self._app.stamp()
        if stamp == self._taken and self._refused is None:
            return self.contexts
        if self._refused is None or stamp != self._refused[0]:
            stamp = self._at_rest()
        if stamp is not None:
            self._take(stamp)
        return self.contexts

    def _at_rest(self) -> bytes | None:
        """Return the stamp of the file when it has stopped changing; None when it does not stop."""
        stamp = self._app.stamp()
        for _ in range(_LOOKS):
            self._pause(_STILL)
            stamp, last = self._app.stamp(), stamp
            if stamp == last:
                return stamp
        return None

    def _take(self, stamp: bytes) -> None:
        """Let the file count from now on. One that cannot be used is tried again in each pass: its source may come."""
        try:
            now = self._app.declared_anew(self._names)
        except LadingError as error:
            if self._refused is None or self._refused[0] != stamp or vars(self._refused[1]) != vars(error):
                self._heard.refused(error)
            self._refused = stamp, error
            return
        jobs = [one.job.name for one in now]
        self._heard.taken(jobs, [one.job.name for one in self.contexts if one.job.name not in jobs])
        self.contexts, self._taken, self._refused = now, stamp, None
