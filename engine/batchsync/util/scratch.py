"""Temporary folders outside of the state folder that do not outlive their process by long: the next one sweeps them."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "batchsync-tmp-"
#: Age in seconds from which a folder without a lock is left over; a new one is locked at once.
_LOCKED_AFTER = 60


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new private folder, and delete it afterwards; delete those of processes that were killed.

    Yields:
        The folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(own: Path) -> None:
    """Delete folders next to a new one that are of this user, and that no living process has locked."""
    with suppress(OSError):
        now = own.stat().st_ctime
        for folder in own.parent.glob(f"{_PREFIX}*"):
            with suppress(OSError):
                _delete_if_left(folder, now)


def _delete_if_left(folder: Path, now: float) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        is_new = now - status.st_ctime < _LOCKED_AFTER
        if status.st_uid == os.geteuid() and stat.S_ISDIR(status.st_mode) and not is_new:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
