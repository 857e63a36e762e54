"""Writes the results of a comparison to `changes.parquet` and `invalid.parquet`, in source order.

One partition of source rows is in memory at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.compare.classify import partition_by_row
from batchsync.data.frame import columns
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.data.compare.classify import ClassifiedRows

#: Columns of `invalid.parquet`.
INVALID = {"row": pl.Int64, "key": pl.String, "field": pl.String, "code": pl.String, "reason": pl.String}
#: Code of an invalid row that was superseded by another row of its key.
SUPERSEDED_CODE = "duplicate_key"
_CHUNK_ROWS = 100_000
_PLAIN_NAMES = {columns.ROW: "row", columns.KEY: "key"}


def write_changes(classified: ClassifiedRows, folder: Path) -> None:
    """Write `changes.parquet` in the order of sending: by source row, removals last by the hash of their key."""
    classified.changes.finish()
    with ParquetWriter(folder / "changes.parquet", CHANGES) as out:
        for part in classified.changes.partitions():
            ordered = part.sort("row")
            for begin in range(0, ordered.height, _CHUNK_ROWS):
                out.add(ordered[begin : begin + _CHUNK_ROWS])
        for rows in _chunks(folder / "removed.parquet"):
            out.add(rows)


def write_invalid(classified: ClassifiedRows, folder: Path) -> None:
    """Write `invalid.parquet`: invalid rows, and rows superseded by another row of the same key."""
    classified.superseded.finish()
    with (
        PartitionedSpill(folder, "invalid", INVALID) as invalid,
        ParquetWriter(folder / "invalid.parquet", INVALID) as out,
    ):
        for superseded in classified.superseded.partitions():
            invalid.add(
                _as_invalid(superseded.rename(_PLAIN_NAMES)), partition_by_row("row", classified.partition_rows)
            )
        for frame in _chunks(folder / "broken.parquet"):
            invalid.add(frame.rename(_PLAIN_NAMES), partition_by_row("row", classified.partition_rows))
        invalid.finish()
        for part in invalid.partitions():
            # Superseded rows come first: that is their reason, whatever other rules they violate.
            out.add(part.unique("row", keep="first", maintain_order=True).sort("row"))


def _chunks(file: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of a Parquet file; most are empty, and reading the metadata first is ten times faster."""
    if pq.read_metadata(file).num_rows:
        yield from pl.scan_parquet(file, glob=False).collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True)


def _as_invalid(superseded: pl.DataFrame) -> pl.DataFrame:
    """Return superseded rows as invalid rows, with the columns `INVALID`."""
    return superseded.select(
        "row",
        "key",
        pl.lit("").alias("field"),
        pl.lit(SUPERSEDED_CODE).alias("code"),
        pl.lit("superseded by another row of the source with the same key").alias("reason"),
    )
