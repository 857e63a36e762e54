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

    def reloaded(self, active: Sequence[JobContext], removed: Sequence[str], *, secrets: bool) -> None:
        """Report the active jobs and the removed ones."""
        ...

    def failed(self, error: BatchsyncError, *, secrets: bool) -> None:
        """Report why the file cannot be used."""
        ...


class JobsReloader:
    """Source of the declared jobs, called before each pass of `serve`."""

    def __init__(
        self, app: App, names: Sequence[str], listener: ReloadListener, pause: Callable[[timedelta], None]
    ) -> None:
        """Create the reloader with a listener and a function that waits for a file being written."""
        self._app, self._names, self._listener, self._pause = app, names, listener, pause
        #: fingerprint of the active file, and of the last invalid one with its error
        self._fingerprint = app.fingerprint()
        self._failure: tuple[FileFingerprint, BatchsyncError] | None = None
        self._declared: tuple[JobContext, ...] | None = None
        self._removed: tuple[JobContext, ...] = ()

    @property
    def contexts(self) -> tuple[JobContext, ...]:
        """Active jobs: declared ones, then removed ones with batches in flight."""
        return (*(self._declared or ()), *self._removed)

    def __call__(self) -> tuple[JobContext, ...]:
        """Return the contexts of the active jobs; removed ones have no schedule.

        Raises:
            BatchsyncError: If the file is invalid and no valid one was loaded before.
        """
        if self._declared is None:
            self._activate(self._app.contexts(self._names), self._fingerprint)
        else:
            self._check(self._app.fingerprint())
        self._removed = tuple(item for item in self._removed if self._app.journal.open_batches(item.job.name))
        return self.contexts

    def _check(self, fingerprint: FileFingerprint) -> None:
        if fingerprint == self._fingerprint and self._failure is None:
            return
        # Retry an invalid file in each pass: its source or secret may exist now.
        stable = (
            fingerprint
            if self._failure is not None and fingerprint == self._failure[0]
            else self._is_stable(fingerprint)
        )
        if stable is not None:
            self._reload(stable)

    def _is_stable(self, fingerprint: FileFingerprint) -> FileFingerprint | None:
        """Return the fingerprint of the file once it is stable; None if it keeps changing."""
        for _ in range(_ATTEMPTS):
            self._pause(_STABLE_AFTER)
            fingerprint, last = self._app.fingerprint(), fingerprint
            if fingerprint == last:
                return fingerprint
        return None

    def _reload(self, fingerprint: FileFingerprint) -> None:
        secrets = fingerprint.file == self._fingerprint.file
        try:
            active = self._app.reload(self._names, fingerprint)
        except BatchsyncError as error:
            if self._failure is None or self._failure[0] != fingerprint or vars(self._failure[1]) != vars(error):
                self._listener.failed(error, secrets=secrets)
            self._failure = fingerprint, error
            return
        if active is None:
            return
        names = {item.job.name for item in active}
        removed = [item for item in self._declared or () if item.job.name not in names]
        self._removed = (
            *(item for item in self._removed if item.job.name not in names),
            *(replace(item, job=replace(item.job, schedule=None)) for item in removed),
        )
        self._activate(active, fingerprint)
        self._listener.reloaded(active, [item.job.name for item in removed], secrets=secrets)

    def _activate(self, active: tuple[JobContext, ...], fingerprint: FileFingerprint) -> None:
        """Activate these jobs. The secret files to watch are known only now."""
        self._declared, self._failure = active, None
        self._fingerprint = fingerprint._replace(secrets=self._app.fingerprint().secrets)
