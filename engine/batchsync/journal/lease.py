"""One runner per job: a kernel file lock that dies with its process, and an epoch that shuts out whoever lost it.

It does not know what the runner does. Wall time plays no part: `at` is for people to read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from lading.errors import LadingError, LockedError
from lading.journal.files import secure_folder, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from lading.journal.journal import Journal

_NAME_MAX = 200
_TRIES = 20


def this_process() -> str:
    """Return the owner text of this process: its id and its host."""
    return f"pid {os.getpid()} on {socket.gethostname()}"


@contextlib.contextmanager
def lease(journal: Journal, folder: Path, job: str, owner: str, at: datetime) -> Iterator[int]:
    """Hold a job for the length of the block and give its epoch, which every write of the journal then checks.

    `folder` is the state folder, `owner` what another process is shown (see `this_process`).

    Raises:
        LockedError: when another process runs the job.
        EnvironmentProblem: when the lock file cannot be used.
    """
    path = _lock_file(folder, job)
    descriptor, epoch = _take(journal, path, job, owner, at)
    try:
        yield epoch
    finally:
        try:
            # The lock itself goes with the descriptor; a full disk must not hide how the block ended.
            with contextlib.suppress(LadingError):
                journal.drop_lease(job, epoch)
        finally:
            os.close(descriptor)


def is_held(folder: Path, job: str) -> bool:
    """Say whether a living process runs the job. The journal may name one that was killed; the kernel does not."""
    try:
        descriptor = os.open(_lock_file(folder, job), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, LadingError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def unlock(journal: Journal, folder: Path, job: str, at: datetime) -> int:
    """Take a job away from whoever runs it, and return the new epoch: no write of theirs succeeds any more.

    The lock file goes too, so that a holder that is stopped does not keep the next one waiting.
    """
    path = _lock_file(folder, job)
    return journal.void_lease(job, at, then=lambda: path.unlink(missing_ok=True))


def _take(journal: Journal, path: Path, job: str, owner: str, at: datetime) -> tuple[int, int]:
    """Lock the file that has the name now, and raise the epoch."""
    for _ in range(_TRIES):
        descriptor = _lock(journal, path, job)
        try:
            epoch = journal.take_lease(job, owner, at, valid=partial(_is_named, descriptor, path))
        except BaseException:
            os.close(descriptor)
            raise
        if epoch is not None:
            return descriptor, epoch
        os.close(descriptor)
    raise LockedError(f"the lock of job {job} is taken away again and again", hint="Is `lading unlock` in a loop?")


def _lock(journal: Journal, path: Path, job: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unreachable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _busy(journal, job) from None
    except OSError as error:
        os.close(descriptor)
        raise unreachable(path, error) from error
    return descriptor


def _busy(journal: Journal, job: str) -> LockedError:
    row = journal.lease_row(job)
    who = f"{row.owner} since {row.since:%Y-%m-%d %H:%M:%S} UTC" if row and row.owner else "another process"
    hint = f"Wait for it to end. Only when that process hangs or is stopped for good: `lading unlock {job}`."
    return LockedError(f"job {job} is being run by {who}", hint=hint)


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether the locked file is still the one at the path: `unlock` takes the name away."""
    try:
        there = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _lock_file(folder: Path, job: str) -> Path:
    """Return the lock file of a job, in a private folder; a name that is no file name is spelled so that it is one."""
    locks = folder / "locks"
    secure_folder(locks, create=True)
    name = quote(job, safe=" ")
    if len(name) > _NAME_MAX:
        name = f"{name[:100]}-{hashlib.sha256(job.encode()).hexdigest()}"
    return locks / f"{name}.lock"
