"""Reader of source files: frames with row numbers, or a `SourceError` that names the file and the row.

All columns of CSV files are text; an empty field is null.
"""

from __future__ import annotations

import glob
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.columns import PREFIX, ROW
from batchsync.data.row import csv_validation, jsonl_validation, parquet
from batchsync.data.row.files import TextFile, format_of, locate, readable_copy
from batchsync.data.row.nested_types import LEVELS_MAX, is_too_deep
from batchsync.data.row.prefetch import SMALL_FILE_BYTES, collect_small, iter_batches, iter_ranges
from batchsync.data.row.source_errors import ENGINE_ERRORS, blame_original_path, translate_read_errors
from batchsync.data.row.source_files import SourceFiles
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.core.job import Join, Source

#: Rows of a frame, from the measurements in docs/performance.md: throughput hardly depends on it.
FRAME_ROWS = 25_000


def open_source(source: Source) -> SourceFiles:
    """Locate the files of a source and determine format, columns and types, reading as little as possible.

    Returns:
        The located files with their common schema.

    Raises:
        SourceError: If a file is missing, unreadable, empty or not of its declared format, or if files differ in
            their columns.
    """
    files = locate(source.path, source.folder)
    return _open(files, source, format_of(files[0], source.format))


def open_join(source: Source, join: Join) -> SourceFiles:
    """Return the opened file of a join; its format follows from its ending, CSV settings are those of the source."""
    files = locate(join.path, source.folder)
    return _open(files, source, format_of(files[0], None))


def _open(files: tuple[Path, ...], source: Source, file_format: str) -> SourceFiles:
    """Determine the common schema of the files; raise an error if one differs from the first."""
    first: dict[str, pl.DataType] | None = None
    for path in files:
        with translate_read_errors(path):
            schema = _schema(path, file_format, source)
        reserved = [name for name in schema if name.startswith(PREFIX)]
        if reserved:
            raise SourceError(f"{path}: column names may not begin with {PREFIX!r}", hint="Rename the column.")
        if deep := next((name for name, dtype in schema.items() if is_too_deep(dtype)), None):
            hint = "Export it flatter, or leave the column out."
            raise SourceError(f"{path}: column {deep!r} is nested more than {LEVELS_MAX} levels deep", hint=hint)
        if first is None:
            first = schema
        elif file_format == "jsonl":
            first = _merge_schemas(first, schema, path)
        elif set(schema) != set(first):
            other = ", ".join(sorted(set(schema) ^ set(first))[:5])
            hint = "Files of one glob need the same columns; split the job or fix the export."
            raise SourceError(f"{path} and {files[0].name} differ in columns: {other}", hint=hint)
        elif schema != first:
            other = ", ".join(name for name in first if schema[name] != first[name])
            hint = "Write the files with the same types."
            raise SourceError(f"{path} and {files[0].name} differ in the types of: {other}", hint=hint)
    return SourceFiles(
        files=files,
        format=file_format,
        delimiter=source.delimiter,
        encoding=source.encoding,
        nulls=source.nulls,
        schema=first or {},
        stored=first if file_format == "parquet" else None,
    )


def _schema(path: Path, file_format: str, source: Source) -> dict[str, pl.DataType]:
    """Return the columns and types of a file."""
    if file_format == "csv":
        if len(source.delimiter.encode()) != 1:
            hint = "Use one ASCII character, such as , or ; or a tab."
            raise SourceError(f"{source.place}: {source.delimiter!r} cannot be a delimiter", hint=hint)
        names = csv_validation.read_header(TextFile(path=path, encoding=source.encoding), source.delimiter)
        return dict.fromkeys(names, pl.String())
    if file_format == "parquet":
        return parquet.schema_of(path)
    file = TextFile(path=path, encoding=source.encoding, reader_skips_bom=False)
    with tempfile.TemporaryDirectory() as folder:
        plain = readable_copy(file, Path(folder), fresh=True)
        with blame_original_path(plain, path):
            try:
                return jsonl_validation.schema_of(plain)
            except ENGINE_ERRORS:
                jsonl_validation.raise_first_error(plain)
                raise


def _merge_schemas(first: dict[str, pl.DataType], other: dict[str, pl.DataType], path: Path) -> dict[str, pl.DataType]:
    """Return the common schema of several JSON Lines files; a member without values takes the type of the others."""
    try:
        return jsonl_validation.merge_schemas(first, other)
    except ENGINE_ERRORS:
        names = ", ".join(name for name in first if name in other and first[name] != other[name])
        hint = "Export each member with one type."
        raise SourceError(f"{path} and the files before it differ in the types of: {names}", hint=hint) from None


def frames(source: SourceFiles, work: Path, *, fresh: bool, chunk_rows: int = FRAME_ROWS) -> Iterator[pl.DataFrame]:
    """Read a source as frames with row numbers, without blank lines.

    Args:
        source: The opened source.
        work: Existing folder for copies of text files.
        fresh: Whether to check the files and to renew their copies in `work`; otherwise both are trusted.
        chunk_rows: Number of rows that polars reads from a text file at a time.

    Yields:
        Frames with `ROW` (i64, from 1) and the columns of the source. All but the last cover exactly `FRAME_ROWS`
        rows, blank lines included, however the rows are distributed over files.

    Raises:
        SourceError: If the source cannot be read completely.
    """
    kept: list[pl.DataFrame] = []
    height = 0
    blank_lines = _BlankLines()
    for frame in _iter_chunks(source, work, chunk_rows, blank_lines, fresh=fresh):
        kept.append(frame)
        height += frame.height
        if height >= FRAME_ROWS:
            joined = pl.concat(kept) if len(kept) > 1 else frame
            begin = 0
            while height - begin >= FRAME_ROWS:
                yield blank_lines.drop_from(joined[begin : begin + FRAME_ROWS])
                begin += FRAME_ROWS
            kept = [joined[begin:]] if begin < height else []
            height -= begin
    if kept:
        yield blank_lines.drop_from(pl.concat(kept))


