"""The baseline moves key by key, only as the vendor's verdicts say; applying the same verdicts twice changes nothing.

It does not know how verdicts were found. A new segment is whole on the disk, under the name of its digest, before
anybody can name it. Segments are merged a stretch of key hashes at a time, when `core.compaction` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.core.batch import Verdict
from lading.core.compaction import merged_from
from lading.data.diff import AGAIN, REJECTED, REMOVAL_UNKNOWN, UNKNOWN
from lading.data.guarding import untouched
from lading.data.ordered import Ordered, about, known, newest
from lading.data.scatter import HASH, end_of, hashed, in_hash_order
from lading.data.segments import SEGMENT, parts_for, written
from lading.data.workers import in_order, threads
from lading.ports import Baseline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SAID = ["key", "fingerprint", "op", "state", "retry", "code"]


def advance(baseline: Baseline, verdicts: Sequence[Path], into: Path) -> Baseline:
    """Return the baseline after these verdicts, in the order given. What is new lies in the folder `into`."""
    return _with(baseline, newest([_said(path) for path in verdicts]), into)


def _said(path: Path) -> pl.DataFrame:
    """Return what a file of verdicts says of each key, its last verdict; nothing of keys to be sent again unchanged.

    Only when nobody knows whether such a row arrived is it told: the target may not hold what it accepted before.
    """
    rows = pl.read_parquet(path, columns=_SAID, glob=False).with_columns(hashed("key"))
    if rows[HASH].is_duplicated().any():
        rows = rows.unique("key", keep="last", maintain_order=True)
    accepted, rejected, unknown = (pl.col("state") == one for one in ("accepted", "rejected", "unknown"))
    removal = pl.col("op") == "remove"
    held = accepted & ~removal
    new = pl.col("fingerprint")
    retry = pl.col("retry").fill_null(value=False)
    again = rejected & retry & (pl.col("code") == str(Verdict.RESENT)).fill_null(value=False)
    state = pl.when(again).then(AGAIN).when(rejected).then(REJECTED).when(removal).then(REMOVAL_UNKNOWN)
    ended = state.otherwise(UNKNOWN).cast(pl.UInt8)
    final = accepted | unknown | again | (rejected & ~retry)
    return rows.filter(final).select(
        "key",
        pl.when(held).then(new).alias("accepted"),
        pl.when(~accepted).then(new).alias("last"),
        pl.when(~accepted).then(ended).alias("last_state"),
        (~accepted).alias("as_before"),
        HASH,
    )


def resolve(baseline: Baseline, keys: Sequence[str], into: Path, *, delivered: bool) -> Baseline:
    """Return the baseline after a person said how rows of unknown outcome ended. What is new lies in the folder `into`.

    Delivered rows are held by the target from now on, or no longer held when they were removals. The next run sends
    the others in any case: what the target holds of them nobody knows.
    """
    ended = pl.col("last_state")
    meant = about(baseline, keys).filter(ended.is_in((UNKNOWN, REMOVAL_UNKNOWN)).fill_null(value=False))
    if delivered:
        moved = meant.with_columns(
            pl.when(ended == UNKNOWN).then(pl.col("last")).alias("accepted"),
            pl.lit(None, dtype=pl.Binary).alias("last"),
            pl.lit(None, dtype=pl.UInt8).alias("last_state"),
        )
    else:
        moved = meant.with_columns(pl.lit(AGAIN, dtype=pl.UInt8).alias("last_state"))
    return _with(baseline, moved, into)


def _with(baseline: Baseline, new: pl.DataFrame, into: Path) -> Baseline:
    """Return the baseline with one more segment, or with some of its segments and the new rows merged into one."""
    if not new.height:
        return baseline
    place = merged_from([one.rows for one in baseline.segments], new.height)
    older, merged = baseline.segments[:place], baseline.segments[place:]
    untouched([one.path for one in merged])
    parts = parts_for(new.height + sum(one.rows for one in merged))
    given = _stretches(Ordered(merged), in_hash_order(new, "key"), parts)
    stretches = in_order(lambda layers: _merged(layers, oldest=not older), given, threads())
    one = written(stretches, into)
    return Baseline(segments=(*older, one) if one.rows else older)


def _stretches(ordered: Ordered, new: pl.DataFrame, parts: int) -> Iterator[list[pl.DataFrame]]:
    """Yield the rows of each part of the hashes, older ones first."""
    begin = 0
    for part in range(parts):
        limit = end_of(part, parts)
        end = new.height if part + 1 == parts else int(new[HASH].search_sorted(limit))
        yield [*ordered.until(limit), new[begin:end]]
        begin = end


def _merged(layers: list[pl.DataFrame], *, oldest: bool) -> pl.DataFrame:
    """Return the rows of a part in order; where none are older, only those of which anything is known."""
    rows = newest(layers)
    if oldest:
        rows = known(rows)
    several = sum(1 for one in layers if one.height) > 1
    return (in_hash_order(rows, "key") if several else rows).select(*SEGMENT)
