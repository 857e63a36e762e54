"""The segments of a baseline are gone through together in the order of key hashes, and the newest word of a key counts.

It does not know what moves a baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.data.scatter import HASH, hashed
from lading.data.segments import SEGMENT, Opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.ports import Baseline, Segment


class Ordered:
    """Segments, oldest first, whose rows are handed out by ascending hashes."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        """Open the segments; rows are read when they are asked for."""
        self._opened = [Opened(one) for one in segments]

    def until(self, limit: int) -> list[pl.DataFrame]:
        """Return the rows of each segment that were not handed out and whose hash is below the limit."""
        return [one.until(limit) for one in self._opened]


def newest(layers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return what rows with hashes, older ones first, come to together: one row for each key, in no order.

    Within a layer each key stands once.
    """
    there = [one for one in layers if one.height]
    if len(there) <= 1:
        return there[0] if there else pl.DataFrame(schema={**SEGMENT, HASH: pl.UInt64})
    rows = pl.concat(there)
    twice = rows[HASH].is_duplicated()
    if not twice.any():
        return rows
    own = ~pl.col("as_before")
    composed = (
        rows.filter(twice)
        .group_by("key")
        .agg(
            pl.col("accepted").filter(own).last(),
            pl.col("last").last(),
            pl.col("last_state").last(),
            pl.col("as_before").all(),
            pl.col(HASH).first(),
        )
    )
    return pl.concat([rows.filter(~twice), composed])


def known(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of which anything is known, when there are no older ones: nothing stays as it was before."""
    kept = rows.filter(pl.col("accepted").is_not_null() | pl.col("last").is_not_null())
    return kept.with_columns(pl.lit(value=False).alias("as_before")) if kept["as_before"].any() else kept


def about(baseline: Baseline, keys: Sequence[str]) -> pl.DataFrame:
    """Return what a baseline knows of some keys, reading as little of it as possible."""
    wanted = pl.DataFrame({"key": pl.Series(list(keys), dtype=pl.String)}).unique("key").with_columns(hashed("key"))
    return known(newest([Opened(one).about(wanted) for one in baseline.segments]))
