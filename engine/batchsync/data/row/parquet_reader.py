"""Parquet files: reader with consistent row counts, and types without overflow.

A footer states the number of rows several times, of which polars uses one. polars reads timestamps of the legacy type
INT96 (Spark, Hive, Impala) as nanoseconds unless a schema is passed: times before 1677 or after 2262 silently become
2262-04-11.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.source_path import BUNDLED_FORMATS
from batchsync.data.frame.columns import ROW
from batchsync.data.row.row_reader import LEVELS_MAX, RandomAccessReader, inner_types
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow.parquet as pq

    from batchsync.core.job import Source
    from batchsync.data.row.row_reader import SourceFile, SourceFiles

#: Rows that are read at a time.
RANGE_ROWS = 50_000
_HINT = "Write the file again; a footer that was edited or belongs to another file is the usual cause."
#: Metadata key of the Arrow schema. It states the unit of columns that Arrow wrote as INT96, which polars respects.
_ARROW_SCHEMA = b"ARROW:schema"


class _UnreadableInt96Error(Exception):
    """INT96 in a type that polars never reads as microseconds."""


class ParquetReader(RandomAccessReader):
    """Reader of Parquet files."""

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:  # noqa: ARG002 - no option concerns Parquet
        """Return the columns and types of a file, with microseconds for INT96.

        Raises:
            OSError: If the file cannot be read or is not a Parquet file.
            SourceError: If the footer contradicts itself, a column is nested too deeply, or a map contains INT96.
        """
        try:
            footer = _read_footer(path)
        except OSError as error:
            if "deeply nested" not in str(error):
                raise
            hint = "Export it flatter, or leave the column out."
            raise SourceError(f"{path}: a column is nested more than {LEVELS_MAX} levels deep", hint=hint) from None
        _count_rows(path, footer)
        _check_columns(path, footer)
        schema = dict(pl.scan_parquet(path, glob=False).collect_schema())
        columns = [footer.schema.column(index) for index in range(len(footer.schema))]
        if _ARROW_SCHEMA in (footer.metadata or {}) or all(column.physical_type != "INT96" for column in columns):
            return schema
        is_int96 = iter([column.physical_type == "INT96" for column in columns])
        try:
            return {name: _with_microseconds(kind, is_int96) for name, kind in schema.items()}
        except _UnreadableInt96Error:
            hint = "Leave the column out, or write timestamps as INT64 (Spark: outputTimestampType TIMESTAMP_MICROS)."
            raise SourceError(f"{path}: a map contains INT96 timestamps, which cannot be read", hint=hint) from None

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read a file in ranges of `RANGE_ROWS` rows, prefetching the next range.

        Returns:
            The frames that `RowReader.read` describes.
        """
        rows = pl.scan_parquet(file.path, row_index_name=ROW, glob=False, schema=file.source.stored)
        return iter_ranges(rows.select(ROW, *file.source.values()), self.count_rows(file.path))

    def count_rows(self, path: Path) -> int:
        """Return the number of rows of a file.

        Raises:
            SourceError: If the footer contradicts itself.
        """
        return _count_rows(path, _read_footer(path))

    def read_range(self, source: SourceFiles, path: Path, begin: int, count: int) -> pl.DataFrame:
        """Return consecutive rows of a file; see `RandomAccessReader.read_range`."""
        rows = pl.scan_parquet(path, glob=False, schema=source.stored).select(source.values())
        return rows.slice(begin, count).collect(engine="streaming")

    def unreadable_error(self, path: Path, error: Exception) -> SourceError:
        """Return the error for an incomplete file; a file with another ending may be of another format."""
        if path.suffix.lower() not in BUNDLED_FORMATS["parquet"]:
            return super().unreadable_error(path, error)
        hint = "Write it again; an incomplete download is the usual cause."
        return SourceError(f"{path} is not a complete Parquet file", hint=hint)


def iter_ranges(rows: pl.LazyFrame, total: int) -> Iterator[pl.DataFrame]:
    """Read a query that supports random access in ranges, prefetching the next range.

    Args:
        rows: A query whose slices can be read without the rows before them, such as a Parquet scan.
        total: Number of its rows.

    Yields:
        Frames of at most `RANGE_ROWS` rows, in order.
    """
    if total <= RANGE_ROWS:
        if total:
            yield _read_range(rows, 0)
        return
    with ThreadPoolExecutor(1) as pool:
        prefetched: Future[pl.DataFrame] | None = None
        for begin in range(0, total, RANGE_ROWS):
            current = prefetched or pool.submit(_read_range, rows, begin)
            found = current.result()
            prefetched = pool.submit(_read_range, rows, begin + RANGE_ROWS) if begin + RANGE_ROWS < total else None
            yield found


def _read_range(rows: pl.LazyFrame, begin: int) -> pl.DataFrame:
    """Return `RANGE_ROWS` rows from an index on."""
    return rows.slice(begin, RANGE_ROWS).collect(engine="streaming")


def _read_footer(path: Path) -> pq.FileMetaData:
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import, and not needed for other formats

    return pq.read_metadata(path)


def _count_rows(path: Path, footer: pq.FileMetaData) -> int:
    """Return the number of rows; raise an error if the footer states two numbers."""
    found: int = sum(footer.row_group(index).num_rows for index in range(footer.num_row_groups))
    if footer.num_rows != found:
        problem = f"the footer states {footer.num_rows} rows, its row groups contain {found}"
        raise SourceError(f"{path}: {problem}", hint=_HINT)
    return found


def _check_columns(path: Path, footer: pq.FileMetaData) -> None:
    """Raise an error if the number of values of a column differs from the number of rows in a row group."""
    # Columns within lists have any number of values per row.
    columns = [index for index in range(footer.num_columns) if not footer.schema.column(index).max_repetition_level]
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for column in columns:
            found = group.column(column).num_values
            if found != group.num_rows:
                location = f"row group {number}, column {footer.schema.column(column).path!r}"
                raise SourceError(f"{path}: {location}: {found} values for {group.num_rows} rows", hint=_HINT)


def _with_microseconds(kind: pl.DataType, is_int96: Iterator[bool]) -> pl.DataType:
    """Return a type with microseconds for each stored column that is INT96, in the order of the footer.

    Raises:
        _UnreadableInt96Error: If a map contains INT96; polars reads its values as nanoseconds whatever the schema.
    """
    inner = [_with_microseconds(dtype, is_int96) for dtype in inner_types(kind)]
    match kind:
        case pl.Struct():
            return pl.Struct({field.name: dtype for field, dtype in zip(kind.fields, inner, strict=True)})
        case pl.Map():
            if inner != [kind.key, kind.value]:
                raise _UnreadableInt96Error
            return kind
        case pl.List():
            return pl.List(inner[0])
        case pl.Array():
            return pl.Array(inner[0], kind.shape[0])
        case _:
            return pl.Datetime("us", kind.time_zone) if next(is_int96) and isinstance(kind, pl.Datetime) else kind
