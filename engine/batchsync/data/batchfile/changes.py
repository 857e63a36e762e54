"""Reader of `changes.parquet`: which rows of the source are sent, in order of their rows, with removals last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from batchsync.data.frame import columns
from batchsync.data.row.reader import FRAME_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: What stands in `changes.parquet`.
CHANGES = {"row": pl.Int64, "key": pl.String, "op": pl.String, "fingerprint": pl.Binary}


#: A source may have columns with the plain names.
_INTERNAL = {"row": columns.SENT_ROW, "key": columns.SENT_KEY, "op": columns.OP, "fingerprint": columns.SENT_AS}


_STRETCH = 100_000


class Changes:
    """The changes of a comparison, handed out by ascending source row, a stretch of the file in memory at a time."""

    def __init__(self, folder: Path) -> None:
        """Count them; nothing is read before it is asked for."""
        file = folder / "changes.parquet"
        self._rows = pl.scan_parquet(file, glob=False).rename(_INTERNAL)
        if pq.read_metadata(file).num_rows <= _STRETCH:
            # It is read once then, and not once for each question.
            self._rows = self._rows.collect().lazy()
        counted = self._rows.select(all=pl.len(), removed=(pl.col(columns.OP) == "remove").sum()).collect()
        self.total, removed = int(counted["all"][0]), int(counted["removed"][0] or 0)
        self.sent = self.total - removed
        self._next = 0
        self._rest = self._read(0)

    def _read(self, count: int) -> pl.DataFrame:
        """Return the next rows of the file that are no removals."""
        found = self._rows.slice(self._next, min(count, self.sent - self._next)).collect()
        self._next += found.height
        return found

    def until(self, row: int) -> pl.DataFrame:
        """Return the changes up to this source row that were not handed out."""
        while self._next < self.sent and not (self._rest.height and self._rest[columns.SENT_ROW][-1] > row):
            self._rest = pl.concat([self._rest, self._read(_STRETCH)])
        end = int(self._rest[columns.SENT_ROW].search_sorted(row, side="right"))
        found, self._rest = self._rest[:end], self._rest[end:]
        return found

    def removals(self) -> Iterator[pl.DataFrame]:
        """Yield the removals in frames of FRAME_ROWS."""
        for begin in range(self.sent, self.total, FRAME_ROWS):
            yield self._rows.slice(begin, FRAME_ROWS).collect()
