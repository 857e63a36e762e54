"""Reloading of jobs.yaml for `batchsync serve`.

An invalid file is reported and the previous jobs stay active; so does a single job whose new version cannot be used. A
removed job is followed while it has batches in flight. With `--git` and `--watch`, the file is that of a revision and
never changes: the newest revision is tried, and tried again in each pass as long as it cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from batchsync.errors import BatchsyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from batchsync.app import App
    from batchsync.cli.follow import Revisions
    from batchsync.core.deployment import Deployment
    from batchsync.reconcile.services import SelectedJob
    from batchsync.spec.file_fingerprint import FileFingerprint

#: A file unchanged for this long is complete; a partly written file can be valid YAML.
_STABLE_AFTER = timedelta(seconds=2)
#: Number of attempts per pass; a file that keeps changing is left for the next pass.
_ATTEMPTS = 3


class ReloadListener(Protocol):
    """Listener for reloads; `secrets` means that only secret files changed, not jobs.yaml."""

    def reloaded(self, active: Sequence[SelectedJob], removed: Sequence[str], *, secrets: bool) -> None:
        """Report the active jobs and the removed ones."""
        ...

    def failed(self, error: BatchsyncError, *, secrets: bool, job: str = "") -> None:
        """Report why the file cannot be used, or the new version of one job."""
        ...


@dataclass(frozen=True, slots=True)
class _Failure:
    """Errors of a file by job (`""` is the file itself). `secrets`: only its secret files had changed."""

    fingerprint: FileFingerprint
    errors: Mapping[str, BatchsyncError]
    secrets: bool


class JobsReloader:
    """Source of the declared jobs, called before each pass of `serve`."""

    def __init__(
        self,
        app: App,
        names: Sequence[str] | Callable[[Deployment], Collection[str]],
        listener: ReloadListener,
        pause: Callable[[timedelta], None],
        revisions: Revisions | None = None,
    ) -> None:
        """Create the reloader with a listener and a function that waits for a file being written.

        Args:
            app: The application; with `revisions`, it uses the file of one of them.
            names: Names of jobs (empty means all), or what chooses them.
            listener: Listener for reloads.
            pause: Waits for a file that is being written.
            revisions: What is followed; None for a file that changes.
        """
        self._revisions = revisions
        #: failure of the newest revision, which is not active because of it
        self._refused: _Failure | None = None
        self._app, self._names, self._listener, self._pause = app, names, listener, pause
        #: fingerprint of the active file, and the failure of the last one that cannot be used, or only in part
        self._fingerprint = app.fingerprint()
        self._failure: _Failure | None = None
        self._declared: tuple[SelectedJob, ...] | None = None
        self._removed: tuple[SelectedJob, ...] = ()

    @property
    def contexts(self) -> tuple[SelectedJob, ...]:
        """Active jobs: declared ones, then removed ones with batches in flight."""
        return (*(self._declared or ()), *self._removed)

    def __call__(self) -> tuple[SelectedJob, ...]:
        """Return the active jobs; removed ones have no schedule.

        Raises:
            BatchsyncError: If the file is invalid and no valid one was loaded before.
        """
        if self._declared is None:
            names = self._names(self._app.deployment) if callable(self._names) else self._names
            self._activate(self._app.contexts(tuple(names)), self._fingerprint)
        else:
            self._check(self._app.fingerprint())
        if self._revisions is not None:
            self._follow(self._revisions)
        self._removed = tuple(item for item in self._removed if self._app.journal.open_batches(item.job.name))
        return self.contexts

    def _follow(self, revisions: Revisions) -> None:
        """Load the newest revision unless it is active, and note which one is."""
        if (newest := revisions.newer()) is not None:
            before, active, failure = revisions.use(newest), self._fingerprint, self._failure
            self._failure = self._refused
            self._reload(self._app.fingerprint())
            if self._fingerprint.file == active.file:
                revisions.use(before)
                self._refused, self._failure = self._failure, failure
            else:
                self._refused = None
        elif self._refused is not None:
            # The branch leads back to the active revision.
            self._refused = None
            self._listener.reloaded(self._declared or (), (), secrets=False)
        revisions.note(complete=self._failure is None)

    def _check(self, fingerprint: FileFingerprint) -> None:
        if fingerprint == self._fingerprint and self._failure is None:
            return
        # Retry an invalid file in each pass: its source or secret may exist now.
        stable = (
            fingerprint
            if self._failure is not None and fingerprint == self._failure.fingerprint
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
        last = self._failure if self._failure is not None and self._failure.fingerprint == fingerprint else None
        secrets = last.secrets if last is not None else fingerprint.file == self._fingerprint.file
        declared = self._declared or ()
        try:
            loaded = self._app.reload(self._names, fingerprint, declared)
        except BatchsyncError as error:
            self._report({"": error}, last, secrets=secrets)
            self._failure = _Failure(fingerprint, {"": error}, secrets)
            return
        if loaded is None:
            return
        active, errors = loaded
        self._report(errors, last, secrets=secrets)
        failure = _Failure(fingerprint, errors, secrets) if errors else None
        if failure is not None and last is not None and last.errors.keys() == errors.keys():
            self._failure = failure
            return
        names = {item.job.name for item in active}
        removed = [item for item in declared if item.job.name not in names]
        self._removed = (
            *(item for item in self._removed if item.job.name not in names),
            *(replace(item, job=replace(item.job, schedule=None)) for item in removed),
        )
        self._activate(active, fingerprint)
        self._failure = failure
        if failure is None or [item.job for item in active] != [item.job for item in declared]:
            self._listener.reloaded(active, [item.job.name for item in removed], secrets=secrets)

    def _report(self, errors: Mapping[str, BatchsyncError], last: _Failure | None, *, secrets: bool) -> None:
        """Report errors, except those that the last attempt with the same file had, too."""
        known = last.errors if last is not None else {}
        for job, error in errors.items():
            if job not in known or vars(known[job]) != vars(error):
                self._listener.failed(error, secrets=secrets, job=job)

    def _activate(self, active: tuple[SelectedJob, ...], fingerprint: FileFingerprint) -> None:
        """Activate these jobs. The secret files to watch are known only now."""
        self._declared, self._failure = active, None
        self._fingerprint = fingerprint._replace(secrets=self._app.fingerprint().secrets)
