"""Opening of a source: location of its files, their format, columns and types. Reads no rows.

A source whose files did not change is opened once per process: `validate`, `plan` and `sync` share the result.
"""

from __future__ import annotations

import glob
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.source_path import BUNDLED_FORMATS, format_by_ending
from batchsync.data.frame.columns import PREFIX
from batchsync.data.row.common_schema import columns_in_paths, common_schema
from batchsync.data.row.csv_reader import CsvReader
from batchsync.data.row.excel_reader import ExcelReader
from batchsync.data.row.file_state import FileState, require_opened, state_of
from batchsync.data.row.jsonl_reader import JsonlReader
from batchsync.data.row.parquet_reader import ParquetReader
from batchsync.data.row.row_reader import LEVELS_MAX, RowReader, SourceFiles, is_too_deep
from batchsync.errors import SourceError
from batchsync.util.files import sha256_of_file
from batchsync.util.path_fence import PathFence, fixed_part
from batchsync.util.plugins import ROW_READERS, find_plugin, load_plugin, plugin_names

if TYPE_CHECKING:
    from batchsync.core.job import Join, Source

#: Readers of the bundled formats.
_READERS: dict[str, RowReader] = {
    "csv": CsvReader(),
    "parquet": ParquetReader(),
    "jsonl": JsonlReader(),
    "excel": ExcelReader(),
}
#: Maximum number of sources and joins that are remembered.
_OPENED_MAX = 4096
#: Characters of a path that a message shows, if it is longer than a path can be.
_SHOWN = 60


def open_source(source: Source) -> SourceFiles:
    """Locate the files of a source and determine format, columns and types, reading as little as possible.

    Returns:
        The located files with their common schema.

    Raises:
        SourceError: If a file is missing, unreadable, empty or not of its declared format, or if files differ in
            their columns.
    """
    landed = [Path(part.path) for part in source.parts]
    return _open(landed or _locate(source.path, source), source, source.format)


def open_join(source: Source, join: Join) -> SourceFiles:
    """Return the opened file of a join.

    Its format follows from its ending, its CSV settings are those of the source but for `CsvDialect.of_joined_files`.
    Rows elsewhere are read from the parts that they were landed in.
    """
    if join.source is not None:
        return open_source(join.source).within_files
    joined = replace(source, dialect=source.dialect.of_joined_files(), sheet=join.sheet)
    return _open(_locate(join.path, source), joined, None).within_files


def _open(files: list[Path], source: Source, declared: str | None) -> SourceFiles:
    """Return the opened files, those of an earlier call if no file has changed since."""
    fence = PathFence() if source.parts else PathFence(source.roots)
    states = tuple(state_of(path, fence) for path in files)
    return _opened(states, _reader_of(files[0], declared), source)


@lru_cache(maxsize=_OPENED_MAX)
def _opened(states: tuple[FileState, ...], reader: RowReader, source: Source) -> SourceFiles:
    """Determine the common schema of the files; raise an error if they do not fit each other."""
    digests = {Path(part.path): part.sha256 for part in source.parts}
    called = _names(source)
    schemas: dict[Path, dict[str, pl.DataType]] = {}
    unreadable: dict[str, str] = {}
    for state in states:
        path = state.path
        require_opened(state, PathFence() if source.parts else PathFence(source.roots))
        if path in digests:
            _require_digest(path, digests[path], reader)
        name = called.get(path, str(path))
        with reader.translate_errors(path, name=name):
            schemas[path] = _schema(reader, path, source)
            found = reader.unreadable(path, source).items()
            texts = {key: reason if str(path) in reason else f"{path}: {reason}" for key, reason in found}
            unreadable |= {key: text.replace(str(path), name) for key, text in texts.items()}
    schema, conflicts = common_schema(schemas, reader, called)
    landed = {Path(part.path): Path(part.origin) for part in source.parts}
    inside = {path: landed.get(path, _inside(path, source.folder)) for path in schemas}
    path_columns = columns_in_paths(inside, schema)
    in_paths = dict.fromkeys(name for found in path_columns.values() for name in found)
    return SourceFiles(
        files=tuple(state.path for state in states),
        reader=reader,
        delimiter=source.delimiter,
        encoding=source.encoding,
        nulls=source.nulls,
        dialect=source.dialect,
        sheet=source.sheet,
        states=states,
        schema=schema | dict.fromkeys(in_paths, pl.String()),
        stored=schema,
        unreadable=conflicts | unreadable,
        path_columns=path_columns if in_paths else {},
        names=called,
    )