@dataclass(slots=True)
class _BlankLines:
    """Row numbers of blank lines in CSV files, which are not records."""

    rows: list[pl.Series] = field(default_factory=list)

    def find(self, source: SourceFiles, plain: Path, frame: pl.DataFrame, offset: int) -> bool:
        """Search a CSV file for blank lines if the frame has a row of nulls; return whether it was searched."""
        if source.format != "csv" or not source.columns or not frame[source.columns[0]].null_count():
            return False
        if not frame.select(pl.all_horizontal(pl.col(source.columns).is_null()).any()).item():
            return False
        self.rows.append(pl.Series(csv_validation.find_blank_rows(plain), dtype=pl.Int64) + (offset + 1))
        return True

    def drop_from(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame without its blank lines."""
        for rows in self.rows:
            frame = frame.filter(~pl.col(ROW).is_in(rows.implode()))
        return frame


def _iter_chunks(
    source: SourceFiles, work: Path, chunk_rows: int, blank_lines: _BlankLines, *, fresh: bool
) -> Iterator[pl.DataFrame]:
    """Yield the numbered rows of all files in chunks of any size; collect blank lines in `blank_lines`."""
    offset = 0
    with ThreadPoolExecutor(1) as pool:
        for path in source.files:
            with translate_read_errors(path):
                plain = path
                if source.format != "parquet":
                    text = TextFile(path=path, encoding=source.encoding, reader_skips_bom=source.format == "csv")
                    plain = readable_copy(text, work, fresh=fresh)
            validation: Future[None] | None = None
            if source.format != "parquet" and fresh:
                submit = _run_inline if plain.stat().st_size <= SMALL_FILE_BYTES else pool.submit
                validation = submit(_check, source, plain)
            rows, blanks_found, floats_checked = 0, False, not fresh
            with translate_read_errors(path, source, plain, validation):
                for frame in _read_file(source, plain, chunk_rows):
                    rows += frame.height
                    blanks_found = blanks_found or blank_lines.find(source, plain, frame, offset)
                    floats_checked = floats_checked or _check_floats(source, plain, frame)
                    yield frame.with_columns((pl.col(ROW).cast(pl.Int64) + (offset + 1)).alias(ROW))
                if validation is not None:
                    validation.result()
            offset += rows


def _check(source: SourceFiles, plain: Path) -> None:
    """Raise an error if polars would misread a text file without an error."""
    if source.format == "csv":
        csv_validation.check(plain, source.delimiter, len(source.columns))
    else:
        jsonl_validation.check(plain)


def _check_floats(source: SourceFiles, plain: Path, frame: pl.DataFrame) -> bool:
    """Check a JSON Lines file for inexact integers if the frame has large floats; return whether it was checked."""
    if source.format != "jsonl":
        return False
    floats = [name for name, dtype in source.schema.items() if dtype.is_float()]
    is_large = [pl.col(name).abs() >= jsonl_validation.FLOAT_EXACT_MAX for name in floats]
    if not is_large or not frame.select(pl.any_horizontal(is_large).any()).item():
        return False
    jsonl_validation.check_integers(plain, floats)
    return True


def _run_inline(check: Callable[..., None], *arguments: object) -> Future[None]:
    """Call a check without a thread and return its completed future."""
    done: Future[None] = Future()
    try:
        check(*arguments)
        done.set_result(None)
    except (SourceError, OSError, UnicodeError) as error:
        done.set_exception(error)
    return done


def _read_file(source: SourceFiles, plain: Path, chunk_rows: int) -> Iterator[pl.DataFrame]:
    """Read a file at the pace of the consumer."""
    if source.format == "parquet":
        return iter_ranges(_scan(source, plain), parquet.rows_of(plain))
    if plain.stat().st_size <= SMALL_FILE_BYTES:
        return collect_small(_scan(source, plain), FRAME_ROWS)
    return iter_batches(_scan(source, plain), chunk_rows)


def _scan(source: SourceFiles, plain: Path) -> pl.LazyFrame:
    """Scan a file with `ROW` from 0 and the columns in the order of the first file."""
    if source.format == "csv":
        header = csv_validation.read_header(TextFile(path=plain, encoding="utf-8"), source.delimiter)
        rows = pl.scan_csv(
            plain,
            new_columns=list(header),
            separator=source.delimiter,
            infer_schema=False,
            null_values=["", *source.nulls],
            row_index_name=ROW,
            glob=False,
        )
    elif source.format == "parquet":
        rows = parquet.scan(source, plain, row_index=ROW)
    elif not source.schema:
        return pl.LazyFrame(schema={ROW: pl.UInt32})
    else:
        rows = pl.scan_ndjson(glob.escape(str(plain)), schema=source.schema, row_index_name=ROW)
    return rows.select(ROW, *source.values())
