"""The baseline moves key by key, only as the vendor's verdicts say; applying the same verdicts twice changes nothing.

It does not know how verdicts were found. The new file is whole on the disk, under the name of its digest, before
anybody can name it. Old rows and verdicts are merged a stretch of key hashes at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.data.diff import REJECTED, UNKNOWN
from lading.data.ordered import BASELINE, Ordered, parts_for, written
from lading.data.scatter import HASH, end_of, hashed, in_hash_order
from lading.data.spool import in_order, threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lading.ports import Baseline

_SAID = ["key", "fingerprint", "op", "state", "retry"]


def advance(baseline: Baseline, verdicts: Sequence[Path], into: Path) -> Baseline:
    """Return the baseline after these verdicts, in the order given, as a new file in the folder `into`."""
    said = [_said(path) for path in verdicts]
    return written(_merged(baseline, said), into)


def _said(path: Path) -> pl.DataFrame:
    """Return the verdicts of a file in the order of their hashes, the last one of each key."""
    rows = pl.read_parquet(path, columns=_SAID, glob=False).unique("key", keep="last", maintain_order=True)
    return in_hash_order(rows.with_columns(hashed("key")), "key")


def _merged(baseline: Baseline, said: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the rows after some verdicts, in order. The verdicts are held in memory: they are those of a batch."""
    yield from in_order(_all_moved, _stretches(baseline, said), threads())


def _stretches(baseline: Baseline, said: list[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, list[pl.DataFrame]]]:
    """Yield stretches of the baseline with the verdicts about their keys."""
    parts = parts_for(baseline.rows + sum(one.height for one in said))
    begins = [0] * len(said)
    with Ordered(baseline) as before:
        for part in range(parts):
            limit = end_of(part, parts)
            last = part + 1 == parts
            ends = [one.height if last else int(one[HASH].search_sorted(limit)) for one in said]
            yield before.until(limit), [one[i:j] for one, i, j in zip(said, begins, ends, strict=True)]
            begins = ends


def _all_moved(given: tuple[pl.DataFrame, list[pl.DataFrame]]) -> pl.DataFrame:
    """Return the rows of a stretch after its verdicts, one file after the other."""
    rows, said = given
    for one in said:
        rows = _moved(rows, one) if one.height else rows
    return rows


def resolve(baseline: Baseline, keys: Sequence[str], into: Path, *, delivered: bool) -> Baseline:
    """Return the baseline after a person said how rows of unknown outcome ended, as a new file in the folder `into`.

    Delivered rows are held by the target from now on; the others are forgotten, so that the next run sends them.
    """
    wanted = pl.Series(list(keys), dtype=pl.String)
    meant = pl.col("key").is_in(wanted.implode()) & (pl.col("last_state") == UNKNOWN).fill_null(value=False)
    held = pl.when(meant).then(pl.col("last")) if delivered else pl.when(meant).then(pl.col("accepted"))

    def move(rows: pl.DataFrame) -> pl.DataFrame:
        return _kept(
            rows.with_columns(
                held.otherwise(pl.col("accepted")).alias("accepted"),
                pl.when(~meant).then(pl.col("last")).alias("last"),
                pl.when(~meant).then(pl.col("last_state")).alias("last_state"),
            )
        )

    return written((move(one) for one in _whole(baseline)), into)


def _whole(baseline: Baseline) -> Iterator[pl.DataFrame]:
    """Yield all rows of a baseline in order."""
    for rows, _ in _stretches(baseline, []):
        yield rows


def _kept(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of which anything is known."""
    return rows.filter(pl.col("accepted").is_not_null() | pl.col("last").is_not_null())


def _moved(rows: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a stretch after their verdicts, in order."""
    joined = rows.select(list(BASELINE)).join(said.drop(HASH), on="key", how="full", coalesce=True)
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
    return in_hash_order(_kept(moved).with_columns(hashed("key")), "key")
