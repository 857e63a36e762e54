"""Comparison of the answers in a file or table with the keys that have not left the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.guards import AbsentAnswers
from batchsync.sinks import merge
from batchsync.util.files import sha256_of_file

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

#: Column with the time at which a key was found to have left the source; null for keys of the source.
REMOVED_AT = "removed_at"
#: Column of `flag_listed`.
LISTED = "batchsync:listed"
#: Column of `with_marks`.
CHANGED = "batchsync:changed"


def flag_listed(existing: pl.LazyFrame, keys: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows in their order with the column `LISTED: bool`: whether a row has one of the keys.

    `LISTED` is null in rows without a complete key, which are not answers. Key columns of two types take the type
    that holds both, as in `merge.merge_rows`.

    Args:
        existing: Rows of the file or table.
        keys: Keys, with the key columns only.
    """
    names = keys.collect_schema().names()
    columns = dict(merge.common_schema(existing, keys))
    listed = merge.conform_columns(keys, {name: columns[name] for name in names})
    listed = listed.unique().with_columns(pl.lit(value=True).alias(LISTED))
    flagged = merge.conform_columns(existing, columns).join(listed, on=names, how="left", maintain_order="left")
    has_key = pl.all_horizontal(pl.col(names).is_not_null())
    return flagged.with_columns(pl.when(has_key).then(pl.col(LISTED).fill_null(value=False)).alias(LISTED))


def write_absent(existing: pl.LazyFrame, present: pl.LazyFrame, into: Path) -> AbsentAnswers:
    """Write the keys of the answers whose key is not present, as strings and sorted, and count them.

    Args:
        existing: Rows of the file or table, or at least their key columns.
        present: Keys that have not left the source, with the key columns only.
        into: New Parquet file.

    Returns:
        The counts and the digest of the keys.
    """
    names = present.collect_schema().names()
    flagged = flag_listed(existing.select(names), present)
    absent = flagged.filter(~pl.col(LISTED)).select(pl.col(names).cast(pl.String)).sort(names)
    absent.sink_parquet(into, compression="zstd", row_group_size=250_000)
    rows = existing.select(pl.len()).collect(engine="streaming").item()
    found = pl.scan_parquet(into, glob=False).select(pl.len()).collect().item()
    return AbsentAnswers(rows=rows, absent=found, digest=sha256_of_file(into))


def without(existing: pl.LazyFrame, absent: pl.LazyFrame) -> tuple[pl.LazyFrame, int]:
    """Return the rows whose key is not listed, and how many are.

    Args:
        existing: Rows of the file.
        absent: Keys to remove, with the key columns only.
    """
    flagged = flag_listed(existing, absent)
    is_listed = pl.col(LISTED).fill_null(value=False)
    removed = flagged.select(is_listed.sum()).collect(engine="streaming").item()
    return flagged.filter(~is_listed).drop(LISTED), removed


def with_marks(existing: pl.LazyFrame, present: pl.LazyFrame, at: datetime) -> tuple[pl.LazyFrame, int]:
    """Return the rows with `REMOVED_AT: str`, set where the key is not present, and `CHANGED: bool`.

    Args:
        existing: Rows of the file or table; without `REMOVED_AT`, no row is marked yet.
        present: Keys that have not left the source, with the key columns only.
        at: The time to set. Rows that are marked already keep theirs.

    Returns:
        The rows, and how many of them change.
    """
    flagged = flag_listed(existing, present)
    is_marked = REMOVED_AT in existing.collect_schema().names()
    before = pl.col(REMOVED_AT).cast(pl.String) if is_marked else pl.lit(None, pl.String)
    changes = pl.col(LISTED) == before.is_not_null()
    changed = flagged.select(changes.sum()).collect(engine="streaming").item()
    flagged = flagged.with_columns(changes.alias(CHANGED))
    mark = pl.when(pl.col(LISTED).is_null()).then(before).when(~pl.col(LISTED)).then(before.fill_null(at_text(at)))
    return flagged.with_columns(mark.alias(REMOVED_AT)).drop(LISTED), changed


def at_text(at: datetime) -> str:
    """Return the time as written into `REMOVED_AT`: ISO 8601 with its offset, in seconds."""
    return at.isoformat(timespec="seconds")
