"""Text files that are compressed: gzip, zip with one member, zstd and bzip2, recognized by their first bytes.

Content is decompressed in chunks of bounded size; what is written to disk is bounded as for plain files, by the length
of lines and the space on the disk.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from batchsync.errors import SourceError
from batchsync.util.files import os_error_reason
from batchsync.util.gzip_reader import DAMAGED, iter_decompressed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: First bytes of what is decompressed, and its name. Skippable frames (RFC 8878) may precede the data of zstd.
_MAGICS = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes([first]) + b"\x2a\x4d\x18", "zstd") for first in range(0x50, 0x60)),
)
#: Each level of bzip2 has a first byte of its own, and each stream begins with a block or is empty.
_BZIP2, _BZIP2_BLOCKS = b"BZh", (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
_HEAD_BYTES = 10
_CHECKS = {"gzip": "gzip -t", "zip": "unzip -t", "zstd": "zstd -t", "bzip2": "bzip2 -t"}


def compression_of(path: Path) -> str:
    """Return how a file is compressed: gzip, zip, zstd or bzip2; empty if it is not, or in another way."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if head.startswith(_BZIP2) and head[4:] in _BZIP2_BLOCKS:
        return "bzip2"
    return next((name for magic, name in _MAGICS if head.startswith(magic)), "")


def iter_plain(path: Path, chunk_bytes: int) -> Iterator[bytes]:
    """Read a file in chunks, decompressed if it is compressed.

    Args:
        path: The file.
        chunk_bytes: Maximum number of bytes of a chunk.

    Yields:
        Non-empty chunks.

    Raises:
        SourceError: If the file cannot be read, is truncated or damaged, or is an archive of another number of files
            than one, or an encrypted one.
    """
    kind = compression_of(path)
    try:
        if kind in ("", "gzip"):
            with _translated(path, "gzip", DAMAGED):
                yield from iter_decompressed(path, chunk_bytes)
            return
        from batchsync.data.row import decompress  # noqa: PLC0415 - imports pyarrow, which is slow

        with _translated(path, kind, decompress.DAMAGED):
            yield from decompress.READERS[kind](path, chunk_bytes)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {os_error_reason(error)}", hint="Try again.") from None


@contextmanager
def _translated(path: Path, kind: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Translate the errors of a block for damaged content."""
    try:
        yield
    except errors as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        hint = f"Fetch or export the file again; check it with {_CHECKS[kind]}."
        raise SourceError(f"{path} is truncated or damaged {kind} ({type(error).__name__})", hint=hint) from None
