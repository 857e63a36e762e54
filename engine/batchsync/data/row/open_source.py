"""Opening of a source: location of its files, their format, columns and types. Reads no rows.

A source whose files did not change is opened once per process: `validate`, `plan` and `sync` share the result.
"""

from __future__ import annotations

import glob
import stat
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.source_path import BUNDLED_FORMATS, format_by_ending
from batchsync.data.frame.columns import PREFIX
from batchsync.data.row.csv_reader import CsvReader
from batchsync.data.row.jsonl_reader import JsonlReader
from batchsync.data.row.parquet_reader import ParquetReader
from batchsync.data.row.row_reader import LEVELS_MAX, RowReader, SourceFiles, engine_errors, is_too_deep
from batchsync.errors import SourceError
from batchsync.util.files import sha256_of_file
from batchsync.util.plugins import ROW_READERS, find_plugin, load_plugin, plugin_names
from batchsync.util.suggestions import nearest

if TYPE_CHECKING:
    from batchsync.core.job import Join, Source

#: Path of a file, its inode, size, and times of the last change of its content and of its metadata.
_FileState = tuple[Path, int, int, int, int]

#: Readers of the bundled formats.
_READERS: dict[str, RowReader] = {"csv": CsvReader(), "parquet": ParquetReader(), "jsonl": JsonlReader()}
#: Maximum number of file names of a folder that are compared with a missing name.
_NAMES_MAX = 1000
#: Maximum number of sources and joins that are remembered.
_OPENED_MAX = 4096


def open_source(source: Source) -> SourceFiles:
    """Locate the files of a source and determine format, columns and types, reading as little as possible.

    Returns:
        The located files with their common schema.

    Raises:
        SourceError: If a file is missing, unreadable, empty or not of its declared format, or if files differ in
            their columns.
    """
    landed = [Path(part.path) for part in source.parts]
    return _open(landed or _locate(source.path, source.folder), source, source.format)


def open_join(source: Source, join: Join) -> SourceFiles:
    """Return the opened file of a join; its format follows from its ending, CSV settings are those of the source."""
    return _open(_locate(join.path, source.folder), source, None)


def _open(files: list[Path], source: Source, declared: str | None) -> SourceFiles:
    """Return the opened files, those of an earlier call if no file has changed since."""
    states = tuple(_state_of(path) for path in files)
    return _opened(states, _reader_of(files[0], declared), source)


@lru_cache(maxsize=_OPENED_MAX)
def _opened(states: tuple[_FileState, ...], reader: RowReader, source: Source) -> SourceFiles:
    """Determine the common schema of the files; raise an error if one differs from the first."""
    digests = {Path(part.path): part.sha256 for part in source.parts}
    first: dict[str, pl.DataType] | None = None
    for path, *_ in states:
        with reader.translate_errors(path):
            if path in digests and sha256_of_file(path) != digests[path]:
                raise SourceError(f"{path} was changed after it was fetched", hint="Run the same command again.")
            schema = _schema(reader, path, source)
        if first is None:
            first = schema
        elif not reader.declares_columns:
            first = _merge_schemas(first, schema, path)
        elif set(schema) != set(first):
            other = ", ".join(sorted(set(schema) ^ set(first))[:5])
            hint = "Files of one glob need the same columns; split the job or fix the export."
            raise SourceError(f"{path} and {states[0][0].name} differ in columns: {other}", hint=hint)
        elif schema != first:
            other = ", ".join(name for name in first if schema[name] != first[name])
            hint = "Write the files with the same types."
            raise SourceError(f"{path} and {states[0][0].name} differ in the types of: {other}", hint=hint)
    return SourceFiles(
        files=tuple(path for path, *_ in states),
        reader=reader,
        delimiter=source.delimiter,
        encoding=source.encoding,
        nulls=source.nulls,
        schema=first or {},
        stored=first or {},
    )


def _schema(reader: RowReader, path: Path, source: Source) -> dict[str, pl.DataType]:
    """Return the columns and types of a file; raise an error for columns that cannot be processed."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise _access_error(path, error) from None
    schema = reader.schema(path, source)
    if any(name.startswith(PREFIX) for name in schema):
        raise SourceError(f"{path}: column names may not begin with {PREFIX!r}", hint="Rename the column.")
    if deep := next((name for name, dtype in schema.items() if is_too_deep(dtype)), None):
        hint = "Export it flatter, or leave the column out."
        raise SourceError(f"{path}: column {deep!r} is nested more than {LEVELS_MAX} levels deep", hint=hint)
    return schema


def _merge_schemas(first: dict[str, pl.DataType], other: dict[str, pl.DataType], path: Path) -> dict[str, pl.DataType]:
    """Return the common schema of several files; a column without values takes the type of the others."""
    try:
        empty = [pl.DataFrame(schema=schema) for schema in (first, other)]
        return dict(pl.concat(empty, how="diagonal_relaxed").schema)
    except engine_errors():
        names = ", ".join(name for name in first if name in other and first[name] != other[name])
        hint = "Export each member with one type."
        raise SourceError(f"{path} and the files before it differ in the types of: {names}", hint=hint) from None


def _reader_of(path: Path, declared: str | None) -> RowReader:
    """Return the reader of a file: of the declared format, else by its ending, which `.gz` may follow.

    Raises:
        SourceError: If none is declared and the ending is unknown.
    """
    name = declared or format_by_ending(path.name)
    if name in _READERS:
        return _READERS[name]
    if not name or find_plugin(ROW_READERS, name) is None:
        *others, last = [*BUNDLED_FORMATS, *plugin_names(ROW_READERS)]
        hint = f"Set source.format to {', '.join(others)} or {last}."
        raise SourceError(f"{path}: the format does not follow from the file name", hint=hint)
    return _installed_reader(name)


@cache
def _installed_reader(name: str) -> RowReader:
    """Return the reader of an installed format."""
    reader: RowReader = load_plugin(ROW_READERS, name)()
    return reader


def _locate(path: str, folder: str) -> list[Path]:
    """Return the files that a path or a glob matches, sorted.

    Raises:
        SourceError: If a glob matches no file.
    """
    full_path = Path(folder) / Path(path).expanduser()
    if full_path.exists() or not glob.has_magic(path):
        return [full_path]
    # Only the path in jobs.yaml is a pattern; the folder's name may contain magic characters.
    matches = glob.glob(str(Path(path).expanduser()), root_dir=folder, recursive=True)  # noqa: PTH207 - may be absolute
    found = sorted(file for file in (Path(folder) / match for match in matches) if not file.is_dir())
    if not found:
        raise SourceError(f"no file matches {path}", hint=f"Check {folder}; paths are relative to jobs.yaml.")
    return found


def _state_of(path: Path) -> _FileState:
    """Return what changes when a file changes.

    Raises:
        SourceError: If the file is missing or a folder.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _access_error(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        hint = f"Name a file in it, or a glob such as {path.name}/*.csv."
        raise SourceError(f"{path} is a folder, not a file", hint=hint)
    return path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _access_error(path: Path, error: OSError) -> SourceError:
    """Return the error for a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{path} does not exist", hint=_missing_file_hint(path))
    if isinstance(error, PermissionError):
        return SourceError(f"{path}: permission denied", hint="Give this user permission to read it.")
    return SourceError(f"{path} cannot be read: {error.strerror}", hint="Check source.path.")


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
