"""Checks of the state folder and the journal's files: private, no symlinks, complete, not rolled back."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.errors import StateError, UnavailableError
from batchsync.journal.sqlite_errors import damaged
from batchsync.util.files import make_private, os_error_reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "journal.db"
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_WATERMARK = re.compile(r"(\d{20}) (.*)\n", re.DOTALL)


def secure_folder(folder: Path, *, create: bool) -> None:
    """Ensure that a folder exists and that only its owner can write into it.

    Args:
        folder: The state folder, or a folder inside it.
        create: Whether to create it (mode 0700) if it is missing.

    Raises:
        StateError: If it is a symlink, not a folder, writable by others, or missing and not to be created.
        UnavailableError: If it cannot be created or inspected.
    """
    try:
        if create:
            make_private(folder)
        status = folder.lstat()
    except FileExistsError:
        raise StateError(f"{folder} is not a folder", hint="Choose another state folder, or move the file.") from None
    except FileNotFoundError:
        missing = no_state_error(folder)
        raise missing from None
    except OSError as error:
        unreachable = unreachable_error(folder, error)
        raise unreachable from error
    if not stat.S_ISDIR(status.st_mode):
        raise StateError(f"{folder} is not a folder", hint="Choose another state folder; symlinks are refused.")
    if status.st_mode & 0o022:
        raise StateError(
            f"other users can write into {folder} (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"Check that its files are yours, then run `chmod 700 {folder}`.",
            name="state.permission",
        )


def inspect(path: Path) -> bool:
    """Return whether the journal exists; refuse an invalid file before SQLite opens it.

    Raises:
        StateError: If it is not a regular file, is empty, is not a SQLite file, or is shorter than its header states.
        UnavailableError: If it cannot be read.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        if _wal(path).exists():
            without_main_file = damaged(path, "the file is missing, but its -wal file exists")
            raise without_main_file from None
        return False
    except OSError as error:
        unreachable = unreachable_error(path, error)
        raise unreachable from error
    if not stat.S_ISREG(status.st_mode):
        raise StateError(f"{path} is not a regular file", hint="Move it away; symlinks and folders are refused.")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        unreachable = unreachable_error(path, error)
        raise unreachable from error
    flaw = ""
    if status.st_size == 0:
        flaw = "the file is empty"
    elif header[:16] != _MAGIC:
        flaw = "it is not a SQLite file"
    elif not _wal(path).exists() and status.st_size < _expected_size(header):
        flaw = f"it ends after {status.st_size} of {_expected_size(header)} bytes"
    if flaw:
        invalid = damaged(path, flaw)
        raise invalid
    return True


def was_not_closed(path: Path) -> bool:
    """Return whether a writer did not close the journal, or still has it open: its -wal file is not empty."""
    try:
        return _wal(path).stat().st_size > 0
    except OSError:
        return False


def restrict_permissions(path: Path) -> None:
    """Remove the permissions of other users from a file of the journal."""
    with contextlib.suppress(OSError):
        if stat.S_IMODE(path.lstat().st_mode) & 0o077:
            path.chmod(0o600)


def no_state_error(folder: Path) -> StateError:
    """Return the error for a folder in which batchsync has not run."""
    return StateError(
        f"there is no journal in {folder} yet", hint="Run `batchsync sync` first, or choose another folder."
    )


def check_present(folder: Path, *, required: Callable[[], bool]) -> None:
    """Refuse a folder without a journal if one is required.

    Args:
        folder: The state folder.
        required: Returns whether jobs.yaml requires it; called only if there is no journal.

    Raises:
        StateError: If there is no journal and one is required.
    """
    if any(folder.glob(f"{NAME}*")) or not required():
        return
    raise StateError(
        f"there is no state in {folder}, and jobs.yaml requires it (state: {{required: true}}): without it, every row "
        "would be sent again",
        hint=(
            "Restore the folder, or set BATCHSYNC_STATE to where it is. `batchsync state init` begins a new state; "
            "`batchsync state assume-delivered JOB --reason TEXT` then takes today's source as delivered."
        ),
        name="state.required",
    )


def unreachable_error(path: Path, error: OSError) -> UnavailableError:
    """Return the error for a path that the operating system refuses to access."""
    return UnavailableError(
        f"{path} cannot be used: {os_error_reason(error)}",
        hint="Check the owner and the mode of the state folder, its disk, and the space on it.",
    )


@dataclass(frozen=True, slots=True)
class CommitWatermark:
    """Highest serial known to be committed, in the file `journal.anchor` next to the journal.

    If the -wal file is deleted or truncated, SQLite opens the journal without its last transactions, and batches would
    be sent twice. The watermark is written after each commit and not fsynced: it may lag behind the journal but is
    never ahead of it, so a journal below its watermark was rolled back.
    """

    path: Path
    descriptor: int

    @staticmethod
    def open(journal: Path) -> CommitWatermark:
        """Return the watermark of a journal, opened for writing.

        Raises:
            UnavailableError: If the file cannot be opened.
        """
        path = journal.with_suffix(".anchor")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return CommitWatermark(path, os.open(path, flags, 0o600))
        except OSError as error:
            unreachable = unreachable_error(path, error)
            raise unreachable from error

    @staticmethod
    def read(journal: Path) -> tuple[int, str] | None:
        """Return serial and journal id, or None if there is no readable watermark."""
        try:
            text = journal.with_suffix(".anchor").read_text("utf-8")
        except (OSError, ValueError):
            return None
        found = _WATERMARK.fullmatch(text)
        return (int(found[1]), found[2]) if found else None

    def move(self, serial: int, journal_id: str) -> None:
        """Store a committed serial. A failure only makes the watermark lag."""
        with contextlib.suppress(OSError):
            os.pwrite(self.descriptor, f"{serial:020d} {journal_id}\n".encode(), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _expected_size(header: bytes) -> int:
    """Return the file size in bytes that the header states, or 0 if it is not valid (SQLite file format, 1.3)."""
    if len(header) < _HEADER:
        return _HEADER
    if header[24:28] != header[92:96]:
        return 0
    page = int.from_bytes(header[16:18])
    return (65_536 if page == 1 else page) * int.from_bytes(header[28:32])
