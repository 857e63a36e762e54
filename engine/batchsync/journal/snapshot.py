"""Consistent copies of a journal for backups, and their installation in a state folder."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.journal import files
from batchsync.journal.anchor import Anchor, accept_restored
from batchsync.journal.journal import Journal
from batchsync.journal.sqlite_errors import damaged
from batchsync.util.files import fsync_file, fsync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class OpenCopy:
    """`JournalCopy` in a folder of its own."""

    file: Path
    journal_id: str
    serial: int
    store: Journal


@contextmanager
def copy_of_journal(folder: Path, into: Path) -> Iterator[OpenCopy]:
    """Copy the journal of a state folder, which may be in use, and open the copy.

    Args:
        folder: The state folder.
        into: New private folder.

    Yields:
        The copy, opened to be read. Its file is complete without a -wal file.

    Raises:
        StateError: If there is no journal, or it is damaged.
    """
    source, target = folder / files.NAME, into / files.NAME
    if not files.inspect(source):
        missing = files.no_state_error(folder)
        raise missing
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            # One file, without a -wal file next to it.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        broken = damaged(source, str(error))
        raise broken from None
    files.restrict_permissions(target)
    with Journal.open(into, read_only=True) as store:
        yield OpenCopy(target, store.journal_id, store.serial, store)


def recorded_serial(journal_id: str, anchors: Path | None) -> int:
    """Return the number of transactions that is recorded of a journal outside of its state folder; 0 if none is."""
    mark = Anchor.recorded(anchors / journal_id) if anchors is not None else None
    return mark.serial if mark is not None else 0


def install_journal(file: Path, folder: Path, anchors: Path | None, *, reason: str, at: datetime) -> int:
    """Replace the journal of a state folder by a complete one, in one step. The caller holds the leases of all jobs.

    Args:
        file: The new journal, on the file system of the folder.
        folder: The state folder.
        anchors: Folder of anchors; None if there is none.
        reason: A person's reason to continue with a state that is older than what is recorded; kept in the journal.
        at: Time of the restore.

    Returns:
        The number of transactions of the restored state.

    Raises:
        StateError: If the new journal is damaged.
    """
    final = folder / files.NAME
    if final.exists():
        # A damaged journal is replaced as it is.
        with suppress(sqlite3.Error), closing(sqlite3.connect(final)) as present:
            present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fsync_file(file)
    # Without its watermark the present journal is still valid; with it, the restored one would be refused.
    final.with_suffix(".anchor").unlink(missing_ok=True)
    for suffix in ("-wal", "-shm"):
        final.with_name(final.name + suffix).unlink(missing_ok=True)
    file.replace(final)
    fsync_folder(folder)
    return accept_restored(folder, anchors, reason=reason, at=at)
