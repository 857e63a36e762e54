"""The files of a comparison: its changes in the order of sending, and its invalid and superseded rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.row_outcome import RowOutcome
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.compare.classify import partition_by_row
from batchsync.data.compare.unkept import unkept_folder
from batchsync.data.frame import columns
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.frame.suppressed import is_suppressed
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.data.compare.classify import ClassifiedRows
    from batchsync.ports import Suppression

#: Columns of `invalid.parquet`. `kind` is the outcome: invalid or superseded.
INVALID = dict.fromkeys(("key", "field", "code", "reason", "kind"), pl.String) | {"row": pl.Int64}
#: Code of a row that was superseded by another row of its key.
SUPERSEDED_CODE = "duplicate_key"
_CHUNK_ROWS = 100_000
_PLAIN_NAMES = {columns.ROW: "row", columns.KEY: "key"}


def write_changes(classified: ClassifiedRows, folder: Path) -> None:
    """Write `changes.parquet` in the order of sending: by source row, removals last by the hash of their key.

    Records whose content the baseline lacks are written, too.
    """
    classified.removed.close()
    removed = folder / "removed.parquet" if classified.removed.rows else None
    _write_in_source_order(classified.changes, folder / "changes.parquet", then=removed)
    if classified.unkept is not None:
        _write_in_source_order(classified.unkept, unkept_folder(folder) / "changes.parquet")


def _write_in_source_order(rows: PartitionedSpill, file: Path, *, then: Path | None = None) -> None:
    """Write rows that are partitioned by source row to a file, by source row, followed by the rows of another file."""
    rows.finish()
    with ParquetWriter(file, CHANGES) as out:
        for part in rows.partitions():
            ordered = part.sort("row")
            for begin in range(0, ordered.height, _CHUNK_ROWS):
                out.add(ordered[begin : begin + _CHUNK_ROWS])
        if then is not None:
            last = pl.scan_parquet(then, glob=False)
            for frame in last.collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True):
                out.add(frame)


def write_invalid(
    classified: ClassifiedRows, folder: Path, listed: PartitionedSpill, suppression: Suppression | None
) -> None:
    """Write `invalid.parquet` if any row is invalid or superseded by another row of the same key.

    Suppressed rows are not in it, whatever rules they violate: their keys were forgotten, or are on the list.
    """
    broken = folder / "broken.parquet"
    hidden = pl.concat(list(listed.partitions())).rename({columns.KEY: "key"})
    classified.superseded.finish()
    with (
        PartitionedSpill(folder, "invalid", INVALID) as invalid,
        ParquetWriter(folder / "invalid.parquet", INVALID) as out,
    ):
        for superseded in classified.superseded.partitions() if classified.superseded.rows else ():
            rows = superseded.rename(_PLAIN_NAMES).with_columns(
                field=pl.lit(""),
                code=pl.lit(SUPERSEDED_CODE),
                reason=pl.lit("superseded by another row of the source with the same key"),
                kind=pl.lit(RowOutcome.SUPERSEDED.value),
            )
            invalid.add(rows.select(list(INVALID)), partition_by_row("row", classified.partition_rows))
        if broken.exists():
            kind = pl.lit(RowOutcome.INVALID.value).alias("kind")
            found = pl.scan_parquet(broken, glob=False).rename(_PLAIN_NAMES).with_columns(kind).select(list(INVALID))
            for frame in found.collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True):
                shown = frame.filter(~is_suppressed(frame, "key", suppression)).join(
                    hidden, on="key", how="anti", maintain_order="left"
                )
                invalid.add(shown, partition_by_row("row", classified.partition_rows))
        invalid.finish()
        for part in invalid.partitions():
            # Superseded rows come first: that is their outcome, whatever rules they violate.
            out.add(part.unique("row", keep="first", maintain_order=True).sort("row"))
