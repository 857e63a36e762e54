"""Reading of files that are plain or gzip, the latter with its checksums."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, cast

from isal import igzip, isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Exceptions for damaged gzip: truncated, invalid header or trailer, invalid block.
DAMAGED = (EOFError, igzip.BadGzipFile, cast("type[Exception]", isal_zlib.IsalError))
_MAGIC = b"\x1f\x8b"


def iter_decompressed(path: Path, chunk_bytes: int) -> Iterator[bytes]:
    """Read a file in chunks, decompressed if it is gzip.

    Args:
        path: The file.
        chunk_bytes: Maximum number of bytes of a chunk.

    Yields:
        Non-empty chunks.

    Raises:
        OSError: If the file cannot be read. Damaged gzip raises one of `DAMAGED`.
    """
    with path.open("rb") as raw:
        is_compressed = raw.read(len(_MAGIC)) == _MAGIC
        raw.seek(0)
        stream = cast("IO[bytes]", igzip.GzipFile(fileobj=raw)) if is_compressed else raw  # type: ignore[no-untyped-call]  # isal ships no types
        while chunk := stream.read(chunk_bytes):
            yield chunk
