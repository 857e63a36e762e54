"""The files behind a source: each is there, is readable and is plain text in UTF-8 where text is expected.

It does not know rows or columns. What is packed or in another encoding is copied once, whole, into the work folder.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from isal import igzip, isal_zlib

from lading.data.words import nearest
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

#: Text is read in pieces of this many bytes.
PIECE = 1 << 20
#: Names of a folder among which the one that was meant is looked for.
_NAMES_MOST = 1000
#: What reading damaged gzip raises: cut short, wrong around the data, a broken block.
DAMAGED = (EOFError, igzip.BadGzipFile, cast("type[Exception]", isal_zlib.IsalError))
_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}
_FORMATS |= {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A file of text as declared: where, in which encoding. `marked` says that its reader knows byte order marks."""

    path: Path
    encoding: str
    marked: bool = True

    @property
    def packed(self) -> bool:
        """Whether the file is gzip, by its first two bytes rather than by its name."""
        with self.path.open("rb") as stream:
            return stream.read(2) == b"\x1f\x8b"

    @property
    def plain(self) -> bool:
        """Whether the file can be read where it lies."""
        if codec(self.encoding) != "utf-8" or self.packed:
            return False
        with self.path.open("rb") as stream:
            return self.marked or stream.read(3) != codecs.BOM_UTF8


def locate(path: str, folder: str) -> tuple[Path, ...]:
    """Return the files that a path or a glob names, sorted.

    Raises:
        SourceError: when there is none, or one is a folder or cannot be opened.
    """
    whole = Path(folder) / Path(path).expanduser()
    if whole.exists() or not glob.has_magic(path):
        found = [whole]
    else:
        # Only what stands in jobs.yaml is a pattern: the folder is taken as it is called.
        named = glob.glob(str(Path(path).expanduser()), root_dir=folder, recursive=True)  # noqa: PTH207 - may be absolute
        found = sorted(one for one in (Path(folder) / one for one in named) if not one.is_dir())
    if not found:
        raise SourceError(f"no file matches {path}", hint=f"Look into {folder}; paths are relative to jobs.yaml.")
    for one in found:
        _readable(one)
    return tuple(found)


def _readable(path: Path) -> None:
    """Refuse a file that is absent, a folder, or closed to us."""
    try:
        if path.is_dir():
            hint = f"Name a file in it, or a glob such as {path.name}/*.csv."
            raise SourceError(f"{path} is a folder, not a file", hint=hint)
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist", hint=_meant(path)) from None
    except PermissionError:
        raise SourceError(f"{path} may not be read", hint="Give this user permission to read it.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", hint="Check source.path.") from None


def _meant(path: Path) -> str:
    """Return a hint at the file or the folder that was probably meant instead of one that is not there."""
    missing = next(one for one in (path, *path.parents) if one.parent.exists())
    names = (
        tuple(islice((one.name for one in missing.parent.iterdir()), _NAMES_MOST)) if missing.parent.is_dir() else ()
    )
    if found := nearest(missing.name, tuple(sorted(names))):
        return f"Did you mean {Path(found) / path.relative_to(missing)}?"
    alike = sorted(one for one in names if path.suffix and missing == path and one.endswith(path.suffix))[:5]
    return f"The folder holds: {', '.join(alike)}." if alike else "Check source.path; it is relative to jobs.yaml."


def format_of(path: Path, declared: str | None) -> str:
    """Return csv, parquet or jsonl: as declared, else from the file's ending.

    Raises:
        SourceError: when the ending says nothing.
    """
    if declared:
        return declared
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if ending.lower() not in _FORMATS:
        hint = "Write source.format: csv, parquet or jsonl."
        raise SourceError(f"{path}: the format does not follow from the name", hint=hint)
    return _FORMATS[ending.lower()]


def codec(encoding: str) -> str:
    """Return the canonical name of an encoding, with and without byte order mark the same for UTF-8.

    Raises:
        SourceError: when Python knows no text encoding of that name.
    """
    try:
        found = codecs.lookup(encoding)
        b"".decode(encoding)
    except LookupError:
        hint = "Usual names are utf-8, latin-1, cp1252 and utf-16."
        raise SourceError(f"no text encoding is called {encoding!r}", hint=hint) from None
    return {"utf-8-sig": "utf-8"}.get(found.name, found.name)


def pieces(file: TextFile) -> Generator[bytes, None, None]:
    """Yield the text of a file as UTF-8 without byte order mark, unpacked.

    Raises:
        SourceError: when it is truncated or damaged gzip, or not in the declared encoding (with the line).
    """
    lines = 1
    native = codec(file.encoding) == "utf-8"
    decoder = codecs.getincrementaldecoder("utf-8" if native else file.encoding)(errors="strict")
    first = True
    for piece in _raw_pieces(file):
        data = piece.removeprefix(codecs.BOM_UTF8) if first and native else piece
        try:
            text = decoder.decode(data, final=not piece)
        except UnicodeDecodeError as error:
            before = bytes(error.object[: error.start])
            raise _misread(file, lines + before.count(b"\n")) from None
        if first and not native:
            text = text.removeprefix("\ufeff")  # a codec that names the byte order leaves the mark in the text
        first = False
        found = data if native else text.encode()
        lines += found.count(b"\n")
        if found:
            yield found


def _raw_pieces(file: TextFile) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked, and at the end an empty piece."""
    try:
        with file.path.open("rb") as raw:
            stream = unpacked(raw) if file.packed else raw
            while piece := stream.read(PIECE):
                yield piece
            yield b""
    except DAMAGED as error:
        hint = "Fetch or export the file again; gzip -t tells whether it is whole."
        raise SourceError(f"{file.path} is truncated or damaged gzip ({type(error).__name__})", hint=hint) from None
    except OSError as error:
        raise SourceError(f"{file.path} cannot be read: {error.strerror or error}", hint="Try again.") from None


def unpacked(raw: IO[bytes]) -> IO[bytes]:
    """Return the content of an open gzip file as a stream."""
    return cast("IO[bytes]", igzip.GzipFile(fileobj=raw))  # type: ignore[no-untyped-call]  # isal ships no types


def _misread(file: TextFile, line: int) -> SourceError:
    """Return the error for a byte that the encoding does not have."""
    return SourceError(
        f"{file.path}:{line}: a byte on this line is not {file.encoding}",
        hint="Declare source.encoding (for instance cp1252 or latin-1), or export the file as UTF-8.",
    )


def readable_copy(file: TextFile, work: Path, *, fresh: bool) -> Path:
    """Return a path under which the text lies plain: the file itself, or a whole copy in the work folder.

    `fresh` says that an older copy may not be trusted.
    """
    if file.plain:
        return file.path
    name = hashlib.sha256(os.fsencode(file.path)).hexdigest()[:16]
    copy = work / f"source-{name}.txt"
    if copy.exists() and not fresh:
        return copy
    partial = copy.with_suffix(".partial")
    with partial.open("wb") as out:
        for piece in pieces(file):
            out.write(piece)
    partial.replace(copy)
    return copy


def beginning(file: TextFile, size: int) -> bytes:
    """Return at least the first `size` bytes of the text, or all of it, as UTF-8."""
    found = bytearray()
    stream = pieces(file)
    for piece in stream:
        found += piece
        if len(found) >= size:
            break
    stream.close()
    return bytes(found)
