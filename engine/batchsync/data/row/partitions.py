"""A source is cut into parts of exactly so many rows, each of which can be read by itself, wherever that is.

It does not know keys or mappings. A part holds its rows, or says where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from lading.data import parquet, read
from lading.data.files import TextFile, beginning
from lading.data.misread import reading
from lading.data.names import ROW
from lading.data.read import frames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.data.read import Input
    from lading.ports import Size


#: From so many bytes of a text the length of a row is estimated.
_SAMPLE = 1 << 18
#: So many pieces make a part where few rows are to wait.
_PIECES = 5


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a Parquet file: from `begin` (from 0), so many; the first of them is row `row` of the source (from 1)."""

    path: Path
    begin: int
    count: int
    row: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a source with their number in `ROW`: in `rows`, or else where the stretches lie.

    `last` is the number of the last row; `count` how many there are, blank lines left out.
    """

    last: int
    count: int
    given: Input
    rows: pl.DataFrame | None = None
    stretches: tuple[Stretch, ...] = ()

    def read(self) -> pl.DataFrame:
        """Return the rows.

        Raises:
            SourceError: when they cannot be read.
        """
        if self.rows is not None:
            return self.rows
        return pl.concat([_read(one, self.given) for one in self.stretches])


def _read(one: Stretch, given: Input) -> pl.DataFrame:
    """Return one stretch."""
    number = pl.int_range(pl.len(), dtype=pl.Int64) + one.row
    with reading(one.path):
        rows = parquet.scan(given, one.path).select(given.values()).slice(one.begin, one.count)
        return rows.collect(engine="streaming").select(number.alias(ROW), *given.columns)


def parts(given: Input, work: Path, *, fresh: bool, apart: bool) -> Iterator[Part]:
    """Yield the source in parts of exactly FRAME_ROWS rows but for the last, whatever the reader gives.

    `apart` names the rows of Parquet files instead of reading them, and takes others from the reader in small pieces,
    of which fewer rows wait; `fresh` is that of `frames`.

    Raises:
        SourceError: for whatever cannot be read to its end.
    """
    if apart and given.format == "parquet":
        yield from _named(given)
        return
    piece = max(1, read.FRAME_ROWS // _PIECES) if apart else read.FRAME_ROWS
    for frame in frames(given, work, fresh=fresh, piece=piece):
        if frame.height:
            yield Part(int(frame[ROW][-1]), frame.height, given, rows=frame)


def _named(given: Input) -> Iterator[Part]:
    """Yield the parts of Parquet files by name."""
    kept: list[Stretch] = []
    room, row = read.FRAME_ROWS, 1
    for path in given.files:
        with reading(path):
            total = parquet.rows_of(path)
        begin = 0
        while begin < total:
            count = min(room, total - begin)
            kept.append(Stretch(path, begin, count, row))
            begin, row, room = begin + count, row + count, room - count
            if not room:
                yield Part(row - 1, read.FRAME_ROWS, given, stretches=tuple(kept))
                kept, room = [], read.FRAME_ROWS
    if kept:
        yield Part(row - 1, read.FRAME_ROWS - room, given, stretches=tuple(kept))


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a source is: its rows, where that is known beforehand, its bytes, and about how many of them a row has.

    Bytes of packed files are not known.
    """

    rows: int | None = None
    size: int | None = None
    row_size: float = 0.0

    def read(self, rows: int) -> Size | None:
        """Return about how many bytes so many rows are, and how many there are."""
        return None if self.size is None else (min(self.size, round(rows * self.row_size)), self.size)


def extent_of(given: Input) -> Extent:
    """Return how large a source is, from the ends of Parquet files or from the beginning of the first text."""
    size = sum(path.stat().st_size for path in given.files)
    if given.format == "parquet":
        rows = 0
        for path in given.files:
            with reading(path):
                rows += parquet.rows_of(path)
        return Extent(rows, size, size / rows if rows else 0.0)
    files = [TextFile(path=path, encoding=given.encoding, marked=False) for path in given.files]
    if not all(one.plain for one in files):
        return Extent()
    start = beginning(files[0], _SAMPLE)
    lines = start.count(b"\n")
    return Extent(None, size, len(start) / lines) if lines else Extent()
