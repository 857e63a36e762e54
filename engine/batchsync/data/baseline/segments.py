"""A segment of a baseline is written once, in the order of its keys' hashes, and any stretch of hashes is read alone.

It does not know what other segments say. Files of older releases, one segment each, are read too; one that is in no
order is put in order in memory.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from lading.data.scatter import BITS, HASH, end_of, hashed, in_hash_order
from lading.data.spool import Spool, digest_of, settle_on_disk
from lading.folders import make_private
from lading.ports import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: What stands in a segment.
SEGMENT = {
    "key": pl.String,
    "accepted": pl.Binary,
    "last": pl.Binary,
    "last_state": pl.UInt8,
    "as_before": pl.Boolean,
}
#: Rows of one stretch of a file, at most, as long as hashes are even.
STRETCH = 65_536
_ORDER, _ENDS = b"lading.order", b"lading.ends"
_MARK = {_ORDER: b"xxh3_64"}


def parts_for(rows: int) -> int:
    """Return in how many stretches of hashes, a power of two, rows are written and gone through."""
    return 1 << (max(0, rows - 1) // STRETCH).bit_length()


class Opened:
    """The rows of one segment with the hashes of their keys, by stretches of hashes."""

    def __init__(self, segment: Segment) -> None:
        """Look at what the file says of itself; rows are read when they are asked for."""
        self._path = segment.path
        schema = pq.read_schema(segment.path)
        marks = schema.metadata or {}
        self._as_before = "as_before" in schema.names
        self._sorted: pl.DataFrame | None = None
        if _ENDS in marks:
            self._ends: list[int] = json.loads(marks[_ENDS])
        elif marks.get(_ORDER) == _MARK[_ORDER]:
            self._ends = self._looked_up()
        else:
            self._sorted = in_hash_order(self._read(0, None), "key")
            self._ends = [self._sorted.height]
        self._parts = len(self._ends)
        self._next = 0
        self._rest = self._rows(0, 0)

    def _read(self, begin: int, rows: int | None) -> pl.DataFrame:
        """Return rows of the file with the hashes of their keys."""
        found = pl.scan_parquet(self._path, glob=False).slice(begin, rows)
        if not self._as_before:
            found = found.with_columns(pl.lit(value=False).alias("as_before"))
        return found.select(*SEGMENT).collect().with_columns(hashed("key"))

    def _looked_up(self) -> list[int]:
        """Return where each stretch ends in a file that is in order and does not say it."""
        keys = pl.scan_parquet(self._path, glob=False).select("key")
        total = keys.select(pl.len()).collect().item()
        parts = parts_for(total)
        if parts == 1:
            return [total]
        part = hashed("key") // (1 << (BITS + 1 - parts.bit_length()))
        counts = [0] * parts
        for begin in range(0, total, STRETCH):
            for number, count in keys.slice(begin, STRETCH).collect().select(part)[HASH].value_counts().iter_rows():
                counts[number] += count
        return list(accumulate(counts))

    def _rows(self, first: int, end: int) -> pl.DataFrame:
        """Return the rows of some stretches."""
        begin = self._ends[first - 1] if first else 0
        rows = (self._ends[end - 1] if end else 0) - begin
        if rows <= 0:
            return pl.DataFrame(schema={**SEGMENT, HASH: pl.UInt64})
        return self._sorted[begin : begin + rows] if self._sorted is not None else self._read(begin, rows)

    def until(self, limit: int) -> pl.DataFrame:
        """Return the rows that were not handed out here before and whose hash is below the limit, in order."""
        end = min(self._parts, -(-limit * self._parts >> BITS))
        if end > self._next:
            more = self._rows(self._next, end)
            self._rest = pl.concat([self._rest, more]) if self._rest.height else more
            self._next = end
        if limit >= end_of(end - 1, self._parts):
            found, self._rest = self._rest, self._rest.clear()
            return found
        cut = int(self._rest[HASH].search_sorted(limit))
        found, self._rest = self._rest[:cut], self._rest[cut:]
        return found

    def about(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of some keys, given with their hashes; only stretches that can hold them are read."""
        wide = BITS + 1 - self._parts.bit_length()
        parts = sorted({one >> wide for one in keys[HASH]})
        found = [self._rows(one, one + 1).join(keys, on=["key", HASH], how="semi") for one in parts]
        return pl.concat([self._rows(0, 0), *found])


def written(stretches: Iterable[pl.DataFrame], into: Path) -> Segment:
    """Return stretches, all the equal parts of the hashes in order, as a new segment, whole on the disk."""
    make_private(into)
    partial = into / ".segment.partial"
    with Spool(partial, SEGMENT, compression="zstd", mark=_MARK) as spool:
        ends = list(_added(stretches, spool))
        spool.describe({_ENDS: json.dumps(ends).encode()})
    final = into / f"{digest_of(partial)}.parquet"
    settle_on_disk(partial, final)
    return Segment(path=final, rows=spool.rows)


def _added(stretches: Iterable[pl.DataFrame], spool: Spool) -> Iterator[int]:
    """Write the stretches and yield where each one ends."""
    for rows in stretches:
        spool.add(rows)
        yield spool.rows
