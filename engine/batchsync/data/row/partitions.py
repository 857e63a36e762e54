"""A source is cut into parts of exactly so many rows, each of which can be read by itself, wherever that is.

It does not know keys or mappings. A part holds its rows, or says where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.columns import ROW
from batchsync.data.row import parquet, reader
from batchsync.data.row.files import TextFile, beginning
from batchsync.data.row.reader import frames
from batchsync.data.row.source_errors import translate_read_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.data.row.source_files import SourceFiles
    from batchsync.ports import Size


#: From so many bytes of a text the length of a row is estimated.
_SAMPLE = 1 << 18
#: So many pieces make a part where few rows are to wait.
_PIECES = 5


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows of a Parquet file: from `begin` (from 0), so many; the first of them is row `row` of the source (from 1)."""

    path: Path
    begin: int
    count: int
    row: int


@dataclass(frozen=True, slots=True)
class Partition:
    """Some rows of a source with their number in `ROW`: in `rows`, or else where the stretches lie.

    `last` is the number of the last row; `count` how many there are, blank lines left out.
    """

    last: int
    count: int
    given: SourceFiles
    rows: pl.DataFrame | None = None
    stretches: tuple[RowRange, ...] = ()

    def read(self) -> pl.DataFrame:
        """Return the rows.

        Raises:
            SourceError: when they cannot be read.
        """
        if self.rows is not None:
            return self.rows
        return pl.concat([_read(stretche, self.given) for stretche in self.stretches])


def _read(one: RowRange, given: SourceFiles) -> pl.DataFrame:
    """Return one stretch."""
    number = pl.int_range(pl.len(), dtype=pl.Int64) + one.row
    with translate_read_errors(one.path):
        rows = parquet.scan(given, one.path).select(given.values()).slice(one.begin, one.count)
        return rows.collect(engine="streaming").select(number.alias(ROW), *given.columns)


def partitions(given: SourceFiles, work: Path, *, fresh: bool, apart: bool) -> Iterator[Partition]:
    """Yield the source in parts of exactly FRAME_ROWS rows but for the last, whatever the reader gives.

    `apart` names the rows of Parquet files instead of reading them, and takes others from the reader in small pieces,
    of which fewer rows wait; `fresh` is that of `frames`.

    Raises:
        SourceError: for whatever cannot be read to its end.
    """
    if apart and given.format == "parquet":
        yield from _named(given)
        return
    piece = max(1, reader.FRAME_ROWS // _PIECES) if apart else reader.FRAME_ROWS
    for frame in frames(given, work, fresh=fresh, piece=piece):
        if frame.height:
            yield Partition(int(frame[ROW][-1]), frame.height, given, rows=frame)


def _named(given: SourceFiles) -> Iterator[Partition]:
    """Yield the parts of Parquet files by name."""
    kept: list[RowRange] = []
    room, row = reader.FRAME_ROWS, 1
    for path in given.files:
        with translate_read_errors(path):
            total = parquet.rows_of(path)
        begin = 0
        while begin < total:
            count = min(room, total - begin)
            kept.append(RowRange(path, begin, count, row))
            begin, row, room = begin + count, row + count, room - count
            if not room:
                yield Partition(row - 1, reader.FRAME_ROWS, given, stretches=tuple(kept))
                kept, room = [], reader.FRAME_ROWS
    if kept:
        yield Partition(row - 1, reader.FRAME_ROWS - room, given, stretches=tuple(kept))


@dataclass(frozen=True, slots=True)
class SourceSize:
    """How large a source is: its rows, where that is known beforehand, its bytes, and about how many of them a row has.

    Bytes of packed files are not known.
    """

    rows: int | None = None
    size: int | None = None
    row_size: float = 0.0

    def read(self, rows: int) -> Size | None:
        """Return about how many bytes so many rows are, and how many there are."""
        return None if self.size is None else (min(self.size, round(rows * self.row_size)), self.size)


def source_size(given: SourceFiles) -> SourceSize:
    """Return how large a source is, from the ends of Parquet files or from the beginning of the first text."""
    size = sum(path.stat().st_size for path in given.files)
    if given.format == "parquet":
        rows = 0
        for path in given.files:
            with translate_read_errors(path):
                rows += parquet.rows_of(path)
        return SourceSize(rows, size, size / rows if rows else 0.0)
    files = [TextFile(path=path, encoding=given.encoding, marked=False) for path in given.files]
    if not all(file.plain for file in files):
        return SourceSize()
    start = beginning(files[0], _SAMPLE)
    lines = start.count(b"\n")
    return SourceSize(None, size, len(start) / lines) if lines else SourceSize()
