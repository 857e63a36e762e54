"""Partitions of a source with a fixed number of rows, which contain their rows or reference them in Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.columns import ROW
from batchsync.data.row import parquet, reader
from batchsync.data.row.files import TextFile, read_beginning
from batchsync.data.row.reader import frames
from batchsync.data.row.source_errors import translate_read_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.data.row.source_files import SourceFiles
    from batchsync.ports import Size


#: Bytes of a text file from which the length of a row is estimated.
_SAMPLE_BYTES = 1 << 18
#: Number of chunks per partition if few rows are to be buffered.
_CHUNKS = 5


@dataclass(frozen=True, slots=True)
class RowRange:
    """Consecutive rows of a Parquet file.

    Attributes:
        path: The file.
        begin: Index of the first row in the file, from 0.
        count: Number of rows.
        row: Row number of the first row in the source, from 1.
    """

    path: Path
    begin: int
    count: int
    row: int


@dataclass(frozen=True, slots=True)
class Partition:
    """Consecutive rows of a source, contained in `rows` or referenced by `ranges`.

    Attributes:
        last: Row number of the last row.
        count: Number of rows without blank lines.
        source: The source.
        rows: The rows with the columns of the source and `ROW`, if the partition contains them.
        ranges: Location of the rows otherwise.
    """

    last: int
    count: int
    source: SourceFiles
    rows: pl.DataFrame | None = None
    ranges: tuple[RowRange, ...] = ()

    def read(self) -> pl.DataFrame:
        """Return the rows with the columns of the source and `ROW`.

        Raises:
            SourceError: If they cannot be read.
        """
        if self.rows is not None:
            return self.rows
        return pl.concat([_read_range(row_range, self.source) for row_range in self.ranges])


def _read_range(row_range: RowRange, source: SourceFiles) -> pl.DataFrame:
    """Return the rows of a range with their numbers."""
    number = pl.int_range(pl.len(), dtype=pl.Int64) + row_range.row
    with translate_read_errors(row_range.path):
        rows = parquet.scan(source, row_range.path).select(source.values()).slice(row_range.begin, row_range.count)
        return rows.collect(engine="streaming").select(number.alias(ROW), *source.columns)


def partitions(source: SourceFiles, work: Path, *, fresh: bool, by_reference: bool) -> Iterator[Partition]:
    """Split a source into partitions of exactly `FRAME_ROWS` rows, except for the last.

    Args:
        source: The opened source.
        work: Existing folder for copies of text files.
        fresh: Whether to check the files and to renew their copies; see `frames`.
        by_reference: Whether to reference rows of Parquet files instead of reading them, and to buffer fewer rows of
            text files.

    Yields:
        The partitions in the order of the source.

    Raises:
        SourceError: If the source cannot be read completely.
    """
    if by_reference and source.format == "parquet":
        yield from _iter_references(source)
        return
    chunk_rows = max(1, reader.FRAME_ROWS // _CHUNKS) if by_reference else reader.FRAME_ROWS
    for frame in frames(source, work, fresh=fresh, chunk_rows=chunk_rows):
        if frame.height:
            yield Partition(int(frame[ROW][-1]), frame.height, source, rows=frame)


def _iter_references(source: SourceFiles) -> Iterator[Partition]:
    """Yield partitions that reference rows of Parquet files."""
    kept: list[RowRange] = []
    room, row = reader.FRAME_ROWS, 1
    for path in source.files:
        with translate_read_errors(path):
            total = parquet.rows_of(path)
        begin = 0
        while begin < total:
            count = min(room, total - begin)
            kept.append(RowRange(path, begin, count, row))
            begin, row, room = begin + count, row + count, room - count
            if not room:
                yield Partition(row - 1, reader.FRAME_ROWS, source, ranges=tuple(kept))
                kept, room = [], reader.FRAME_ROWS
    if kept:
        yield Partition(row - 1, reader.FRAME_ROWS - room, source, ranges=tuple(kept))


@dataclass(frozen=True, slots=True)
class SourceSize:
    """Size of a source, as far as it is known before reading.

    Attributes:
        rows: Number of rows; None for text files.
        size: Size of the files in bytes; None for compressed or recoded text.
        row_size: Estimated bytes per row.
    """

    rows: int | None = None
    size: int | None = None
    row_size: float = 0.0

    def read(self, rows: int) -> Size | None:
        """Return the estimated bytes of this many rows and the bytes of the source, or None if unknown."""
        return None if self.size is None else (min(self.size, round(rows * self.row_size)), self.size)


def source_size(source: SourceFiles) -> SourceSize:
    """Return the size of a source, from the footers of Parquet files or the beginning of the first text file."""
    size = sum(path.stat().st_size for path in source.files)
    if source.format == "parquet":
        rows = 0
        for path in source.files:
            with translate_read_errors(path):
                rows += parquet.rows_of(path)
        return SourceSize(rows, size, size / rows if rows else 0.0)
    files = [TextFile(path=path, encoding=source.encoding, reader_skips_bom=False) for path in source.files]
    if not all(file.is_readable_in_place for file in files):
        return SourceSize()
    start = read_beginning(files[0], _SAMPLE_BYTES)
    lines = start.count(b"\n")
    return SourceSize(None, size, len(start) / lines) if lines else SourceSize()
