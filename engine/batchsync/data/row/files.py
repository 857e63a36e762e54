"""Source files: location, format, decoding and gunzipping to UTF-8.

Compressed files and files in other encodings are copied once to a plain UTF-8 file in the work folder.
"""

from __future__ import annotations

import codecs
import glob
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import SourceError
from batchsync.util.files import os_error_reason, sha256_of
from batchsync.util.gzip_reader import DAMAGED, is_gzip, iter_decompressed
from batchsync.util.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

#: Bytes of text that are read at a time.
CHUNK_BYTES = 1 << 20
#: Maximum number of file names of a folder that are compared with a missing name.
_NAMES_MAX = 1000
_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}
_FORMATS |= {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A text file in its declared encoding.

    Attributes:
        path: The file, plain or gzip.
        encoding: Name of a Python text encoding.
        reader_skips_bom: Whether the reader of the file skips a UTF-8 byte order mark.
    """

    path: Path
    encoding: str
    reader_skips_bom: bool = True

    @property
    def is_readable_in_place(self) -> bool:
        """Whether the file can be read without decoding a copy of it."""
        if codec_name(self.encoding) != "utf-8" or is_gzip(self.path):
            return False
        with self.path.open("rb") as stream:
            return self.reader_skips_bom or stream.read(3) != codecs.BOM_UTF8


def locate(path: str, folder: str) -> tuple[Path, ...]:
    """Return the files that a path or a glob matches, sorted.

    Raises:
        SourceError: If there is none, or if a match is a folder or cannot be opened.
    """
    full_path = Path(folder) / Path(path).expanduser()
    if full_path.exists() or not glob.has_magic(path):
        found = [full_path]
    else:
        # Only the path in jobs.yaml is a pattern; the folder's name may contain magic characters.
        matches = glob.glob(str(Path(path).expanduser()), root_dir=folder, recursive=True)  # noqa: PTH207 - may be absolute
        found = sorted(file for file in (Path(folder) / match for match in matches) if not file.is_dir())
    if not found:
        raise SourceError(f"no file matches {path}", hint=f"Check {folder}; paths are relative to jobs.yaml.")
    for file in found:
        _check_readable(file)
    return tuple(found)


def _check_readable(path: Path) -> None:
    """Raise an error if the file is missing, a folder, or not readable."""
    try:
        if path.is_dir():
            hint = f"Name a file in it, or a glob such as {path.name}/*.csv."
            raise SourceError(f"{path} is a folder, not a file", hint=hint)
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist", hint=_missing_file_hint(path)) from None
    except PermissionError:
        raise SourceError(f"{path}: permission denied", hint="Give this user permission to read it.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", hint="Check source.path.") from None


def _missing_file_hint(path: Path) -> str:
    """Return a hint at an existing file or folder with a similar name."""
    missing = next(item for item in (path, *path.parents) if item.parent.exists())
    names = (
        tuple(islice((item.name for item in missing.parent.iterdir()), _NAMES_MAX)) if missing.parent.is_dir() else ()
    )
    if found := nearest(missing.name, tuple(sorted(names))):
        return f"Did you mean {Path(found) / path.relative_to(missing)}?"
    alike = sorted(name for name in names if path.suffix and missing == path and name.endswith(path.suffix))[:5]
    return f"The folder contains: {', '.join(alike)}." if alike else "Check source.path; it is relative to jobs.yaml."


def format_of(path: Path, declared: str | None) -> str:
    """Return the format of a file: as declared, else by its ending.

    Args:
        path: The file; its ending may be followed by `.gz`.
        declared: `source.format`, if any.

    Returns:
        `csv`, `parquet` or `jsonl`.

    Raises:
        SourceError: If none is declared and the ending is unknown.
    """
    if declared:
        return declared
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if ending.lower() not in _FORMATS:
        hint = "Set source.format to csv, parquet or jsonl."
        raise SourceError(f"{path}: the format does not follow from the file name", hint=hint)
    return _FORMATS[ending.lower()]


def codec_name(encoding: str) -> str:
    """Return the canonical name of an encoding; `utf-8` with or without byte order mark.

    Raises:
        SourceError: If Python has no text encoding of that name.
    """
    try:
        found = codecs.lookup(encoding)
        b"".decode(encoding)
    except LookupError:
        hint = "Usual names are utf-8, latin-1, cp1252 and utf-16."
        raise SourceError(f"unknown text encoding {encoding!r}", hint=hint) from None
    return {"utf-8-sig": "utf-8"}.get(found.name, found.name)


def iter_text(file: TextFile) -> Generator[bytes, None, None]:
    """Yield the decompressed text of a file as UTF-8 without byte order mark.

    Yields:
        Non-empty chunks of any size; they may split characters and lines.

    Raises:
        SourceError: If the file is truncated or damaged gzip, cannot be read, or contains a byte that the declared
            encoding does not allow (with the line number).
    """
    line = 1
    is_utf8 = codec_name(file.encoding) == "utf-8"
    decoder = codecs.getincrementaldecoder("utf-8" if is_utf8 else file.encoding)(errors="strict")
    is_first = True
    for chunk in _iter_bytes(file):
        data = chunk.removeprefix(codecs.BOM_UTF8) if is_first and is_utf8 else chunk
        try:
            text = decoder.decode(data, final=not chunk)
        except UnicodeDecodeError as error:
            before = bytes(error.object[: error.start])
            invalid = _encoding_error(file, line + before.count(b"\n"))
            raise invalid from None
        if is_first and not is_utf8:
            text = text.removeprefix("\ufeff")  # a codec that names the byte order leaves the mark in the text
        is_first = False
        encoded = data if is_utf8 else text.encode()
        line += encoded.count(b"\n")
        if encoded:
            yield encoded


def _iter_bytes(file: TextFile) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file, and an empty chunk at the end."""
    try:
        yield from iter_decompressed(file.path, CHUNK_BYTES)
        yield b""
    except DAMAGED as error:
        hint = "Fetch or export the file again; check it with gzip -t."
        raise SourceError(f"{file.path} is truncated or damaged gzip ({type(error).__name__})", hint=hint) from None
    except OSError as error:
        raise SourceError(f"{file.path} cannot be read: {os_error_reason(error)}", hint="Try again.") from None


def _encoding_error(file: TextFile, line: int) -> SourceError:
    """Return the error for a byte that the encoding does not allow."""
    return SourceError(
        f"{file.path}:{line}: a byte on this line is not valid {file.encoding}",
        hint="Declare source.encoding (for instance cp1252 or latin-1), or export the file as UTF-8.",
    )


def readable_copy(file: TextFile, work: Path, *, fresh: bool) -> Path:
    """Return a plain UTF-8 file with the text: the file itself, or a complete copy in the work folder.

    Args:
        file: The source file.
        work: Existing folder for copies.
        fresh: Whether to replace an earlier copy instead of using it.

    Returns:
        Path of a plain UTF-8 file.

    Raises:
        SourceError: If the file cannot be read or decoded.
    """
    if file.is_readable_in_place:
        return file.path
    name = sha256_of(os.fsencode(file.path))[:16]
    copy = work / f"source-{name}.txt"
    if copy.exists() and not fresh:
        return copy
    partial = copy.with_suffix(".partial")
    with partial.open("wb") as out:
        for chunk in iter_text(file):
            out.write(chunk)
    partial.replace(copy)
    return copy


def read_beginning(file: TextFile, size: int) -> bytes:
    """Return at least the first `size` bytes of the text, or all of it, as UTF-8."""
    found = bytearray()
    stream = iter_text(file)
    for chunk in stream:
        found += chunk
        if len(found) >= size:
            break
    stream.close()
    return bytes(found)
