"""Parquet files: reader of the columns that are used, with polars, or with pyarrow where polars cannot."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from batchsync.core.source_path import BUNDLED_FORMATS
from batchsync.data.frame.columns import ROW
from batchsync.data.row.row_reader import SMALL_FILE_BYTES, RandomAccessReader, engine_errors
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from batchsync.core.job import Source
    from batchsync.data.row.parquet_layout import ParquetLayout
    from batchsync.data.row.row_reader import SourceFile, SourceFiles

#: Rows that are read at a time.
RANGE_ROWS = 50_000
#: Maximum number of characters of a reason of pyarrow in a message.
_REASON_MAX = 200


class ParquetReader(RandomAccessReader):
    """Reader of Parquet files."""

    reads_used_columns: ClassVar[bool] = True
    merges_types: ClassVar[bool] = True

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:  # noqa: ARG002 - no option concerns Parquet
        """Return the columns and types of a file: microseconds for INT96, text for UUIDs, 64 bits for floats.

        Raises:
            OSError: If the file cannot be read or is not a Parquet file.
            SourceError: If the footer contradicts itself or the file, or a column is nested too deeply.
        """
        return _layout_of(path).schema

    def unreadable(self, path: Path, source: Source) -> Mapping[str, str]:  # noqa: ARG002 - as above
        """Return the columns of a file that cannot be read, each with the reason."""
        return _layout_of(path).unreadable

    def check(self, file: SourceFile) -> None:
        """Decode the used columns of a small file with pyarrow, which refuses pages for which polars aborts."""
        layout = _layout_of(file.path)
        if layout.arrow_types is None and file.path.stat().st_size <= SMALL_FILE_BYTES:
            _rows().decode(file.source, file.path, layout, RANGE_ROWS)

    def raise_first_error(self, file: SourceFile) -> None:
        """Decode the used columns one by one, and raise an error for the first that cannot be decoded.

        Raises:
            SourceError: If there is one; the message names the column and the reason.
        """
        layout = _layout_of(file.path)
        for name in file.source.schema:
            single = file.source.used({name})
            try:
                _rows().decode(single, file.path, layout, RANGE_ROWS)
                for _ in self.read(replace(file, source=single)):
                    pass
            except (*engine_errors(), OSError) as error:
                reason = _reason(error)
                message = f"{file.path}: column {name!r} cannot be decoded: {reason}"
                raise SourceError(message, hint="Write the file again; check it with another reader.") from None

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read a file in ranges of `RANGE_ROWS` rows, prefetching the next range.

        Yields:
            The frames that `RowReader.read` describes.
        """
        layout = _layout_of(file.path)
        if layout.arrow_types is None:
            rows = pl.scan_parquet(file.path, row_index_name=ROW, glob=False, schema=layout.stored)
            yield from iter_ranges(rows.select(ROW, *_rows().values_of(file.source, layout)), layout.rows)
            return
        yield from _rows().iter_with_arrow(file.source, file.path, layout, range(layout.rows), RANGE_ROWS)

    def count_rows(self, path: Path) -> int:
        """Return the number of rows of a file.

        Raises:
            SourceError: If the footer contradicts itself.
        """
        return _layout_of(path).rows

    def read_range(self, source: SourceFiles, path: Path, begin: int, count: int) -> pl.DataFrame:
        """Return consecutive rows of a file; see `RandomAccessReader.read_range`."""
        layout = _layout_of(path)
        if layout.arrow_types is None:
            rows = pl.scan_parquet(path, glob=False, schema=layout.stored, row_index_name=ROW)
            values = rows.select(ROW, *_rows().values_of(source, layout))
            return values.slice(begin, count).drop(ROW).collect(engine="streaming")
        span = range(begin, begin + count)
        frames: list[pl.DataFrame] = list(_rows().iter_with_arrow(source, path, layout, span, RANGE_ROWS))
        return pl.concat(frames).drop(ROW)

    def unreadable_error(self, path: Path, error: Exception) -> SourceError:
        """Return the error for an incomplete file; a file with another ending may be of another format."""
        if path.suffix.lower() not in BUNDLED_FORMATS["parquet"]:
            return super().unreadable_error(path, error)
        hint = "Write it again; an incomplete download is the usual cause."
        return SourceError(f"{path} is not a complete Parquet file", hint=hint)


def _layout_of(path: Path) -> ParquetLayout:
    """Return the layout of a file."""
    from batchsync.data.row.parquet_layout import layout_of  # noqa: PLC0415 - imports pyarrow, which is slow

    return layout_of(path)


def _rows() -> ModuleType:
    """Return the functions that read rows with pyarrow."""
    from batchsync.data.row import parquet_rows  # noqa: PLC0415 - as above

    return parquet_rows


def _reason(error: Exception) -> str:
    """Return why a column cannot be decoded; messages of polars about other subjects may contain values."""
    text = str(error).partition("\n")[0].rstrip(".")[:_REASON_MAX]
    is_about_file = not isinstance(error, pl.exceptions.PolarsError) or text.startswith("parquet:")
    return text if is_about_file else type(error).__name__


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
