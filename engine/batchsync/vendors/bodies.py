"""Takes the bodies of answers: how large they would grow, whether they are whole, and onto our disk in one piece.

It knows neither where the bytes come from nor what they mean.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from lading.errors import Permanent, Unclear
from lading.folders import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How many bytes are taken, or expanded, at a time.
CHUNK = 256 * 1024
GZIP = b"\x1f\x8b"


class Watch:
    """Follows a body that may be a gzip file: how large it would grow, and whether it is whole."""

    def __init__(self, most: int) -> None:
        """Allow at most `most` expanded bytes."""
        self._most = most
        self._grown = 0
        self._inflate: zlib._Decompress | None = None
        self._first = b""
        self._plain = False

    def see(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Permanent: when the file would grow beyond what is allowed.
            Unclear: when it is a damaged gzip file.
        """
        if self._plain:
            return
        if self._inflate is None:
            self._first += chunk
            if len(self._first) < len(GZIP):
                return
            self._plain = not self._first.startswith(GZIP)
            chunk = self._first
        if not self._plain:
            for _ in self.expanded(chunk):
                pass

    def expanded(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the bytes expand to, member after member."""
        while chunk:
            if self._inflate is None or self._inflate.eof:
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                out = self._inflate.decompress(chunk, CHUNK)
            except zlib.error:
                out = None
            if out is None:
                raise Unclear("the answer is a damaged gzip file")
            self._grown += len(out)
            if self._grown > self._most:
                raise Permanent(f"the answer expands to more than {self._most:,} bytes")
            yield out
            chunk = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def end(self) -> None:
        """Say that no bytes follow.

        Raises:
            Unclear: when a gzip file ends before its end.
        """
        if self._inflate is not None and not self._inflate.eof:
            raise Unclear("the answer is a gzip file that ends too early")


def gunzipped(raw: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Yield a gzip stream expanded, to at most `most` bytes."""
    watch = Watch(most)
    for chunk in raw:
        yield from watch.expanded(chunk)
    watch.end()


def save(path: Path, chunks: Iterator[bytes]) -> None:
    """Write the chunks to a file that appears whole or not at all, and survives a power cut."""
    make_private(path.parent)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as out:
            for chunk in chunks:
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
