"""One runner per job: a kernel file lock that ends with its process, and an epoch that fences former holders.

Wall time plays no part: the timestamps are informational.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError, LockedError
from batchsync.journal.files import unreachable_error
from batchsync.journal.lock_files import lock_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from batchsync.journal.journal import Journal

_MAX_ATTEMPTS = 20


def this_process() -> str:
    """Return the owner text of this process: process id and host."""
    return f"pid {os.getpid()} on {socket.gethostname()}"


@contextlib.contextmanager
def lease(journal: Journal, folder: Path, job: str, owner: str, at: datetime) -> Iterator[int]:
    """Hold the lease of a job for the block; every write of the journal checks its epoch.

    Args:
        journal: The open journal.
        folder: The state folder.
        job: Name of the job.
        owner: Text that identifies the holder in messages; see `this_process`.
        at: Time of acquisition, informational.

    Yields:
        The epoch of the lease.

    Raises:
        LockedError: If another process holds the lease.
        UnavailableError: If the lock file cannot be used.
    """
    path = lock_file(folder, job)
    descriptor, epoch = _acquire(journal, path, job, owner, at)
    try:
        yield epoch
    finally:
        try:
            # Closing the descriptor releases the lock; a full disk must not hide the outcome of the block.
            with contextlib.suppress(BatchsyncError):
                journal.drop_lease(job, epoch)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def hold_all(folder: Path, jobs: Iterable[str]) -> Iterator[None]:
    """Keep other processes from running jobs, without a journal that is written.

    Args:
        folder: The state folder.
        jobs: Names of the jobs.

    Yields:
        Nothing; the locks are released afterwards.

    Raises:
        LockedError: If another process runs one of them.
        UnavailableError: If a lock file cannot be used.
    """
    held: list[int] = []
    try:
        for job in sorted(jobs):
            path = lock_file(folder, job)
            try:
                held.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError(f"job {job} is being run by another process", hint="Wait until it ends.") from None
            except OSError as error:
                unreachable = unreachable_error(path, error)
                raise unreachable from error
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def unlock(journal: Journal, folder: Path, job: str, at: datetime) -> int:
    """Break the lease of a job: later writes of its holder fail.

    The lock file is removed, too, so that a stopped holder does not block the next one.

    Args:
        journal: The open journal.
        folder: The state folder.
        job: Name of the job.
        at: Time of the unlock, informational.

    Returns:
        The new epoch.
    """
    path = lock_file(folder, job)
    return journal.void_lease(job, at, then=lambda: path.unlink(missing_ok=True))


def _acquire(journal: Journal, path: Path, job: str, owner: str, at: datetime) -> tuple[int, int]:
    """Lock the current lock file and raise the epoch; return descriptor and epoch."""
    for _ in range(_MAX_ATTEMPTS):
        descriptor = _lock(journal, path, job)
        try:
            epoch = journal.take_lease(job, owner, at, valid=partial(_is_named, descriptor, path))
        except BaseException:
            os.close(descriptor)
            raise
        if epoch is not None:
            return descriptor, epoch
        os.close(descriptor)
    raise LockedError(
        f"the lock of job {job} was broken {_MAX_ATTEMPTS} times in a row",
        hint="Check whether `batchsync unlock` runs in a loop.",
    )


def _lock(journal: Journal, path: Path, job: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unreachable_error(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _busy(journal, job) from None
    except OSError as error:
        os.close(descriptor)
        raise unreachable_error(path, error) from error
    return descriptor


def _busy(journal: Journal, job: str) -> LockedError:
    row = journal.lease_row(job)
    holder = f"{row.owner} since {row.since:%Y-%m-%d %H:%M:%S} UTC" if row and row.owner else "another process"
    hint = f"Wait until it ends. Only if that process hangs or will never continue: `batchsync unlock {job}`."
    return LockedError(f"job {job} is being run by {holder}", hint=hint, name="locked.running")


def _is_named(descriptor: int, path: Path) -> bool:
    """Return whether the locked file is still the file at the path: `unlock` removes it."""
    try:
        current = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), current)
