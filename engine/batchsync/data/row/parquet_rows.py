"""Rows of a Parquet file read by pyarrow, and the columns of a source as expressions over those of a file.

Imports pyarrow, which is slow: import this module where a file is read.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from batchsync.data.frame.columns import ROW
from batchsync.data.row.row_reader import engine_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.data.row.parquet_layout import ParquetLayout
    from batchsync.data.row.row_reader import SourceFiles


def values_of(source: SourceFiles, layout: ParquetLayout) -> list[pl.Expr]:
    """Return the columns of a source as expressions over the stored columns of a file; columns it lacks are null."""
    stored = {name: (layout.value(name), layout.dtype(name)) for name in _used(source, layout)}
    return source.values_of(stored)


def iter_with_arrow(
    source: SourceFiles, path: Path, layout: ParquetLayout, rows: range, batch_rows: int
) -> Iterator[pl.DataFrame]:
    """Read consecutive rows of a file with pyarrow.

    Args:
        source: The opened source.
        path: One of its files.
        layout: The layout of the file, with `arrow_types`.
        rows: Indexes of the rows, from 0.
        batch_rows: Maximum number of rows of a frame.

    Yields:
        Frames with `ROW` and the columns of the source; at least one.
    """
    names, types = _used(source, layout), layout.arrow_types or {}
    values = values_of(source, layout)
    for first, table in _iter_tables(path, names, rows, batch_rows):
        columns = [table.column(name).cast(types[name]) for name in names]
        row = pa.array(range(first, first + table.num_rows), pa.int64())
        frame = pl.from_arrow(pa.table([row, *columns], names=[ROW, *names]))
        yield pl.DataFrame(frame).select(ROW, *values)


def decode(source: SourceFiles, path: Path, layout: ParquetLayout, batch_rows: int) -> None:
    """Decode the columns of a source in a file, without a result.

    Args:
        source: The opened source.
        path: One of its files.
        layout: The layout of the file.
        batch_rows: Number of rows at a time.

    Raises:
        pyarrow.ArrowException: If they cannot be decoded; also as OSError.
    """
    for _ in _iter_tables(path, _used(source, layout), range(layout.rows), batch_rows):
        pass


def try_reading(path: Path, layout: ParquetLayout, names: list[str], batch_rows: int) -> None:
    """Read columns of a file by each library by which it is read, whether or not they can be read.

    Args:
        path: The file.
        layout: Its layout.
        names: Names of the columns.
        batch_rows: Number of rows at a time.
    """
    with suppress(*engine_errors(), OSError):
        for _ in _iter_tables(path, names, range(layout.rows), batch_rows):
            pass
    if layout.arrow_types is None:
        rows = pl.scan_parquet(path, glob=False, schema=layout.stored).select(names)
        with suppress(*engine_errors(), OSError):
            for begin in range(0, layout.rows, batch_rows):
                rows.slice(begin, batch_rows).collect(engine="streaming")


def _used(source: SourceFiles, layout: ParquetLayout) -> list[str]:
    """Return the columns of a source that a file stores."""
    return [name for name in source.schema if name in layout.stored]


def _iter_tables(path: Path, names: list[str], rows: range, batch_rows: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield consecutive rows of a file as tables, each with the index of its first row; at least one table."""
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
        counts = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
        begins = [end - count for end, count in zip(accumulate(counts), counts, strict=True)]
        pairs = enumerate(zip(begins, counts, strict=True))
        groups = [index for index, (begin, count) in pairs if begin < rows.stop and begin + count > rows.start]
        first = begins[groups[0]] if groups else 0
        for batch in file.iter_batches(batch_size=batch_rows, row_groups=groups, columns=names) if groups else ():
            lower, upper = max(rows.start, first), min(rows.stop, first + batch.num_rows)
            if lower < upper:
                yield lower, pa.Table.from_batches([batch.slice(lower - first, upper - lower)])
            first += batch.num_rows
        if not rows:
            yield rows.start, file.schema_arrow.empty_table()
