"""Files of a mock: whole or not there at all, however it is killed, and never held in memory.

It does not know what the files mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20


class Lines(Protocol):
    """Anything that gives bytes line by line."""

    def readline(self, limit: int = -1, /) -> bytes:
        """Give at most `limit` bytes, up to the end of a line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What arrived: bytes and their MD5 in lower-case hex."""

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


def receive(stream: IO[bytes], into: BinaryIO, *, limit: int) -> Received:
    """Copy a body to disk in pieces, measuring it on the way.

    Raises:
        TooLarge: after `limit` bytes there was more.
    """
    digest, size = hashlib.md5(usedforsecurity=False), 0
    while piece := stream.read(CHUNK):
        size += len(piece)
        if size > limit:
            raise TooLarge
        digest.update(piece)
        into.write(piece)
    return Received(size=size, md5=digest.hexdigest())


def lines(stream: Lines, *, limit: int) -> Iterator[bytes | None]:
    """Read line by line; a line of more than `limit` bytes is skipped and shows as None."""
    while line := stream.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(limit + 1)) and not rest.endswith(b"\n"):
            pass
        yield None
