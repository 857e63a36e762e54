"""What `doctor` looks at, one check after the other; a check that fails does not keep the next from being made.

It repairs nothing.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import stat
from typing import TYPE_CHECKING

from lading.errors import LadingError, VendorFailure
from lading.report.checks import Check
from lading.report.words import moment, noun, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.app import App
    from lading.cli.session import Session
    from lading.core.job import Deployment, Job

_FREE_LEAST = 1_000_000_000


def examine(app: App, session: Session) -> Iterator[Check]:
    """Yield what was found, from the machine outwards."""
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
        name="python", ok=True, said=f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def _jobs_file(app: App) -> tuple[Deployment | None, Check]:
    name = "jobs file"
    try:
        deployment = app.deployment
        problems, _ = app.check()
    except LadingError as error:
        return None, Check(
            name=name, ok=False, said=error.message, fix=error.hint or "`lading validate` shows them all"
        )
    if problems:
        said = f"{noun(len(problems), 'problem')} between the jobs and their sources"
        return deployment, Check(name=name, ok=False, said=said, fix="`lading validate` shows them all")
    said = f"{app.settings.file}: {noun(len(deployment.jobs), 'job')}, valid"
    return deployment, Check(name=name, ok=True, said=said)


def may_write(folder: Path) -> bool:
    """Whether this process may make files in a folder: its rights, and a disk that is not read-only."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def examine_state(folder: Path, writable: Callable[[Path], bool] = may_write) -> Iterator[Check]:
    """Whether the state folder is for us alone and can be written or made, and has room."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    name, mode = "state folder", stat.S_IMODE(there.stat().st_mode)
    if not writable(there):
        said = f"nothing can be written to {there} (mode {mode:04o})"
        fix = f"give yourself write access to {there}, or name another folder with --state"
        yield Check(name=name, ok=False, said=said, fix=fix)
    elif there != folder:
        yield Check(name=name, ok=True, said=f"{folder} is not there yet; the first sync makes it")
    else:
        private = not mode & 0o077
        fix = "" if private else f"chmod 700 {shlex.quote(str(folder))}"
        yield Check(name=name, ok=private, said=f"{folder}, mode {mode:04o}", fix=fix)
    free = shutil.disk_usage(there).free
    enough = free >= _FREE_LEAST
    fix = "" if enough else "free some space: batch files are sealed there before they are sent"
    yield Check(name="free space", ok=enough, said=f"{size(free)} free", fix=fix)


def _journal(app: App, session: Session) -> Iterator[Check]:
    """The journal agrees with itself, and the clock is later than anything in it."""
    try:
        with session.journal() as journal:
            disagreements = journal.audit() if journal else ()
            last = journal.history(None, 1) if journal else ()
    except LadingError as error:
        yield Check(name="journal", ok=False, said=error.message, fix=error.hint)
        return
    for said in disagreements:
        yield Check(name="journal", ok=False, said=said, fix="restore the state folder from a backup")
    if not disagreements:
        said = "events, rows and books agree" if journal else "nothing was run yet"
        yield Check(name="journal", ok=True, said=said)
    now = app.clock.now()
    if last and last[0].created_at > now and not app.settings.mocks:
        said = f"{moment(now)}, before the last run of {moment(last[0].created_at)}"
        yield Check(name="clock", ok=False, said=said, fix="set the clock of this machine")
    else:
        yield Check(name="clock", ok=True, said=moment(now))


def _connections(app: App, deployment: Deployment) -> Iterator[Check]:
    try:
        if app.settings.mocks:
            app.start_mocks(deployment.jobs)
    except LadingError as error:
        yield Check(name="mocks", ok=False, said=error.message, fix=error.hint)
        return
    for job in deployment.jobs:
        yield _target(app, job)


def _target(app: App, job: Job) -> Check:
    """Whether the credentials are there, the vendor takes them, and knows the job's target."""
    name = f"{job.connection}/{job.name}"
    try:
        context = app.context(job)
        facts = context.vendor.describe(job.target)
    except LadingError as error:
        return Check(name=name, ok=False, said=error.message, fix=error.hint)
    except VendorFailure as failure:
        fix = "check base_url, credentials and target in the jobs file, and the network from here"
        return Check(name=name, ok=False, said=failure.reason, fix=fix)
    columns = f", {noun(len(facts.columns), 'input column')}" if facts.columns else ""
    return Check(name=name, ok=True, said=f"{context.rules.title} answers and knows the target{columns}")
