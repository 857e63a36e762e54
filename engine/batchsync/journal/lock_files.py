"""Lock files of jobs: where they are, and whether a live process holds one."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from batchsync.errors import BatchsyncError
from batchsync.journal.files import secure_folder
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

_NAME_MAX = 200


def is_held(folder: Path, job: str) -> bool:
    """Return whether a live process holds the lease. The journal may name a killed process; the kernel lock cannot."""
    try:
        descriptor = os.open(lock_file(folder, job), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, BatchsyncError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_file(folder: Path, job: str) -> Path:
    """Return the path of the job's lock file in a private folder; the name is quoted, and hashed if too long."""
    locks = folder / "locks"
    secure_folder(locks, create=True)
    name = quote(job, safe=" ")
    if len(name) > _NAME_MAX:
        name = f"{name[:100]}-{sha256_of(job.encode())}"
    return locks / f"{name}.lock"
