"""Composition root: wires settings and files into services.

Adapters are imported where they are created, so that a command pays only for what it uses.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from batchsync.accounts import Accounts, files_fingerprint
from batchsync.checks import check_jobs, refuse_backup_in_revision
from batchsync.core.deployment import Resources
from batchsync.core.policy import with_overrides
from batchsync.errors import (
    BatchsyncError,
    Problem,
    SpecError,
    UsageError,
    hide_values,
    show_values,
)
from batchsync.interrupts import Interrupts
from batchsync.observers.dispatch import Dispatcher
from batchsync.preparation import executor_of, resolved
from batchsync.settings import library_settings
from batchsync.source import fetch
from batchsync.spec import Choice, load, mock_arguments
from batchsync.spec.vendor_spec import load_vendor
from batchsync.storage.local_folder import LocalFolder
from batchsync.system_clock import SystemClock
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from batchsync.core.connection import Connection
    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job
    from batchsync.core.query import Database
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data import PolarsEngine
    from batchsync.journal import Journal
    from batchsync.ports import AccessOf, Clock, EventSink, FetchSource, ObjectStore, Vendor
    from batchsync.reconcile.services import JobContext, SelectedJob, Services
    from batchsync.settings import Settings
    from batchsync.spec.file_fingerprint import FileFingerprint
    from batchsync.vendors.bundled_mocks import BundledMocks

    Names = Sequence[str] | Callable[[Deployment], Collection[str]]


class App:
    """One deployment with its journal and vendors, for one command. Context manager."""

    def __init__(self, settings: Settings, *, untrusted: bool = False, deployment: Deployment | None = None) -> None:
        """Store the settings. Files are read and vendors called when they are needed.

        Args:
            settings: The settings.
            untrusted: Whether jobs.yaml is a stranger's: no environment and no vendor folder is read, and no path leads
                out of the folder of the file.
            deployment: Contents to use instead of those of jobs.yaml.
        """
        self.settings = settings
        self._untrusted = untrusted
        self.interrupts = Interrupts()
        self.clock: Clock = SystemClock(self.interrupts.wait)
        #: called at each read and write of a request to a vendor, from its thread
        self.on_transfer: Callable[[], None] = lambda: None
        self._accounts = Accounts(
            settings, os.environ, untrusted=untrusted, journal=lambda: self._journal, on_transfer=self._transferred
        )
        self.events: EventSink = Dispatcher((), now=self.clock.now, warn=lambda _: None)
        self.objects: ObjectStore = LocalFolder(settings.state_folder)
        self._resources = ExitStack()
        self._deployment: Deployment | None = deployment
        self._data: PolarsEngine | None = None
        self._journal: Journal | None = None
        self._mocks: BundledMocks | None = None
        self._vendors: dict[str, Vendor] = {}
        #: Whether waits advance the clock of mocks unless the settings say; otherwise they last as long as at vendors.
        self.skips_waits = True

    def __enter__(self) -> Self:
        """Return the app."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the journal and stop the mocks."""
        self._resources.close()

    def use_file(self, file: Path, jobs_folder: Path | None) -> None:
        """Read another jobs file, and folder of further files, from now on; what was loaded stays until a reload."""
        self.settings = self.settings.model_copy(update={"file": file, "jobs": jobs_folder})
        self._accounts = replace(self._accounts, settings=self.settings)

    def _transferred(self) -> None:
        self.on_transfer()

    @property
    def deployment(self) -> Deployment:
        """Return the contents of jobs.yaml.

        Raises:
            SpecError: If it is invalid; contains every problem.
        """
        if self._deployment is None:
            declared = load(
                self.settings.file,
                environ=None if self._untrusted else os.environ,
                on_resources=self._configure_libraries,
                check_source=self._source_problems,
                fence=self.settings.fence_of_strangers() if self._untrusted else self.settings.fence,
                choice=Choice(self.settings.env, self.settings.jobs),
            )
            self._hide(declared.substituted)
            refuse_backup_in_revision(declared.backup, self.settings)
            jobs = tuple(job.with_results(self.settings.results_path) for job in declared.jobs)
            self._deployment = replace(declared, jobs=jobs)
        return self._deployment

    def _hide(self, values: Mapping[str, str]) -> None:
        """Show no value of an environment variable in messages of errors, as long as the app is open."""
        hide_values(values)
        self._resources.callback(show_values, tuple(values))

    @property
    def data(self) -> PolarsEngine:
        """Return the data engine."""
        if self._data is None:
            declared = Resources()
            with suppress(BatchsyncError):  # some commands use the engine without jobs.yaml
                declared = self.deployment.resources
            self._data = self._engine(declared)
        return self._data

    def _engine(self, resources: Resources) -> PolarsEngine:
        """Return a data engine, imported after its libraries were configured."""
        from batchsync.data import PolarsEngine  # noqa: PLC0415 - see the top of this file

        resources = resolved(resources, self.settings)
        executor = None if self._untrusted else executor_of(resources, self.settings)
        if executor is not None:
            self._resources.callback(executor.shutdown)
        return PolarsEngine(self.objects, self.events, executor=executor, threads=resources.threads, shared=LocalFolder)

    def _source_problems(self, job: Job, rules: VendorRules) -> tuple[Problem, ...]:
        """Return the mismatches of a job with its source, as far as it can be read, if jobs.yaml has other problems."""
        try:
            return self.check_job(job, rules)
        except BatchsyncError:
            return ()

    def check_job(self, job: Job, rules: VendorRules) -> tuple[Problem, ...]:
        """Return the mismatches of a job with its local source, without the parts of the engine that read rows."""
        from batchsync.data import check_job  # noqa: PLC0415 - see the top of this file

        return check_job(job, rules)

    def _configure_libraries(self, declared: Resources) -> None:
        """Set the environment variables of the data libraries, which read them once, at import."""
        for name, value in library_settings(resolved(declared, self.settings)).items():
            os.environ.setdefault(name, value)

    @property
    def journal(self) -> Journal:
        """Return the journal, opened or created.

        Raises:
            StateError: If it is missing, and jobs.yaml requires it.
        """
        if self._journal is None:
            from batchsync.journal import check_present, open_anchored, own_environment  # noqa: PLC0415 - see the top of this file

            if not self.settings.is_trial:
                check_present(self.settings.state_folder, required=lambda: self.deployment.state_required)
            own_environment(self.settings.state_folder, self.settings.env or "")
            self._journal = open_anchored(self.settings.state_folder, self.settings.anchors_folder, self.objects)
            self._resources.callback(self._journal.close)
        return self._journal

    def jobs(self, names: Sequence[str]) -> tuple[Job, ...]:
        """Return the named jobs in dependency order, or all of them. A former name means the job that has it.

        Raises:
            UsageError: If there is no job of a name.
        """
        if unknown := [name for name in names if name not in self.deployment.names]:
            hint = names_hint(unknown[0], {job.name for job in self.deployment.jobs}, "jobs")
            raise UsageError(f'unknown job "{unknown[0]}"', hint=hint, name="usage.unknown_job")
        return tuple(job for job in self.deployment.jobs if not names or job.all_names.intersection(names))

    def check(self, jobs: Iterable[Job] | None = None) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
        """Check jobs (or all) against their sources, offline.

        Returns:
            Problems, and notes on what was not checked.
        """
        chosen = self.deployment.jobs if jobs is None else jobs
        return check_jobs(chosen, self.deployment.unchecked, lambda job: self.check_job(job, self.rules_of(job)))

    def services(self, names: Sequence[str] = ()) -> Services:
        """Return the services for the named jobs (or all), with mocks of their vendors if the settings ask for them."""
        from batchsync.backups import back_up_after_runs  # noqa: PLC0415 - see the top of this file
        from batchsync.reconcile.background import BackgroundProducer  # noqa: PLC0415 - the same
        from batchsync.reconcile.services import Services, StatePaths  # noqa: PLC0415 - the same
        from batchsync.sinks import Sinks  # noqa: PLC0415 - the same

        if self.settings.mocks:
            self.start_mocks(self.connection_of(job) for job in self.jobs(names))
        return Services(
            clock=self.clock,
            store=self.journal,
            data=self.data,
            plan_rows=self.data,
            lists=self.data,
            check=self.refuse_mismatch,
            fetch=self.fetch,
            objects=self.objects,
            sinks=Sinks(self.access),
            paths=StatePaths(state=self.settings.state_folder),
            events=self.events,
            shield=self.interrupts.shield,
            lease=self._lease,
            in_background=BackgroundProducer,
            retention=self.deployment.retention,
            back_up=lambda: back_up_after_runs(self.deployment, self.settings, self.access, self.clock),
        )

    def contexts(self, names: Sequence[str]) -> tuple[SelectedJob, ...]:
        """Return the contexts of the named jobs (or all), unchecked; of a job that has no vendor now, the reason."""
        return tuple(self._context_or_reason(job) for job in self.jobs(names))

    def _context_or_reason(self, job: Job) -> SelectedJob:
        from batchsync.reconcile.services import UnableJob  # noqa: PLC0415 - see the top of this file

        try:
            return self.context(job)
        except BatchsyncError as error:
            return UnableJob(job=job, error=error)

    def refuse_mismatch(self, job: Job) -> None:
        """Refuse a job that does not match its source. A source that cannot be read now is no mismatch.

        Raises:
            SpecError: If it does not match; contains every problem.
        """
        problems, _ = self.check([job])
        if problems:
            raise SpecError(problems)

    def reload(
        self, names: Names, fingerprint: FileFingerprint, active: Sequence[SelectedJob]
    ) -> tuple[tuple[SelectedJob, ...], dict[str, BatchsyncError]] | None:
        """Return the named jobs (or all) as jobs.yaml declares them now, with new connections.

        A job keeps its active version if the new one cannot reach its vendor, or was changed and does not match its
        source; other jobs change nevertheless. After an error, and if None is returned, all jobs stay as they are.

        Args:
            names: Names of jobs (empty means all), or what chooses them.
            fingerprint: Fingerprint of the jobs.yaml to load.
            active: The active version of each job.

        Returns:
            The jobs, and the errors of those that keep their active version, or None if the file no longer has this
            fingerprint.

        Raises:
            SpecError: If jobs.yaml is invalid.
        """
        before = self._deployment, self._vendors
        self._deployment, self._vendors = None, {}
        current = {item.job.name: item for item in active}
        try:
            chosen = names(self.deployment) if callable(names) else names or self.deployment.names
            jobs = (job for job in self.deployment.jobs if job.name in chosen)
            found = {job.name: self._reloaded(job, current.get(job.name)) for job in jobs}
            unchanged = self.fingerprint().file == fingerprint.file
        except BaseException:
            self._deployment, self._vendors = before
            raise
        if not unchanged:
            self._deployment, self._vendors = before
            return None
        contexts = tuple(item for item, _ in found.values())
        return contexts, {name: error for name, (_, error) in found.items() if error is not None}

    def _reloaded(self, job: Job, active: SelectedJob | None) -> tuple[SelectedJob, BatchsyncError | None]:
        """Return the new version of a job, or its active one and why the new one cannot replace it."""
        from batchsync.reconcile.services import UnableJob  # noqa: PLC0415 - see the top of this file

        new = self._context_or_reason(job)
        if active is None:
            return new, None
        if isinstance(new, UnableJob):
            return active, new.error
        if job != active.job:
            try:
                self.refuse_mismatch(job)
            except BatchsyncError as error:
                return active, error
        return new, None

    def fingerprint(self) -> FileFingerprint:
        """Return the fingerprint of jobs.yaml as it is now, and of the files of secrets and queries in use."""
        return files_fingerprint(self.settings, self._deployment)

    def context(self, job: Job) -> JobContext:
        """Return the context of a job: rules, policy, account and vendor."""
        from batchsync.reconcile.services import JobContext  # noqa: PLC0415 - see the top of this file

        connection, rules = self.connection_of(job), self.rules_of(job)
        return JobContext(
            job=job,
            rules=rules,
            policy=with_overrides(rules.policy, connection),
            account_id=self.account_id(job),
            vendor=self.vendor_of(connection),
            account=self._accounts.key(connection, rules),
            declared=self.deployment.names,
        )

    def vendor_of(self, connection: Connection) -> Vendor:
        """Return the client of a connection, of its mock if the settings ask for mocks."""
        if connection.name not in self._vendors:
            rules = self.rules_of_connection(connection)
            mocks = self.start_mocks([connection]) if self.settings.mocks else None
            self._vendors[connection.name] = self._accounts.connect(connection, rules, self.clock, mocks)
        return self._vendors[connection.name]

    def login(self, database: Database) -> Mapping[str, str]:
        """Return what the references of a database stand for, see `Accounts.login`."""
        return self._accounts.login(database)

    @property
    def access(self) -> AccessOf:
        """Return what resolves the references of storages."""
        return self._accounts.access

    @property
    def fetch(self) -> FetchSource:
        """Return what brings sources to local files."""
        return partial(fetch, login=self.login, access=self.access)

    def account_id(self, job: Job) -> str:
        """Return a short id of the account and target that a job sends to. Each has its own baseline."""
        return self._accounts.account_id(job, self.connection_of(job), self.rules_of(job))

    def connection_of(self, job: Job) -> Connection:
        """Return the connection of a job."""
        return self.deployment.connections[job.connection]

    def rules_of(self, job: Job) -> VendorRules:
        """Return the rules of a job's vendor."""
        return self.rules_of_connection(self.connection_of(job))

    def rules_of_connection(self, connection: Connection) -> VendorRules:
        """Return the rules of a connection's vendor."""
        return load_vendor(connection.vendor, connection.settings).within(connection.limits)

    def start_mocks(self, connections: Iterable[Connection]) -> BundledMocks:
        """Start the mocks of the vendors of connections, unless some run, and use their clock.

        Returns:
            The running mocks.

        Raises:
            UsageError: If there is no bundled mock of a vendor.
            UnavailableError: If the mocks do not start.
        """
        if self._mocks is None:
            from batchsync.vendors.bundled_mocks import MockedTime, bundled_mocks, running_mocks  # noqa: PLC0415 - the same

            # The journal creates the private state folder, which contains the mocks' folder.
            self.journal  # noqa: B018 - opens the journal
            if self.settings.mocks_at is not None:
                self._mocks = running_mocks(self.settings.mocks_at)
            else:
                started = bundled_mocks(mock_arguments(connections), self.settings.state_folder / "vendors", self.clock)
                self._mocks = self._resources.enter_context(started)
            skips = self.skips_waits if self.settings.skip_poll_wait is None else self.settings.skip_poll_wait
            self.clock = MockedTime(self._mocks, self.clock, skips_waits=skips)
        return self._mocks

    def _lease(self, job: str) -> AbstractContextManager[object]:
        from batchsync.journal import lease, this_process  # noqa: PLC0415 - see the top of this file

        return lease(self.journal, self.settings.state_folder, job, this_process(), self.clock.now())
