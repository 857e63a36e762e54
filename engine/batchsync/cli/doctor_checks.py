"""Checks of `batchsync doctor`, from the machine to each connection. A failed check does not stop the others."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import stat
from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError, SpecError, VendorError
from batchsync.report.checks import Check
from batchsync.report.text_format import moment, pluralize, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.core.job import Deployment, Job

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
    yield from _connections(app, deployment)


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
            app.start_mocks(deployment.jobs)
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
        facts = context.vendor.describe(job.target)
    except BatchsyncError as error:
        return Check(name=name, ok=False, found=error.message, fix=error.hint)
    except VendorError as failure:
        fix = "check base_url, credentials and target in the jobs file, and the network from here"
        return Check(name=name, ok=False, found=failure.reason, fix=fix)
    columns = f", {pluralize(len(facts.columns), 'input column')}" if facts.columns else ""
    return Check(name=name, ok=True, found=f"{context.rules.title} responds and knows the target{columns}")
