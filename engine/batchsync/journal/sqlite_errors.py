"""What a SQLite error means for a person: busy, full, not writable, or damaged, each with the next thing to do.

It does not know which statement failed.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lading.errors import EnvironmentProblem, LadingError, LockedError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How long a write waits for another process, in milliseconds.
BUSY_TIMEOUT = 30_000
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_TEXT = "it holds text that is not UTF-8"
_SHUT = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into an error of ours. Misuse of the driver stays what it is: a defect."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        raise explain(error, path) from error


@contextmanager
def legible(path: Path) -> Iterator[None]:
    """Do as `explained`, where only SQLite speaks: its texts may be no texts any more in a damaged file."""
    with explained(path):
        try:
            yield
        except UnicodeDecodeError:
            raise damaged(path, _NO_TEXT) from None


def explain(error: sqlite3.Error, path: Path) -> LadingError:
    """Return the error of ours that tells what a SQLite error means and what to do."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in _BUSY:
        return LockedError(
            f"another process has been writing to {path} for more than {BUSY_TIMEOUT // 1000} seconds",
            hint="Wait for it to end, then run the same command again.",
        )
    if code in _DAMAGED:
        # The driver would show the value, which may be a key of somebody's row.
        return damaged(path, _NO_TEXT if str(error).startswith("Could not decode") else str(error))
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StateError(
            f"{path} refused a write that contradicts what it holds ({error}); nothing was written",
            hint="Run `lading doctor`; if it finds nothing, this is a defect of lading.",
        )
    if code == sqlite3.SQLITE_FULL:
        return EnvironmentProblem(
            f"the disk is full: {path} could not be written, and nothing of this step was kept",
            hint="Free some space, then run the same command again.",
        )
    if code in _SHUT:
        return EnvironmentProblem(
            f"{path} cannot be opened for this: {error}",
            hint="Check the owner and the mode of the state folder, and that its disk is not mounted read-only.",
        )
    return EnvironmentProblem(
        f"{path} could not be read or written: {error}",
        hint="Check the disk (`dmesg`), then run the same command again; nothing half done was kept.",
    )


def damaged(path: Path, why: str) -> StateError:
    """Return the error for a journal that cannot be trusted."""
    return StateError(
        f"{path} is damaged: {why}",
        hint=(
            "Restore it from a backup. Without one, move the state folder away and compare with the vendor before "
            "the next sync: lading no longer knows what it sent."
        ),
    )
