"""Merged reads of the segments of a baseline in the order of key hashes; the latest state of a key wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.baseline.segments import SEGMENT, SegmentReader
from batchsync.data.frame.key_hash import HASH, hash_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.ports import Baseline, Segment


class SegmentMerge:
    """Readers of segments, oldest first, that advance together by ascending hashes."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        """Open the segments; rows are read on demand."""
        self._readers = [SegmentReader(segment) for segment in segments]

    def until(self, limit: int) -> list[pl.DataFrame]:
        """Return the next rows of each segment, up to a hash limit (exclusive)."""
        return [reader.until(limit) for reader in self._readers]


def latest_per_key(layers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Merge layers of segment rows into the state of each key.

    Args:
        layers: Rows with the columns `SEGMENT` and `HASH`, oldest first; each key at most once per layer. Rows with
            `as_before` keep the accepted version of older layers.

    Returns:
        A row per key with the same columns, in no order.
    """
    filled = [layer for layer in layers if layer.height]
    if len(filled) <= 1:
        return filled[0] if filled else pl.DataFrame(schema={**SEGMENT, HASH: pl.UInt64})
    rows = pl.concat(filled)
    repeated = rows[HASH].is_duplicated()
    if not repeated.any():
        return rows
    is_own = ~pl.col("as_before")
    merged = (
        rows.filter(repeated)
        .group_by("key")
        .agg(
            pl.col("accepted").filter(is_own).last(),
            pl.col("last").last(),
            pl.col("last_state").last(),
            pl.col("as_before").all(),
            pl.col(HASH).first(),
        )
    )
    return pl.concat([rows.filter(~repeated), merged])


def rows_with_history(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the oldest rows without those that have no version, and with `as_before` cleared."""
    kept = rows.filter(pl.col("accepted").is_not_null() | pl.col("last").is_not_null())
    return kept.with_columns(pl.lit(value=False).alias("as_before")) if kept["as_before"].any() else kept


def scan_keys(baseline: Baseline, keys: Sequence[str]) -> pl.DataFrame:
    """Return the states of some keys with the columns `SEGMENT` and `HASH`, reading only the necessary hash ranges."""
    wanted = pl.DataFrame({"key": pl.Series(list(keys), dtype=pl.String)}).unique("key").with_columns(hash_of("key"))
    return rows_with_history(
        latest_per_key([SegmentReader(segment).read_keys(wanted) for segment in baseline.segments])
    )
