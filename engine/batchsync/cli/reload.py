"""The jobs of `lading serve` as jobs.yaml declares them now: it is read again whenever it says otherwise.

One that cannot be used is told, and the jobs of before go on. A job that is taken out is followed for as long as it has
something in flight. It runs nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lading.errors import LadingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.app import App
    from lading.reconcile.context import JobContext
    from lading.stamps import Stamp

#: A file that does not change for so long is written to its end. Half of one can be a whole one that says otherwise.
_STILL = timedelta(seconds=2)
#: So often it is looked at, one time after the other. One that changes all the time waits for the next pass.
_LOOKS = 3


class Heard(Protocol):
    """Somebody who is told what became of a change. `secrets`: of secret files only, jobs.yaml is as it was."""

    def taken(self, now: Sequence[JobContext], gone: Sequence[str], *, secrets: bool) -> None:
        """Tell that these jobs count from now on, and that these others are declared no more."""
        ...

    def refused(self, error: LadingError, *, secrets: bool) -> None:
        """Tell why it cannot be used."""
        ...


class JobsNow:
    """What jobs.yaml declares, asked for before each run of `serve`."""

    def __init__(self, app: App, names: Sequence[str], heard: Heard, pause: Callable[[timedelta], None]) -> None:
        """Keep what to read, whom to tell, and how to wait for a file that is being written."""
        self._app, self._names, self._heard, self._pause = app, names, heard, pause
        #: of what counts now, and of the last that could not be used, with the reason
        self._taken = app.stamp()
        self._refused: tuple[Stamp, LadingError] | None = None
        self._declared: tuple[JobContext, ...] | None = None
        self._leaving: tuple[JobContext, ...] = ()

    @property
    def contexts(self) -> tuple[JobContext, ...]:
        """Return what counted when somebody last asked: jobs that are declared, then those that are leaving."""
        return (*(self._declared or ()), *self._leaving)

    def __call__(self) -> tuple[JobContext, ...]:
        """Return the jobs with everything it takes to run them; those that are leaving have no schedule.

        Raises:
            LadingError: when they cannot be used and never could.
        """
        if self._declared is None:
            self._count(self._app.contexts(self._names), self._taken)
        else:
            self._look(self._app.stamp())
        self._leaving = tuple(one for one in self._leaving if self._app.journal.open_batches(one.job.name))
        return self.contexts

    def _look(self, stamp: Stamp) -> None:
        if stamp == self._taken and self._refused is None:
            return
        # What was refused is tried again in each pass: its source, or its secret, may have come.
        rested = stamp if self._refused is not None and stamp == self._refused[0] else self._at_rest(stamp)
        if rested is not None:
            self._take(rested)

    def _at_rest(self, stamp: Stamp) -> Stamp | None:
        """Return the stamp of what has stopped changing; None when it does not stop."""
        for _ in range(_LOOKS):
            self._pause(_STILL)
            stamp, last = self._app.stamp(), stamp
            if stamp == last:
                return stamp
        return None

    def _take(self, stamp: Stamp) -> None:
        secrets = stamp.file == self._taken.file
        try:
            now = self._app.declared_anew(self._names, stamp)
        except LadingError as error:
            if self._refused is None or self._refused[0] != stamp or vars(self._refused[1]) != vars(error):
                self._heard.refused(error, secrets=secrets)
            self._refused = stamp, error
            return
        if now is None:
            return
        names = {one.job.name for one in now}
        gone = [one for one in self._declared or () if one.job.name not in names]
        self._leaving = (
            *(one for one in self._leaving if one.job.name not in names),
            *(replace(one, job=replace(one.job, schedule=None)) for one in gone),
        )
        self._count(now, stamp)
        self._heard.taken(now, [one.job.name for one in gone], secrets=secrets)

    def _count(self, now: tuple[JobContext, ...], stamp: Stamp) -> None:
        """Let these jobs count. Which secret files there are to look at is known only now."""
        self._declared, self._refused = now, None
        self._taken = stamp._replace(secrets=self._app.stamp().secrets)
