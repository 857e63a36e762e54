"""Group source rows by key, in the order in which their keys first occur.

Rows sorted by key are grouped as they come; others are spilled to files by the first row of their record, and one file
is in memory at a time. Both ways give equal frames.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns
from batchsync.data.frame.hashes import partition_of_key
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.row.partitions import FRAME_ROWS
from batchsync.util.parquet_writer import ParquetWriter, Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: Minimum source rows of one file, and maximum number of files.
MIN_FILE_ROWS = 250_000
MAX_FILES = 64


def spill(frames: Iterable[pl.DataFrame], schema: Schema, workdir: Path) -> None:
    """Write keyed rows to files `grouped-*.parquet`.

    Args:
        frames: Keyed rows in source order, with the columns of `schema`.
        schema: Columns of the frames, among them `ROW: i64` and `KEY: str`.
        workdir: Existing folder of the files; older ones are deleted. `HEAD: i64` (first row of the record) is added.
    """
    for leftover in workdir.glob("grouped-*.parquet"):
        leftover.unlink()
    grouped_schema: Schema = {**schema, columns.HEAD: pl.Int64}
    last = 0
    with PartitionedSpill(workdir, "keyed", schema) as by_key, ExitStack() as stack:
        for frame in frames:
            by_key.add(frame, partition_of_key(columns.KEY))
            last = max(last, int(frame[columns.ROW][-1]) if frame.height else 0)
        by_key.finish()
        file_rows = max(MIN_FILE_ROWS, -(-last // MAX_FILES))
        writers: dict[int, ParquetWriter] = {}
        for part in by_key.partitions():
            head = pl.col(columns.ROW).min().over(columns.KEY).alias(columns.HEAD)
            numbered = part.with_columns(head).with_columns(
                ((pl.col(columns.HEAD) - 1) // file_rows).alias("batchsync:file")
            )
            for (number,), rows in numbered.partition_by("batchsync:file", as_dict=True, include_key=False).items():
                if number not in writers:
                    writers[number] = stack.enter_context(
                        ParquetWriter(workdir / f"grouped-{number:06d}.parquet", grouped_schema)
                    )
                writers[number].add(rows)


def iter_groups(workdir: Path) -> Iterator[pl.DataFrame]:
    """Yield frames of whole records, in source order, of about FRAME_ROWS rows."""
    yield from whole_records(
        pl.read_parquet(path, glob=False).sort(columns.HEAD, columns.ROW) for path in _files(workdir)
    )


def _files(workdir: Path) -> list[Path]:
    """Return the files of `spill`, by source row."""
    return sorted(workdir.glob("grouped-*.parquet"))


def iter_sorted_groups(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the same frames as `iter_groups` after `spill`, of rows that are sorted by their key.

    Args:
        frames: Keyed rows in source order, with `ROW: i64` and `KEY: str`.

    Yields:
        The frames with `HEAD: i64`, the first row of the record.
    """
    order = _KeyOrder()
    head = pl.when(pl.col(columns.KEY).ne_missing(pl.col(columns.KEY).shift())).then(columns.ROW).forward_fill()

    def with_heads() -> Iterator[pl.DataFrame]:
        last: pl.DataFrame | None = None
        for frame in frames:
            if not frame.height:
                continue
            order.check(frame[columns.KEY])
            rows = frame.with_columns(head.alias(columns.HEAD))
            if last is not None and last[columns.KEY][0] == frame[columns.KEY][0]:
                same_record = pl.col(columns.HEAD) == rows[columns.HEAD][0]
                rows = rows.with_columns(
                    pl.when(same_record).then(last[columns.HEAD][0]).otherwise(columns.HEAD).alias(columns.HEAD)
                )
            last = rows.select(columns.KEY, columns.HEAD)[-1:]
            yield rows

    yield from whole_records(with_heads())


def whole_records(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield rows, sorted by HEAD and ROW, in frames of whole records that do not depend on the frames given.

    A frame is the fewest whole records with FRAME_ROWS rows.
    """
    rest: pl.DataFrame | None = None
    for frame in frames:
        rows = frame if rest is None else pl.concat([rest, frame])
        heads = rows[columns.HEAD]
        begin = 0
        while begin + FRAME_ROWS < rows.height:
            end = int(heads.search_sorted(heads[begin + FRAME_ROWS - 1], side="right"))
            if end == rows.height:
                # The next rows may belong to the last record.
                break
            yield rows[begin:end]
            begin = end
        rest = rows[begin:]
    if rest is not None and rest.height:
        yield rest


class UnsortedError(Exception):
    """A source is not sorted by its key."""


class _KeyOrder:
    """Sort orders that all keys so far are in: as strings or as integers, ascending or descending."""

    def __init__(self) -> None:
        """Start with all four orders."""
        self._orders = [(kind, descending) for kind in (pl.String(), pl.Int64()) for descending in (False, True)]
        self._last = pl.Series([], dtype=pl.String)

    def check(self, keys: pl.Series) -> None:
        """Check the next keys.

        Raises:
            UnsortedError: If no order is left.
        """
        keys_with_last = pl.concat([self._last, keys.alias("")])
        self._last = keys_with_last[-1:]
        runs = keys_with_last.filter(keys_with_last.ne_missing(keys_with_last.shift()))
        self._orders = [order for order in self._orders if _is_sorted(runs, order)]
        if not self._orders:
            raise UnsortedError


def _is_sorted(runs: pl.Series, order: tuple[pl.DataType, bool]) -> bool:
    """Return whether keys, none equal to its predecessor, are in an order in which no key can occur again."""
    kind, descending = order
    values = runs if kind == pl.String else runs.cast(kind, strict=False)
    if values.null_count():
        return False
    before, after = values[:-1], values[1:]
    return bool(((after < before) if descending else (after > before)).all())
