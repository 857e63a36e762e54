"""Snapshot of what a killed process leaves: the bytes on disk, the time, and the requests in flight.

Snapshots are compared by the bytes of their files; the journal by its rows, as the next process reads them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from functools import partial

    import requests

_JOURNAL = "state/journal.db"
#: files of the journal, which contain random salts of SQLite
_JOURNAL_FILES = (_JOURNAL, f"{_JOURNAL}-wal", f"{_JOURNAL}-shm")
FOLDERS = ("state", "vendors", "out")


@dataclass(frozen=True, slots=True)
class InFlightRequest:
    """A request that was sent and has not arrived: its time of arrival, its order at that time, its name."""

    at: float
    count: int
    name: str
    land: partial[None]

    @property
    def arguments(self) -> tuple[requests.PreparedRequest, bytes, int]:
        """The request, its body, and its port."""
        found: tuple[requests.PreparedRequest, bytes, int] = self.land.args
        return found

    @property
    def description(self) -> str:
        """The request as text."""
        prepared, body, port = self.arguments
        headers = sorted((name, str(value)) for name, value in prepared.headers.items())
        return f"{self.at} {self.count} {prepared.method} {port} {prepared.url} {headers} {body.hex()}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state. `files` maps paths to mode and content, or None for folders."""

    files: dict[str, tuple[int, bytes | None]]
    epoch: float
    sent: tuple[InFlightRequest, ...] = ()

    @classmethod
    def of(cls, folder: Path, epoch: float, sent: tuple[InFlightRequest, ...] = ()) -> Snapshot:
        """Return a snapshot of the folder, including files that are open."""
        return cls(dict(_entries(folder)), epoch, sent)

    def write_to(self, folder: Path) -> None:
        """Replace the content of the folder by the snapshot."""
        for name in FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
        for name, (mode, content) in self.files.items():
            path = f"{folder}/{name}"
            if content is None:
                os.mkdir(path, mode)  # noqa: PTH102 - thousands of times
                continue
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            os.write(descriptor, content)
            os.close(descriptor)

    def bytes_digest(self) -> bytes:
        """Return a digest of the snapshot by the bytes of its files."""
        return self._digest(self.files)

    def digest(self, scratch: Path) -> bytes:
        """Return a digest of everything that the next process can observe: files, time, requests, rows of the journal.

        `scratch` is a folder to open a copy of the journal in.
        """
        rest = {name: item for name, item in self.files.items() if name not in _JOURNAL_FILES}
        return hashlib.blake2b(self._digest(rest) + self._journal(scratch), digest_size=20).digest()

    def _digest(self, files: dict[str, tuple[int, bytes | None]]) -> bytes:
        found = hashlib.blake2b(repr((self.epoch, [item.description for item in self.sent])).encode(), digest_size=20)
        for name in sorted(files):
            mode, content = files[name]
            found.update(f"{name}\0{mode}\0{-1 if content is None else len(content)}\0".encode())
            found.update(content or b"")
        return found.digest()

    def _journal(self, scratch: Path) -> bytes:
        """Return every row after recovery by SQLite, and whether the journal was left open."""
        if _JOURNAL not in self.files:
            return b""
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for name in _JOURNAL_FILES:
            if name in self.files:
                (scratch / Path(name).name).write_bytes(self.files[name][1] or b"")
        left_open = bool(self.files.get(f"{_JOURNAL}-wal", (0, b""))[1])
        with contextlib.closing(sqlite3.connect(scratch / Path(_JOURNAL).name)) as db:
            tables = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            rows = [(name, db.execute(f'SELECT * FROM "{name}"').fetchall()) for name in sorted(tables)]  # noqa: S608 - the journal's own names
            version = db.execute("PRAGMA user_version").fetchone()
        return repr((left_open, version, rows)).encode()


def _entries(folder: Path) -> Iterator[tuple[str, tuple[int, bytes | None]]]:
    """Yield the folders and files below `FOLDERS`, a folder before its content."""
    for name in FOLDERS:
        if (folder / name).is_dir():
            yield name, (0o700, None)
            yield from _below(f"{folder}/{name}", name)


def _below(path: str, name: str) -> Iterator[tuple[str, tuple[int, bytes | None]]]:
    with os.scandir(path) as found:
        for item in sorted(found, key=lambda entry: entry.name):
            mode = item.stat(follow_symlinks=False).st_mode & 0o777
            if item.is_dir(follow_symlinks=False):
                yield f"{name}/{item.name}", (mode, None)
                yield from _below(item.path, f"{name}/{item.name}")
            else:
                with open(item.path, "rb") as stream:  # noqa: PTH123 - thousands of times
                    yield f"{name}/{item.name}", (mode, stream.read())
