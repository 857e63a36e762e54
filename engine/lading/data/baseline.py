"""The baseline moves key by key, only as the vendor's verdicts say; applying the same verdicts twice changes nothing.

It does not know how verdicts were found. The new file is whole on the disk, under the name of its digest, before
anybody can name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.data.diff import REJECTED, UNKNOWN, baseline_rows
from lading.data.spool import digest_of, settle_on_disk
from lading.ports import Baseline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def advance(baseline: Baseline, verdicts: Sequence[Path], into: Path) -> Baseline:
    """Return the baseline after these verdicts, in the order given, as a new file in the folder `into`."""
    rows = baseline_rows(baseline)
    for path in verdicts:
        said = pl.scan_parquet(path, glob=False).select("key", "fingerprint", "op", "state", "retry")
        rows = _moved(rows, said.unique("key", keep="last", maintain_order=True))
    return _written(rows, into)


def resolve(baseline: Baseline, keys: Sequence[str], into: Path, *, delivered: bool) -> Baseline:
    """Return the baseline after a person said how rows of unknown outcome ended, as a new file in the folder `into`.

    Delivered rows are held by the target from now on; the others are forgotten, so that the next run sends them.
    """
    rows = baseline_rows(baseline)
    meant = pl.col("key").is_in(list(keys)) & (pl.col("last_state") == UNKNOWN).fill_null(value=False)
    held = pl.when(meant).then(pl.col("last")) if delivered else pl.when(meant).then(pl.col("accepted"))
    moved = rows.with_columns(
        held.otherwise(pl.col("accepted")).alias("accepted"),
        pl.when(~meant).then(pl.col("last")).alias("last"),
        pl.when(~meant).then(pl.col("last_state")).alias("last_state"),
    )
    return _written(moved.filter(pl.col("accepted").is_not_null() | pl.col("last").is_not_null()), into)


def _written(rows: pl.LazyFrame, into: Path) -> Baseline:
    """Return the rows as a new baseline file, whole on the disk."""
    into.mkdir(parents=True, exist_ok=True)
    partial = into / ".baseline.partial"
    whole = rows.sort("key").collect(engine="streaming")
    whole.write_parquet(partial, compression="zstd", statistics=True)
    final = into / f"{digest_of(partial)}.parquet"
    settle_on_disk(partial, final)
    return Baseline(path=final, rows=whole.height)


def _moved(rows: pl.LazyFrame, said: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows after one file of verdicts."""
    joined = rows.join(said, on="key", how="full", coalesce=True)
    new = pl.col("fingerprint")
    accepted = (pl.col("state") == "accepted").fill_null(value=False)
    rejected = (pl.col("state") == "rejected").fill_null(value=False) & ~pl.col("retry").fill_null(value=False)
    unknown = (pl.col("state") == "unknown").fill_null(value=False)
    gone = accepted & (pl.col("op") == "remove")
    ended = pl.when(rejected).then(pl.lit(REJECTED, dtype=pl.UInt8)).when(unknown).then(pl.lit(UNKNOWN, dtype=pl.UInt8))
    moved = joined.filter(~gone).select(
        "key",
        pl.when(accepted).then(new).otherwise(pl.col("accepted")).alias("accepted"),
        pl.when(rejected | unknown).then(new).when(~accepted).then(pl.col("last")).alias("last"),
        pl.when(rejected | unknown).then(ended).when(~accepted).then(pl.col("last_state")).alias("last_state"),
    )
    return moved.filter(pl.col("accepted").is_not_null() | pl.col("last").is_not_null())