def _names(source: Source) -> dict[Path, str]:
    """Return what messages call landed files: the connection and the path at the source, if both are known."""
    storage = source.stored.storage if source.stored is not None else None
    before = f"{storage.name}: " if storage is not None else ""
    return {Path(part.path): f"{before}{part.origin}" for part in source.parts if part.origin}


def _require_digest(path: Path, digest: str, reader: RowReader) -> None:
    """Raise an error if a landed file is not the one that was fetched."""
    with reader.translate_errors(path):
        if sha256_of_file(path) != digest:
            raise SourceError(
                f"{path} was changed after it was fetched", hint="Run the same command again.", name="source.changed"
            )


def _inside(path: Path, folder: str) -> Path:
    """Return a path from the folder of jobs.yaml on, whose own path names no columns."""
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _schema(reader: RowReader, path: Path, source: Source) -> dict[str, pl.DataType]:
    """Return the columns and types of a file; raise an error for columns that cannot be processed."""
    schema = reader.schema(path, source)
    if any(name.startswith(PREFIX) for name in schema):
        raise SourceError(f"{path}: column names may not begin with {PREFIX!r}", hint="Rename the column.")
    if deep := next((name for name, dtype in schema.items() if is_too_deep(dtype)), None):
        hint = "Export it flatter, or leave the column out."
        raise SourceError(f"{path}: column {deep!r} is nested more than {LEVELS_MAX} levels deep", hint=hint)
    return schema


def _reader_of(path: Path, declared: str | None) -> RowReader:
    """Return the reader of a file: of the declared format, else by its ending, which that of a compression may follow.

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


def _locate(path: str, source: Source) -> list[Path]:
    """Return the files that a path or a glob matches, sorted.

    Args:
        path: Path of a source or join.
        source: The source, whose folder the path is relative to.

    Returns:
        The files.

    Raises:
        SourceError: If a glob matches no file or is not below the roots of the source, or the path begins with the name
            of an unknown user, or is longer than a path can be.
    """
    folder, fence = source.folder, PathFence(source.roots)
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        hint = "Write the folder, or ./~name for a file whose name begins with ~."
        raise SourceError(f"{path}: there is no user of that name, or no home folder", hint=hint) from None
    full_path = Path(folder) / expanded
    fixed = Path(folder) / fixed_part(str(expanded))
    if fence.roots and (objection := fence.objection(fixed)):
        raise SourceError(f"{path} {objection}", hint=f"Name {fence.advice}.")
    try:
        if full_path.exists() or not glob.has_magic(path):
            return [full_path]
    except (OSError, ValueError) as error:
        raise SourceError(f"{path[:_SHOWN]} cannot be read: {_reason(error)}", hint="Check source.path.") from None
    _refuse_links_out(expanded, folder, fence)
    matches = _matches(expanded, folder)
    found = sorted(file for file in (Path(folder) / match for match in matches) if not file.is_dir())
    if not found:
        raise SourceError(
            f"no file matches {path}", hint=f"Check {folder}; paths are relative to jobs.yaml.", name="source.missing"
        )
    return found


def _matches(pattern: Path, folder: str) -> list[str]:
    # Only the path in jobs.yaml is a pattern; the folder's name may contain magic characters.
    return glob.glob(str(pattern), root_dir=folder, recursive=True)  # noqa: PTH207 - may be absolute


def _refuse_links_out(pattern: Path, folder: str, fence: PathFence) -> None:
    """Refuse a glob that goes through a link or `..` out of the fence, whatever it would match there.

    Raises:
        SourceError: If it does.
    """
    if not fence.roots:
        return
    for count in range(1, len(pattern.parts) + 1):
        start = Path(*pattern.parts[:count])
        found = _matches(start, folder) if glob.has_magic(str(start)) else []
        if (link := next((item for item in found if fence.objection(Path(folder) / item)), None)) is not None:
            objection = fence.objection(Path(folder) / link)
            raise SourceError(f"{pattern}: {link} {objection}", hint=f"Name {fence.advice}.")


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or "it is no path"
