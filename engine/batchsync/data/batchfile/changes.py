"""Reader of `changes.parquet`: rows to send in source order, removals last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from batchsync.data.frame import columns
from batchsync.data.row.partitions import FRAME_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: Columns of `changes.parquet`: `op` is add, change or remove; `row` is 0 for a removal.
CHANGES = {"row": pl.Int64, "key": pl.String, "op": pl.String, "fingerprint": pl.Binary}


#: Names of the columns within a frame of the source, because a source may have columns of the plain names.
INTERNAL = {
    "row": columns.SENT_ROW,
    "key": columns.SENT_KEY,
    "op": columns.OP,
    "fingerprint": columns.SENT_FINGERPRINT,
}


_CHUNK_ROWS = 100_000


class Changes:
    """Changes of a comparison, handed out by ascending source row; one chunk of the file is in memory at a time."""

    def __init__(self, folder: Path) -> None:
        """Count the changes in `folder`, which has no file without changes; rows are read on demand."""
        file = folder / "changes.parquet"
        self._rows = pl.LazyFrame(schema=CHANGES)
        if file.exists():
            self._rows = pl.scan_parquet(file, glob=False)
        self._rows = self._rows.rename(INTERNAL)
        if file.exists() and pq.read_metadata(file).num_rows <= _CHUNK_ROWS:
            # A small file is read once instead of once per query.
            self._rows = self._rows.collect().lazy()
        counts = self._rows.select(all=pl.len(), removed=(pl.col(columns.OP) == "remove").sum()).collect()
        self.total, removed = int(counts["all"][0]), int(counts["removed"][0] or 0)
        self.sent = self.total - removed
        self._next = 0
        self._rest = self._read(0)

    def _read(self, count: int) -> pl.DataFrame:
        """Return the next rows of the file that are not removals."""
        found = self._rows.slice(self._next, min(count, self.sent - self._next)).collect()
        self._next += found.height
        return found

    def until(self, row: int) -> pl.DataFrame:
        """Return the changes up to a source row that were not handed out yet.

        Args:
            row: Source row, from 1.

        Returns:
            The columns `SENT_ROW: i64, SENT_KEY: str, OP: str, SENT_FINGERPRINT: bytes[21]`, sorted by `SENT_ROW`.
        """
        while self._next < self.sent and not (self._rest.height and self._rest[columns.SENT_ROW][-1] > row):
            self._rest = pl.concat([self._rest, self._read(_CHUNK_ROWS)])
        end = int(self._rest[columns.SENT_ROW].search_sorted(row, side="right"))
        found, self._rest = self._rest[:end], self._rest[end:]
        return found

    @property
    def exhausted(self) -> bool:
        """Whether all changes that are not removals were handed out."""
        return self._next >= self.sent and not self._rest.height

    def removals(self) -> Iterator[pl.DataFrame]:
        """Yield the removals in frames of FRAME_ROWS, with the columns of `until`."""
        for begin in range(self.sent, self.total, FRAME_ROWS):
            yield self._rows.slice(begin, FRAME_ROWS).collect()
