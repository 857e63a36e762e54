"""Files of a mock: whole or not there at all, however it is killed, and never held in memory.

It does not know what the files mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20
RESERVED = 64 * CHUNK


class Incoming(Protocol):
    """A body on its way in."""

    def read(self, size: int = -1, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        ...


class Lines(Protocol):
    """Anything that gives bytes line by line."""

    def readline(self, limit: int = -1, /) -> bytes:
        """Give at most `limit` bytes, up to the end of a line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What arrived: bytes and their MD5 in lower-case hex, empty when nobody asked for it."""

    size: int
    md5: str


class TooLarge(Exception):  # noqa: N818 - it says what is wrong with the body, not with the mock
    """More bytes arrived than the limit allows."""


def read_json(file: Path) -> Any:
    """Read a snapshot; None when there is none.

    Raises:
        ValueError: the file is there but is not JSON.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"{file} is not a snapshot of a mock: {error}. Start with an empty state directory."
        raise ValueError(msg) from error


def write_json(file: Path, content: object) -> None:
    """Replace a snapshot in one step."""
    with replacing(file) as stream:
        stream.write(json.dumps(content, separators=(",", ":")).encode())


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Open a new version of a file that takes its place when the block ends well, and vanishes otherwise.

    Nothing is fsynced: a mock promises to survive its own death, not the machine's.
    """
    fresh = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        with fresh.open("wb") as stream:
            yield stream
        os.replace(fresh, file)  # noqa: PTH105 - the one call whose atomicity everything here rests on
    finally:
        fresh.unlink(missing_ok=True)


def receive(stream: Incoming, into: IO[bytes], *, limit: int, hashed: bool = True) -> Received:
    """Copy a body to disk in pieces, measuring it on the way; unless `hashed`, its MD5 stays empty.

    Raises:
        TooLarge: after `limit` bytes there was more.
    """
    size = reserved = 0
    with _Digest() as digest:
        while piece := stream.read(CHUNK):
            size += len(piece)
            if size > limit:
                raise TooLarge
            if hashed:
                digest.update(piece)
            if size > reserved and len(piece) == CHUNK:
                _reserve(into, reserved)
                reserved += RESERVED
            into.write(piece)
    if reserved > size:
        into.truncate()
    return Received(size=size, md5=digest.md5.hexdigest() if hashed else "")


def _reserve(into: IO[bytes], start: int) -> None:
    # Room that is asked for in one go is written several times as fast. Where it cannot be had, nothing is lost.
    with contextlib.suppress(OSError, AttributeError):
        os.posix_fallocate(into.fileno(), start, RESERVED)


class _Digest:
    """An MD5 that is worked out beside the reading and the writing, because it takes longer than both together."""

    def __init__(self) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self._pieces: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self._worker: threading.Thread | None = None

    def update(self, piece: bytes) -> None:
        """Take a piece; a body of one piece is not worth a thread."""
        if self._worker is None and len(piece) < CHUNK:
            self.md5.update(piece)
            return
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, daemon=True)
            self._worker.start()
        self._pieces.put(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._pieces.put(None)
            self._worker.join()

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self.md5.update(piece)


def lines(stream: Lines, *, limit: int) -> Iterator[bytes | None]:
    """Read line by line; a line of more than `limit` bytes is skipped and shows as None."""
    while line := stream.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(limit + 1)) and not rest.endswith(b"\n"):
            pass
        yield None
