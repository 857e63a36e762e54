"""Port of the place of backups: files by name, written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from batchsync.ports.state_store import StateStore


class BackupPlace(Protocol):
    """A folder, or a folder of an object storage. Methods raise UnavailableError if it cannot be used."""

    @property
    def label(self) -> str:
        """The place, for messages."""
        ...

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names of all files below a prefix."""
        ...

    def put(self, name: str, file: Path) -> None:
        """Write a file, complete or not at all, unless there is one of the name."""
        ...

    def get(self, name: str, into: Path) -> None:
        """Copy a file to a new local file.

        Raises:
            UnavailableError: If there is no file of the name.
        """
        ...

    def delete(self, name: str) -> bool:
        """Delete a file; return False if the place keeps its files."""
        ...


class JournalCopy(Protocol):
    """A consistent copy of the journal: its file, its id and number of transactions, and its content."""

    @property
    def file(self) -> Path:
        """The copy, complete without a -wal file."""
        ...

    @property
    def journal_id(self) -> str:
        """Id of the journal."""
        ...

    @property
    def serial(self) -> int:
        """Number of its transactions."""
        ...

    @property
    def store(self) -> StateStore:
        """Its content."""
        ...


class CopyJournal(Protocol):
    """Makes consistent copies of the journal of a state folder."""

    def __call__(self, into: Path) -> AbstractContextManager[JournalCopy]:
        """Copy the journal into a new folder, and open the copy to be read.

        Raises:
            StateError: If there is no journal, or it is damaged.
        """
        ...
