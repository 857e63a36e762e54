"""The composition root: from settings and files to a wired engine. The only reader of the wall clock.

It knows every adapter and decides nothing; what it hands out is used by the command line. Adapters are imported
where they are made, so that a command pays only for what it uses.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lading import __version__
from lading.aside import Aside
from lading.core.job import Resources
from lading.core.policy import wished
from lading.errors import EnvironmentProblem, LadingError, Problem, SourceError, SpecError, UsageError
from lading.interrupts import Interrupts
from lading.reconcile.context import Folders, JobContext, World
from lading.spec import fill_in_lines, load, resolve_credentials, secret_files
from lading.spec.suggest import names_hint
from lading.spec.vendor_spec import available_vendors, load_vendor, vendor_entry_point
from lading.stamps import Stamp, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from lading.core.batch import Batch
    from lading.core.job import Connection, Deployment, Job
    from lading.core.vendor_rules import VendorRules
    from lading.data import Columnar
    from lading.journal import Journal
    from lading.ports import Clock, Connect, Vendor, Watcher
    from lading.settings import Settings
    from lading.vendors.bundled import BundledMocks


#: So many characters a secret may have; what is larger is another file.
_SECRET_MAX = 100_000
#: Text is parsed in pieces of so many bytes where memory is small.
_SMALL_CHUNK = str(1 << 20)


class SystemClock:
    """The wall clock. Its sleep ends early when a signal arrives."""

    def __init__(self, wait: Callable[[timedelta], None]) -> None:
        """Keep how to wait."""
        self._wait = wait

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        return datetime.now(tz=UTC)

    def sleep(self, duration: timedelta) -> None:
        """Wait."""
        self._wait(duration)


class NobodyWatches:
    """A Watcher for when nobody is there."""

    def progress(self, job: str, stage: str, done: int, unit: str, *more: object, **sizes: object) -> None:
        """Do nothing."""

    def moved(self, batch: Batch) -> None:
        """Do nothing."""

    def waiting(self, until: datetime) -> None:
        """Do nothing."""


def library_settings(resources: Resources) -> dict[str, str]:
    """Return the variables by which the columnar library and its allocator learn what they may take."""
    found = {"OPENBLAS_NUM_THREADS": "1"}
    if resources.threads is not None:
        found["POLARS_MAX_THREADS"] = str(resources.threads)
    if resources.memory == "small":
        found |= {
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:1",
            "POLARS_CSV_CHUNK_SIZE": _SMALL_CHUNK,
            "POLARS_CSV_CHUNK_PREFETCH_LIMIT": "1",
            "POLARS_NDJSON_CHUNK_SIZE": _SMALL_CHUNK,
            "POLARS_NDJSON_CHUNK_PREFETCH_LIMIT": "1",
        }
    return found


class App:
    """One deployment, its journal and its vendors, for one command. Use as a context manager."""

    def __init__(self, settings: Settings, *, watcher: Watcher | None = None) -> None:
        """Keep the settings; files are read when they are needed, vendors are called when a command does."""
        self.settings = settings
        self.interrupts = Interrupts()
        self.clock: Clock = SystemClock(self.interrupts.wait)
        self.watcher: Watcher = watcher or NobodyWatches()
        self._resources = ExitStack()
        self._deployment: Deployment | None = None
        self._data: Columnar | None = None
        self._journal: Journal | None = None
        self._mocks: BundledMocks | None = None
        self._vendors: dict[str, Vendor] = {}

    def __enter__(self) -> Self:
        """Return the app."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the journal and the mocks."""
        self._resources.close()

    @property
    def deployment(self) -> Deployment:
        """Return what jobs.yaml says.

        Raises:
            SpecError: with everything that is wrong in it.
        """
        if self._deployment is None:
            said = load(self.settings.file, environ=os.environ, first=self._limit, further=_against_source)
            jobs = tuple(_with_results(job, self.settings.results_at) for job in said.jobs)
            self._deployment = replace(said, jobs=jobs)
        return self._deployment

    @property
    def data(self) -> Columnar:
        """Return the columnar path."""
        if self._data is None:
            said = Resources()
            with suppress(LadingError):  # some commands need the columnar path and no jobs.yaml
                said = self.deployment.resources
            self._data = _columnar(watcher=self.watcher, threads=self._resolved(said).threads)
        return self._data

    def _resolved(self, said: Resources) -> Resources:
        """Return what preparing may take of the machine: what the settings say, else jobs.yaml."""
        memory = self.settings.memory or said.memory
        alone = 1 if memory == "small" else None
        return Resources(threads=self.settings.threads or said.threads or alone, memory=memory)

    def _limit(self, said: Resources) -> None:
        """Tell the columnar library what it may take, which reads that once, when it is imported."""
        for name, value in library_settings(self._resolved(said)).items():
            os.environ.setdefault(name, value)

    @property
    def journal(self) -> Journal:
        """Return the journal, opened or created."""
        if self._journal is None:
            from lading.journal import Journal  # noqa: PLC0415 - see the top of this file

            self._journal = Journal.open(self.settings.state_folder)
            self._resources.callback(self._journal.close)
        return self._journal

    def vendor_rules(self) -> dict[str, VendorRules]:
        """Return every vendor that this installation knows, by name."""
        return {name: load_vendor(name) for name in available_vendors()}

    def jobs(self, names: Sequence[str]) -> tuple[Job, ...]:
        """Return the named jobs in the order of dependency, or all of them.

        Raises:
            UsageError: when there is no job of that name.
        """
        known = {job.name for job in self.deployment.jobs}
        for name in names:
            if name not in known:
                raise UsageError(f'there is no job "{name}"', hint=names_hint(name, known, "jobs"))
        return tuple(job for job in self.deployment.jobs if not names or job.name in names)

    def check(self, jobs: Iterable[Job] | None = None) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
        """Hold jobs (or all) against their sources, offline. Returns problems, and notes on what was not checked."""
        problems: list[Problem] = []
        notes: list[str] = []
        for job in self.deployment.jobs if jobs is None else jobs:
            if job.source.job is not None:
                notes.append(f'{job.name}: its source is what job "{job.source.job}" brings, not checked here')
                continue
            try:
                problems += self.data.check(job, self.rules_of(job))
            except SourceError as error:
                said = " ".join(one for one in (f"{error.message}.", error.hint) if one)
                notes.append(f"{job.name}: {said} Its columns were not checked")
        return fill_in_lines(tuple(problems)), tuple(notes)

    def world(self, names: Sequence[str] = ()) -> World:
        """Return the world in which the named jobs (or all) run, with mocks of their vendors if they are asked for."""
        from lading.sinks import Sinks  # noqa: PLC0415 - see the top of this file

        if self.settings.mocks:
            self.start_mocks(self.jobs(names))
        return World(
            clock=self.clock,
            memory=self.journal,
            data=self.data,
            sinks=Sinks(),
            folders=Folders(state=self.settings.state_folder),
            watcher=self.watcher,
            shield=self.interrupts.shield,
            lease=self._lease,
            aside=Aside,
        )

    def contexts(self, names: Sequence[str]) -> tuple[JobContext, ...]:
        """Return the named jobs (or all) with everything it takes to run them.

        Raises:
            SpecError: when a job does not fit its source.
            EnvironmentProblem: when a credential is missing.
        """
        jobs = self.jobs(names)
        self._refuse_problems(self.deployment.jobs)
        return tuple(self.context(job) for job in jobs)

    def _refuse_problems(self, jobs: Iterable[Job]) -> None:
        problems, _ = self.check(jobs)
        if problems:
            raise SpecError(problems)

    def declared_anew(self, names: Sequence[str], stamp: Stamp) -> tuple[JobContext, ...] | None:
        """Return those of the named jobs (or all jobs) that jobs.yaml declares now, with connections made anew.

        Only jobs that are declared otherwise than before are held against their sources: the trouble of one stops no
        edit of another. None when the file is not the one of this stamp any more; then, and when it cannot be used,
        what was read before still stands. Raises as `contexts` does.
        """
        before, known = (self._deployment, self._vendors), self.deployment.jobs
        self._deployment, self._vendors = None, {}
        try:
            jobs = tuple(job for job in self.deployment.jobs if not names or job.name in names)
            self._refuse_problems(job for job in jobs if job not in known)
            found = tuple(self.context(job) for job in jobs)
            whole = self.stamp().file == stamp.file
        except BaseException:
            self._deployment, self._vendors = before
            raise
        if not whole:
            self._deployment, self._vendors = before
            return None
        return found

    def stamp(self) -> Stamp:
        """Return what tells the jobs.yaml of now, and the secret files of the one in use, from others."""
        secrets = secret_files(self._deployment.connections.values()) if self._deployment else ()
        return stamp_of(self.settings.file, secrets)

    def context(self, job: Job) -> JobContext:
        """Return one job with its rules, its policy, its account and its vendor."""
        connection = self.connection_of(job)
        rules = self.rules_of(job)
        if connection.name not in self._vendors:
            if self.settings.mocks:
                base_url, credentials = self.start_mocks([job]).of(rules.name)
            else:
                base_url = connection.base_url
                credentials = resolve_credentials(connection, os.environ, _read_secret)
            self._vendors[connection.name] = _connector(rules)(
                rules,
                base_url=base_url,
                credentials=credentials,
                ca_bundle=connection.ca_bundle,
                clock=self.clock,
                user_agent=f"lading/{__version__}",
            )
        return JobContext(
            job=job,
            rules=rules,
            policy=wished(rules.policy, connection),
            identity=self.identity(job),
            vendor=self._vendors[connection.name],
        )

    def identity(self, job: Job) -> str:
        """Return a short name of the account and target that a job sends to. What one holds says nothing of another."""
        connection = self.connection_of(job)
        rules = self.rules_of(job)
        if self.settings.mocks:
            account = ["mocks", rules.name]
        else:
            named = {name: text for name, text in connection.credentials.items() if name == rules.account_credential}
            known = resolve_credentials(replace(connection, credentials=named), os.environ, _read_secret)
            account = [rules.name, connection.base_url.rstrip("/"), *known.values()]
        what = json.dumps([account, sorted(rules.told_apart_by(job.target).items())])
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    def connection_of(self, job: Job) -> Connection:
        """Return the connection that a job sends through."""
        return self.deployment.connections[job.connection]

    def rules_of(self, job: Job) -> VendorRules:
        """Return the vendor that a job sends to."""
        return load_vendor(self.connection_of(job).vendor)

    def start_mocks(self, jobs: Sequence[Job]) -> BundledMocks:
        """Start the bundled mocks of the vendors of these jobs, if none run yet, and take their time over.

        Raises:
            UsageError: when one of the vendors has no mock in the box.
            EnvironmentProblem: when they do not start.
        """
        if self._mocks is None:
            from lading.vendors.bundled import MockedTime, bundled_mocks, running_mocks  # noqa: PLC0415 - the same

            # The journal makes the state folder, and makes it private; the mocks' folder is in it.
            self.journal  # noqa: B018 - opening it is what is wanted
            vendors = sorted({self.rules_of(job).name for job in jobs})
            folder = self.settings.state_folder / "vendors"
            if self.settings.mocks_at is not None:
                self._mocks = running_mocks(self.settings.mocks_at)
            else:
                self._mocks = self._resources.enter_context(bundled_mocks(vendors, folder, self.clock))
            if self.settings.hurry:
                self.clock = MockedTime(self._mocks, self.clock)
        return self._mocks

    def _lease(self, job: str) -> AbstractContextManager[object]:
        from lading.journal import lease, this_process  # noqa: PLC0415 - see the top of this file

        return lease(self.journal, self.settings.state_folder, job, this_process(), self.clock.now())


