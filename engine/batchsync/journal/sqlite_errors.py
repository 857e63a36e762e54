"""Translation of SQLite errors (busy, full, not writable, damaged) into batchsync errors, each with a next command."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError, LockedError, StateError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How long a write waits for another process, in milliseconds.
BUSY_TIMEOUT = 30_000
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_UTF8 = "a text value is not valid UTF-8"
_NO_ACCESS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


@contextmanager
def translate_sqlite_errors(path: Path) -> Iterator[None]:
    """Raise SQLite errors of the block as batchsync errors.

    Yields:
        Nothing.

    Raises:
        ProgrammingError: If batchsync misused the driver.
        BatchsyncError: If SQLite raised another error; see `explain`.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        translated = explain(error, path)
        raise translated from error


@contextmanager
def raise_readable(path: Path) -> Iterator[None]:
    """Do as `translate_sqlite_errors`, and report undecodable text of a damaged file as damage.

    Yields:
        Nothing.

    Raises:
        StateError: If SQLite returned text that is not UTF-8.
        BatchsyncError: If SQLite raised an error; see `explain`.
    """
    with translate_sqlite_errors(path):
        try:
            yield
        except UnicodeDecodeError:
            undecodable = damaged(path, _NOT_UTF8)
            raise undecodable from None


def explain(error: sqlite3.Error, path: Path) -> BatchsyncError:
    """Return the batchsync error for a SQLite error, by its primary result code."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in _BUSY:
        return LockedError(
            f"another process has been writing to {path} for more than {BUSY_TIMEOUT // 1000} seconds",
            hint="Wait until it ends, then run the same command again.",
        )
    if code in _DAMAGED:
        # The driver's message would contain the value, which may be the key of a row.
        return damaged(path, _NOT_UTF8 if str(error).startswith("Could not decode") else str(error))
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StateError(
            f"{path} refused a write that contradicts its content ({error}); nothing was written",
            hint="Run `batchsync doctor`; if it finds nothing, this is a defect of batchsync.",
        )
    if code == sqlite3.SQLITE_FULL:
        return UnavailableError(
            f"the disk is full: {path} could not be written, and this step was rolled back",
            hint="Free some space, then run the same command again.",
            name="environment.disk_full",
        )
    if code in _NO_ACCESS:
        return UnavailableError(
            f"{path} cannot be opened: {error}",
            hint="Check the owner and the mode of the state folder, and that its disk is not mounted read-only.",
        )
    return UnavailableError(
        f"{path} could not be read or written: {error}",
        hint="Check the disk (`dmesg`), then run the same command again; the incomplete step was rolled back.",
    )


def damaged(path: Path, reason: str) -> StateError:
    """Return the error for a journal that cannot be trusted."""
    return StateError(
        f"{path} is damaged: {reason}",
        hint=(
            "Restore it from a backup. Without a backup, move the state folder away and compare with the vendor before "
            "the next sync: the record of what was sent is lost."
        ),
    )


def checkpoint_refused(path: Path) -> LockedError:
    """Return the error for a -wal file that cannot be emptied, because another process reads the journal."""
    return LockedError(
        f"deleted rows are still in {path}-wal: another process has been reading the journal for more than "
        f"{BUSY_TIMEOUT // 1000} seconds",
        hint="Wait until it ends, or stop it, then run the same command again.",
    )
