"""Checks of `batchsync doctor`, from the machine to each connection. A failed check does not stop the others."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import stat
from typing import TYPE_CHECKING

from batchsync.cli.doctor_alerts import examine_alerts
from batchsync.cli.online import examine_online, is_online
from batchsync.errors import BatchsyncError, SpecError, VendorError
from batchsync.executors.probe import examine_workers
from batchsync.preparation import executor_of, resolved
from batchsync.report.checks import Check
from batchsync.report.text_format import moment, pluralize, size
from batchsync.source import check_database, check_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batchsync.app import App
    from batchsync.cli.online import OnlineCheck
    from batchsync.cli.session import Session
    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job
    from batchsync.core.object_storage import Storage
    from batchsync.core.query import Database

#: Number of columns of a source that are shown.
COLUMNS_SHOWN = 12
_MIN_FREE_BYTES = 1_000_000_000


def examine(app: App, session: Session) -> Iterator[Check]:
    """Yield the results of all checks."""
    yield _python()
    deployment, check = _jobs_file(app)
    yield check
    yield from examine_state(app.settings.state_folder)
    yield from _journal(app, session)
    if deployment is None:
        return
    yield from _workers(app, deployment)
    yield from (_database(app, item) for item in deployment.databases.values())
    yield from (_storage(app, item) for item in deployment.storages.values())
    yield from map(
        _source, examine_online(app, [job for job in deployment.jobs if job.source.queries and is_online(job)])
    )
    yield from examine_alerts(deployment.alerts, is_trial=app.settings.mocks)
    yield from _connections(app, deployment)


def _workers(app: App, deployment: Deployment) -> Iterator[Check]:
    """Check that each worker of the executor runs the same versions, and shares the state folder with this process."""
    resources = resolved(deployment.resources, app.settings)
    try:
        executor = executor_of(resources, app.settings)
        if executor is None:
            return
        kind, token = resources.executor.kind, f"{os.getpid()}-{app.clock.now():%Y%m%dT%H%M%S}"
        with executor:
            found = tuple(examine_workers(executor, app.objects, token))
    except BatchsyncError as error:
        yield Check(name="executor", ok=False, found=error.message, fix=error.hint)
        return
    except OSError as error:
        fix = "give yourself write access to the state folder"
        yield Check(name="executor", ok=False, found=f"cannot write to the state folder ({error.strerror})", fix=fix)
        return
    yield Check(name="executor", ok=True, found=f"{kind}: {pluralize(len(found), 'worker')}")
    for item in found:
        yield Check(name=f"worker {item.worker}", ok=not item.fix, found=item.found, fix=item.fix)


def _database(app: App, database: Database) -> Check:
    """Check that a database can be opened."""
    try:
        return Check(name=database.name, ok=True, found=check_database(database, app.login))
    except BatchsyncError as error:
        return Check(name=database.name, ok=False, found=error.message, fix=error.hint)


def _source(found: OnlineCheck) -> Check:
    """Check that the source of a job is readable and has the columns that the job uses."""
    name = f"{found.job}/source"
    if found.error is not None:
        return Check(name=name, ok=False, found=found.error.message, fix=found.error.hint)
    if found.problems:
        more = f" and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        message = f"{found.problems[0].message}{more}"
        return Check(name=name, ok=False, found=message, fix="`batchsync validate --online` lists all problems")
    columns = "; ".join(item.text(COLUMNS_SHOWN) for item in found.sources)
    return Check(name=name, ok=True, found=columns or "has the columns that the job uses")


def _storage(app: App, storage: Storage) -> Check:
    """Check that a bucket can be listed, or a server of files answers."""
    try:
        return Check(name=storage.name, ok=True, found=check_storage(storage, app.access))
    except BatchsyncError as error:
        return Check(name=storage.name, ok=False, found=error.message, fix=error.hint)


def _python() -> Check:
    return Check(
        name="python", ok=True, found=f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def _jobs_file(app: App) -> tuple[Deployment | None, Check]:
    name = "jobs file"
    try:
        deployment = app.deployment
        problems, _ = app.check()
    except SpecError as error:
        return None, Check(name=name, ok=False, found=error.message, fix="`batchsync validate` lists all problems")
    except BatchsyncError as error:
        return None, Check(name=name, ok=False, found=error.message, fix=error.hint)
    if problems:
        found = f"{pluralize(len(problems), 'problem')} between the jobs and their sources"
        return deployment, Check(name=name, ok=False, found=found, fix="`batchsync validate` lists all problems")
    found = f"{app.settings.file}: {pluralize(len(deployment.jobs), 'job')}, valid"
    return deployment, Check(name=name, ok=True, found=found)


def is_writable(folder: Path) -> bool:
    """Return whether this process can create files in a folder."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def examine_state(folder: Path, writable: Callable[[Path], bool] = is_writable) -> Iterator[Check]:
    """Check that the state folder is private, writable or creatable, and has free space.

    Args:
        folder: The state folder, which need not exist.
        writable: Returns whether files can be created in a folder.

    Yields:
        A check of the folder and a check of its free space.
    """
    existing = next(item for item in (folder, *folder.absolute().parents) if item.exists())
    name, mode = "state folder", stat.S_IMODE(existing.stat().st_mode)
    if not writable(existing):
        found = f"cannot write to {existing} (mode {mode:04o})"
        fix = f"give yourself write access to {existing}, or choose another folder with --state"
        yield Check(name=name, ok=False, found=found, fix=fix)
    elif existing != folder:
        yield Check(name=name, ok=True, found=f"{folder} does not exist yet; the first sync creates it")
    else:
        private = not mode & 0o077
        fix = "" if private else f"chmod 700 {shlex.quote(str(folder))}"
        yield Check(name=name, ok=private, found=f"{folder}, mode {mode:04o}", fix=fix)
    free = shutil.disk_usage(existing).free
    enough = free >= _MIN_FREE_BYTES
    fix = "" if enough else "free some space: batch files are written there before they are sent"
    yield Check(name="free space", ok=enough, found=f"{size(free)} free", fix=fix)


