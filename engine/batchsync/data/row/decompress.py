"""Decompression of zip archives of one file, zstd and bzip2, in chunks of bounded size."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from bz2 import BZ2Decompressor
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Exceptions for damaged content, among them those of system calls, which have an `errno`.
DAMAGED = (
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
    OSError,
)
_ENCRYPTED = 0x1
#: What file managers add to an archive: a folder of resource forks, and files of the view of a folder.
_ADDED_FOLDER = "__MACOSX/"
_ADDED_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
#: Members of workbooks, which are zip archives.
_WORKBOOK_MEMBERS = frozenset({"[Content_Types].xml", "mimetype"})
#: Members that a message names.
_SHOWN_MAX = 5


def iter_zip(path: Path, chunk_bytes: int) -> Iterator[bytes]:
    """Read the only file in an archive, whose checksum and size are compared at its end.

    Args:
        path: The file.
        chunk_bytes: Maximum number of bytes of a chunk.

    Yields:
        Non-empty chunks.

    Raises:
        SourceError: If the archive has another number of files than one, or is encrypted or packed in an unknown way.
        EOFError: If the file is shorter than declared; other damage raises other exceptions of `DAMAGED`.
    """
    with zipfile.ZipFile(path) as archive, _open_member(path, archive) as stream:
        left = _only_member(path, archive).file_size
        while chunk := stream.read(chunk_bytes):
            left -= len(chunk)
            yield chunk
        if left:
            raise EOFError


def _open_member(path: Path, archive: zipfile.ZipFile) -> IO[bytes]:
    """Open the only file in an archive."""
    member = _only_member(path, archive)
    try:
        return archive.open(member)
    except RuntimeError:  # unknown methods, too
        message = f"{path} is a zip archive that is packed in an unusual way (method {member.compress_type})"
        raise SourceError(message, hint="Pack it with deflate or gzip.") from None


def _is_added(name: str) -> bool:
    """Return whether a file manager added a member, and not its user."""
    return name.startswith(_ADDED_FOLDER) or name.rpartition("/")[2] in _ADDED_FILES


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the only file in an archive."""
    found = [item for item in archive.infolist() if not item.is_dir() and not _is_added(item.filename)]
    names = [item.filename for item in found]
    if _WORKBOOK_MEMBERS.intersection(names):
        hint = "Set source.format: excel, or export it as CSV or JSON lines."
        raise SourceError(f"{path} is a workbook or a document (a zip archive)", hint=hint)
    if not found:
        raise SourceError(f"{path} is an empty zip archive", hint="Pack the file again.")
    if len(found) > 1:
        listed = ", ".join(map(repr, names[:_SHOWN_MAX])) + (", ..." if len(found) > _SHOWN_MAX else "")
        hint = "Unpack it, and declare the files in it with a glob; a zip archive of one file is read."
        raise SourceError(f"{path} is a zip archive with {len(found)} files ({listed}), not with one", hint=hint)
    if found[0].flag_bits & _ENCRYPTED:
        raise SourceError(f"{path} is an encrypted zip archive", hint="Unpack it, and declare the file in it.")
    return found[0]


def iter_zstd(path: Path, chunk_bytes: int) -> Iterator[bytes]:
    """Read all frames of a zstd file.

    Args:
        path: The file.
        chunk_bytes: Maximum number of bytes of a chunk.

    Yields:
        Non-empty chunks.

    Raises:
        OSError: If the file cannot be read or, without `errno`, is damaged.
    """
    with pa.input_stream(str(path), compression="zstd") as stream:
        while chunk := stream.read(chunk_bytes):
            yield chunk


def iter_bzip2(path: Path, chunk_bytes: int) -> Iterator[bytes]:
    """Read all streams of a bzip2 file; what follows the last stream is damage.

    Args:
        path: The file.
        chunk_bytes: Maximum number of bytes of a chunk.

    Yields:
        Non-empty chunks.

    Raises:
        EOFError: If the file is truncated.
        OSError: If the file cannot be read or, without `errno`, is damaged.
    """
    with path.open("rb") as raw:
        decompressor, data = BZ2Decompressor(), raw.read(chunk_bytes)
        while data or not decompressor.needs_input:
            if chunk := decompressor.decompress(data, chunk_bytes):
                yield chunk
            data = b""
            if decompressor.eof:
                data = decompressor.unused_data or raw.read(chunk_bytes)
                if not data:
                    return
                decompressor = BZ2Decompressor()
            elif decompressor.needs_input:
                data = raw.read(chunk_bytes)
        raise EOFError


#: By the name of a compression, what yields the non-empty chunks of a file of at most so many bytes.
READERS: dict[str, Callable[[Path, int], Iterator[bytes]]] = {
    "zip": iter_zip,
    "zstd": iter_zstd,
    "bzip2": iter_bzip2,
}
