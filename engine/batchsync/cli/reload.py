"""Reloading of jobs.yaml for `batchsync serve`.

An invalid file is reported and the previous jobs stay active. A removed job is followed while it has batches in flight.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from batchsync.errors import BatchsyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsync.app import App
    from batchsync.reconcile.services import JobContext
    from batchsync.spec.file_fingerprint import FileFingerprint

#: A file unchanged for this long is complete; a partly written file can be valid YAML.
_STABLE_AFTER = timedelta(seconds=2)
#: Number of attempts per pass; a file that keeps changing is left for the next pass.
_ATTEMPTS = 3


class ReloadListener(Protocol):
    """Listener for reloads; `secrets` means that only secret files changed, not jobs.yaml."""

    def taken(self, now: Sequence[JobContext], gone: Sequence[str], *, secrets: bool) -> None:
        """Report the active jobs and the removed ones."""
        ...

    def refused(self, error: BatchsyncError, *, secrets: bool) -> None:
        """Report why the file cannot be used."""
        ...


class JobsReloader:
    """Source of the declared jobs, called before each pass of `serve`."""

    def __init__(
        self, app: App, names: Sequence[str], heard: ReloadListener, pause: Callable[[timedelta], None]
    ) -> None:
        """Create the reloader with a listener and a function that waits for a file being written."""
        self._app, self._names, self._heard, self._pause = app, names, heard, pause
        #: fingerprint of the active file, and of the last invalid one with its error
        self._taken = app.fingerprint()
        self._refused: tuple[FileFingerprint, BatchsyncError] | None = None
        self._declared: tuple[JobContext, ...] | None = None
        self._leaving: tuple[JobContext, ...] = ()

    @property
    def contexts(self) -> tuple[JobContext, ...]:
        """Active jobs: declared ones, then removed ones with batches in flight."""
        return (*(self._declared or ()), *self._leaving)

    def __call__(self) -> tuple[JobContext, ...]:
        """Return the contexts of the active jobs; removed ones have no schedule.

        Raises:
            BatchsyncError: If the file is invalid and no valid one was loaded before.
        """
        if self._declared is None:
            self._count(self._app.contexts(self._names), self._taken)
        else:
            self._look(self._app.fingerprint())
        self._leaving = tuple(item for item in self._leaving if self._app.journal.open_batches(item.job.name))
        return self.contexts

    def _look(self, stamp: FileFingerprint) -> None:
        if stamp == self._taken and self._refused is None:
            return
        # Retry an invalid file in each pass: its source or secret may exist now.
        rested = stamp if self._refused is not None and stamp == self._refused[0] else self._is_stable(stamp)
        if rested is not None:
            self._take(rested)

    def _is_stable(self, stamp: FileFingerprint) -> FileFingerprint | None:
        """Return the fingerprint of the file once it is stable; None if it keeps changing."""
        for _ in range(_ATTEMPTS):
            self._pause(_STABLE_AFTER)
            stamp, last = self._app.fingerprint(), stamp
            if stamp == last:
                return stamp
        return None

    def _take(self, stamp: FileFingerprint) -> None:
        secrets = stamp.file == self._taken.file
        try:
            now = self._app.reload(self._names, stamp)
        except BatchsyncError as error:
            if self._refused is None or self._refused[0] != stamp or vars(self._refused[1]) != vars(error):
                self._heard.refused(error, secrets=secrets)
            self._refused = stamp, error
            return
        if now is None:
            return
        names = {item.job.name for item in now}
        gone = [item for item in self._declared or () if item.job.name not in names]
        self._leaving = (
            *(item for item in self._leaving if item.job.name not in names),
            *(replace(item, job=replace(item.job, schedule=None)) for item in gone),
        )
        self._count(now, stamp)
        self._heard.taken(now, [item.job.name for item in gone], secrets=secrets)

    def _count(self, now: tuple[JobContext, ...], stamp: FileFingerprint) -> None:
        """Activate these jobs. The secret files to watch are known only now."""
        self._declared, self._refused = now, None
        self._taken = stamp._replace(secrets=self._app.fingerprint().secrets)