def _journal(app: App, session: Session) -> Iterator[Check]:
    """Check that the journal is consistent and the clock is not behind its last run."""
    try:
        with session.journal() as journal:
            disagreements = journal.audit() if journal else ()
            last = journal.history(None, 1) if journal else ()
    except BatchsyncError as error:
        yield Check(name="journal", ok=False, found=error.message, fix=error.hint)
        return
    for found in disagreements:
        yield Check(name="journal", ok=False, found=found, fix="restore the state folder from a backup")
    if not disagreements:
        found = "events, rows and counts agree" if journal else "no runs yet"
        yield Check(name="journal", ok=True, found=found)
    now = app.clock.now()
    if last and last[0].created_at > now and not app.settings.mocks:
        found = f"{moment(now)}, before the last run of {moment(last[0].created_at)}"
        yield Check(name="clock", ok=False, found=found, fix="set the clock of this machine")
    else:
        yield Check(name="clock", ok=True, found=moment(now))


def _connections(app: App, deployment: Deployment) -> Iterator[Check]:
    try:
        if app.settings.mocks:
            app.start_mocks(app.connection_of(job) for job in deployment.jobs)
    except BatchsyncError as error:
        yield Check(name="mocks", ok=False, found=error.message, fix=error.hint)
        return
    for job in deployment.jobs:
        yield _target(app, job)


def _target(app: App, job: Job) -> Check:
    """Check that credentials are set and accepted, and that the vendor knows the job's target."""
    name = f"{job.connection}/{job.name}"
    try:
        context = app.context(job)
        facts = context.vendor.describe(job.target, job.mode)
    except BatchsyncError as error:
        return Check(name=name, ok=False, found=error.message, fix=error.hint)
    except VendorError as failure:
        fix = "check base_url, credentials and target in the jobs file, and the network from here"
        return Check(name=name, ok=False, found=failure.reason, fix=fix)
    columns = f", {pluralize(len(facts.columns), 'input column')}" if facts.columns else ""
    return Check(name=name, ok=True, found=f"{context.rules.title} responds and knows the target{columns}")
