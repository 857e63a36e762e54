"""Folders of the state are for whoever runs batchsync alone, whatever the umask says.

It does not know what is kept in them.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and all above it that are missing, each with mode 0700; what is there stays as it is.

    Raises:
        OSError: when it cannot be made, or something else stands there.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        # `parents=True` would give the mode to the last of them only.
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def digest_of(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fsync_and_rename(path: Path, final: Path) -> None:
    """Force a file to the disk, give it its name, and force the folder too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot sync a folder; the rename is still ordered there
            os.fsync(folder)
    finally:
        os.close(folder)