def _with_results(job: Job, at: Callable[[str], str]) -> Job:
    """Return the job with its answers, and those of another job that it reads, in the places that `at` gives."""
    results = replace(job.results, path=at(job.results.path)) if job.results is not None else None
    source = replace(job.source, path=at(job.source.path)) if job.source.job is not None else job.source
    return replace(job, results=results, source=source)


def _columnar(watcher: Watcher | None = None, threads: int | None = None) -> Columnar:
    """Return the columnar path, imported once the library may be told what it may take of the machine."""
    from lading.data import Columnar  # noqa: PLC0415 - see the top of this file

    return Columnar(watcher=watcher, threads=threads)


def _against_source(job: Job, rules: VendorRules) -> tuple[Problem, ...]:
    """Return what does not fit the source in a job of a file that has other problems, as far as it can be read."""
    try:
        return _columnar().check(job, rules)
    except LadingError:
        return ()


def _connector(rules: VendorRules) -> Connect:
    """Return who can speak to a vendor: our dialect when the spec says how, else the Python package it came with."""
    point = vendor_entry_point(rules.name) if rules.dialect is None else None
    if point is None:
        from lading.vendors.client import connect  # noqa: PLC0415 - see the top of this file

        return connect
    try:
        found: Connect = point.load()
    except Exception as error:
        raise EnvironmentProblem(
            f"the package that speaks to {rules.name} cannot be used: {point.value}: {type(error).__name__}: {error}",
            hint="this is a defect of that package; nothing was sent",
        ) from error
    return found


def _read_secret(path: str) -> str:
    """Return the text of a secret file."""
    with Path(path).open(encoding="utf-8") as file:
        text = file.read(_SECRET_MAX + 1)
    if len(text) > _SECRET_MAX:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return text
