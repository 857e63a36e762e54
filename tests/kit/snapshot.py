"""What a process leaves behind when it is killed: the bytes on the disk, the hour, and the requests still under way.

It does not know what the bytes mean, but for the journal, which is opened as the next process would open it.
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
#: the journal's files, whose bytes hold salts that SQLite draws
_OF_JOURNAL = (_JOURNAL, f"{_JOURNAL}-wal", f"{_JOURNAL}-shm")
ROOMS = ("state", "vendors", "out")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that has left and has not landed: when it will, its place among its likes, and what it is."""

    at: float
    count: int
    what: str
    land: partial[None]

    @property
    def given(self) -> tuple[requests.PreparedRequest, bytes, int]:
        """The request, its body, and the port that it goes to."""
        found: tuple[requests.PreparedRequest, bytes, int] = self.land.args
        return found

    @property
    def told(self) -> str:
        """What the request is made of, as text."""
        prepared, body, port = self.given
        headers = sorted((name, str(value)) for name, value in prepared.headers.items())
        return f"{self.at} {self.count} {prepared.method} {port} {prepared.url} {headers} {body.hex()}"


@dataclass(frozen=True, slots=True)
class Remains:
    """A world at one moment. `files` holds folders too, without content."""

    files: dict[str, tuple[int, bytes | None]]
    epoch: float
    sent: tuple[Sent, ...] = ()

    @classmethod
    def of(cls, folder: Path, epoch: float, sent: tuple[Sent, ...] = ()) -> Remains:
        """Take everything as it lies on the disk now, whoever has it open."""
        return cls(dict(_entries(folder)), epoch, sent)

    def put_back(self, folder: Path) -> None:
        """Make the folder as it was."""
        for room in ROOMS:
            shutil.rmtree(folder / room, ignore_errors=True)
        for name, (mode, content) in self.files.items():
            path = f"{folder}/{name}"
            if content is None:
                os.mkdir(path, mode)  # noqa: PTH102 - thousands of times
                continue
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            os.write(descriptor, content)
            os.close(descriptor)

    def bytes_digest(self) -> bytes:
        """Return what tells these bytes from any others."""
        return self._digest(self.files)

    def digest(self, scratch: Path) -> bytes:
        """Return what tells this world from any other for whoever comes next: the journal by what a reader finds in it.

        `scratch` is a folder to open a copy of the journal in.
        """
        rest = {name: one for name, one in self.files.items() if name not in _OF_JOURNAL}
        return hashlib.blake2b(self._digest(rest) + self._journal(scratch), digest_size=20).digest()

    def _digest(self, files: dict[str, tuple[int, bytes | None]]) -> bytes:
        found = hashlib.blake2b(repr((self.epoch, [one.told for one in self.sent])).encode(), digest_size=20)
        for name in sorted(files):
            mode, content = files[name]
            found.update(f"{name}\0{mode}\0{-1 if content is None else len(content)}\0".encode())
            found.update(content or b"")
        return found.digest()

    def _journal(self, scratch: Path) -> bytes:
        """Return every row that a reader finds after SQLite has recovered, and whether anybody had it open."""
        if _JOURNAL not in self.files:
            return b""
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for name in _OF_JOURNAL:
            if name in self.files:
                (scratch / Path(name).name).write_bytes(self.files[name][1] or b"")
        left_open = bool(self.files.get(f"{_JOURNAL}-wal", (0, b""))[1])
        with contextlib.closing(sqlite3.connect(scratch / Path(_JOURNAL).name)) as db:
            tables = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            rows = [(name, db.execute(f'SELECT * FROM "{name}"').fetchall()) for name in sorted(tables)]  # noqa: S608 - the journal's own names
            version = db.execute("PRAGMA user_version").fetchone()
        return repr((left_open, version, rows)).encode()


def _entries(folder: Path) -> Iterator[tuple[str, tuple[int, bytes | None]]]:
    """Yield the folders and files of the rooms, a folder before what is in it."""
    for room in ROOMS:
        if (folder / room).is_dir():
            yield room, (0o700, None)
            yield from _below(f"{folder}/{room}", room)


def _below(path: str, name: str) -> Iterator[tuple[str, tuple[int, bytes | None]]]:
    with os.scandir(path) as found:
        for one in sorted(found, key=lambda entry: entry.name):
            mode = one.stat(follow_symlinks=False).st_mode & 0o777
            if one.is_dir(follow_symlinks=False):
                yield f"{name}/{one.name}", (mode, None)
                yield from _below(one.path, f"{name}/{one.name}")
            else:
                with open(one.path, "rb") as stream:  # noqa: PTH123 - thousands of times
                    yield f"{name}/{one.name}", (mode, stream.read())
