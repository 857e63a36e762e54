"""The folder and the files of the journal: private, no symlinks, whole at first glance, never older than before.

It does not know what is in them.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.errors import EnvironmentProblem, StateError
from lading.folders import make_private
from lading.journal.faults import damaged

if TYPE_CHECKING:
    from pathlib import Path

NAME = "journal.db"
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_ANCHOR = re.compile(r"(\d{20}) (.*)\n", re.DOTALL)


def secure_folder(folder: Path, *, create: bool) -> None:
    """Make the folder if it may be made, and refuse one that somebody else could write into.

    Raises:
        StateError: when it is a symlink, no folder, or writable by others.
        EnvironmentProblem: when it cannot be made or looked at.
    """
    try:
        if create:
            make_private(folder)
        status = folder.lstat()
    except FileExistsError:
        raise StateError(f"{folder} is not a folder", hint="Name a folder for the state, or move the file.") from None
    except FileNotFoundError:
        raise nothing_yet(folder) from None
    except OSError as error:
        raise unreachable(folder, error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise StateError(f"{folder} is not a folder", hint="Name a folder for the state; a symlink is refused.")
    if status.st_mode & 0o022:
        raise StateError(
            f"others may write into {folder} (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"Run `chmod 700 {folder}` after checking that its files are your own.",
        )


def look_at(path: Path) -> bool:
    """Say whether the journal is there; refuse a file that cannot be one before SQLite touches it.

    Raises:
        StateError: when it is no regular file, empty, no SQLite file, or shorter than its header says.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        if _wal(path).exists():
            raise damaged(path, "the file is gone, but its -wal file is still there") from None
        return False
    except OSError as error:
        raise unreachable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise StateError(f"{path} is not a regular file", hint="Move it away; a symlink or a folder is refused.")
    if status.st_size == 0:
        raise damaged(path, "the file is empty")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise unreachable(path, error) from error
    if header[:16] != _MAGIC:
        raise damaged(path, "it is not a SQLite file")
    if not _wal(path).exists() and status.st_size < _whole_size(header):
        raise damaged(path, f"it ends after {status.st_size} of {_whole_size(header)} bytes")
    return True


def left_open(path: Path) -> bool:
    """Whether a process that wrote here did not close the journal, or has it open now."""
    try:
        return _wal(path).stat().st_size > 0
    except OSError:
        return False


def tighten(path: Path) -> None:
    """Take everybody else's rights from a file of ours."""
    with contextlib.suppress(OSError):
        if stat.S_IMODE(path.lstat().st_mode) & 0o077:
            path.chmod(0o600)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def nothing_yet(folder: Path) -> StateError:
    """Return the error for a folder in which lading has not run."""
    return StateError(f"there is no journal in {folder} yet", hint="Run `lading sync` first, or name another folder.")


def unreachable(path: Path, error: OSError) -> EnvironmentProblem:
    """Return the error for a path that the operating system keeps from us."""
    return EnvironmentProblem(
        f"{path} cannot be used: {error.strerror or error}",
        hint="Check the owner and the mode of the state folder, its disk, and the space on it.",
    )


@dataclass(frozen=True, slots=True)
class Anchor:
    """The greatest serial that was surely committed, in a small file beside the journal.

    SQLite takes a deleted or cut -wal file for a journal that never had the last transactions, which would send
    batches twice. The anchor is written after each commit and not fsynced: it may lag, but it is never ahead of what
    was committed, so a journal below its anchor was set back.
    """

    path: Path
    descriptor: int

    @staticmethod
    def open(journal: Path) -> Anchor:
        """Open the anchor of a journal for writing."""
        path = journal.with_suffix(".anchor")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return Anchor(path, os.open(path, flags, 0o600))
        except OSError as error:
            raise unreachable(path, error) from error

    @staticmethod
    def read(journal: Path) -> tuple[int, str] | None:
        """Return serial and lineage, or None when there is no anchor that can be read."""
        try:
            text = journal.with_suffix(".anchor").read_text("utf-8")
        except (OSError, ValueError):
            return None
        found = _ANCHOR.fullmatch(text)
        return (int(found[1]), found[2]) if found else None

    def move(self, serial: int, lineage: str) -> None:
        """Keep a serial that is committed. A failure only makes the anchor lag."""
        with contextlib.suppress(OSError):
            os.pwrite(self.descriptor, f"{serial:020d} {lineage}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _whole_size(header: bytes) -> int:
    """Return how many bytes the header promises, or 0 when it does not say (SQLite file format, section 1.3)."""
    if len(header) < _HEADER:
        return _HEADER
    if header[24:28] != header[92:96]:
        return 0
    page = int.from_bytes(header[16:18])
    return (65_536 if page == 1 else page) * int.from_bytes(header[28:32])
