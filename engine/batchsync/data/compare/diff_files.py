"""What a comparison found is written in the order in which others read it: by source row.

It does not compare. One part of the source rows is in memory at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from lading.data import names
from lading.data.diff import CHANGES, by_row
from lading.data.scatter import Scatter
from lading.data.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.data.diff import Placed

#: What stands in `invalid.parquet`.
INVALID = {"row": pl.Int64, "key": pl.String, "field": pl.String, "code": pl.String, "reason": pl.String}
#: The code of an invalid row that lost against another one of its key.
LOST = "duplicate_key"
_GROUP = 100_000
_PLAIN = {names.ROW: "row", names.KEY: "key"}


def write_changes(placed: Placed, folder: Path) -> None:
    """Write the changes in the order in which they are sent: by source row, removals last by the hash of their key."""
    placed.changes.finish()
    with Spool(folder / "changes.parquet", CHANGES) as out:
        for part in placed.changes.parts():
            ordered = part.sort("row")
            for begin in range(0, ordered.height, _GROUP):
                out.add(ordered[begin : begin + _GROUP])
        for rows in _batches(folder / "removed.parquet"):
            out.add(rows)


def write_invalid(placed: Placed, folder: Path) -> None:
    """Write the invalid rows: broken ones, and those that lost against another row of the same key."""
    placed.losers.finish()
    with Scatter(folder, "invalid", INVALID) as invalid, Spool(folder / "invalid.parquet", INVALID) as out:
        for losers in placed.losers.parts():
            invalid.add(_as_invalid(losers.rename(_PLAIN)), by_row("row", placed.share))
        for frame in _batches(folder / "broken.parquet"):
            invalid.add(frame.rename(_PLAIN), by_row("row", placed.share))
        invalid.finish()
        for part in invalid.parts():
            # A loser came first: it is said to have lost, whatever else is wrong with it.
            out.add(part.unique("row", keep="first", maintain_order=True).sort("row"))


def _batches(file: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of a spool; most are empty, and to see that takes a tenth of what reading nothing takes."""
    if pq.read_metadata(file).num_rows:
        yield from pl.scan_parquet(file, glob=False).collect_batches(chunk_size=_GROUP, maintain_order=True)


def _as_invalid(losers: pl.DataFrame) -> pl.DataFrame:
    """Return the invalid rows that losers are."""
    return losers.select(
        "row",
        "key",
        pl.lit("").alias("field"),
        pl.lit(LOST).alias("code"),
        pl.lit("another row of the source has the same key and was taken").alias("reason"),
    )
