"""Every record of a source is put in exactly one place: unchanged, to send, held, standing, or invalid.

It does not read sources. It compares two Parquet files, the records found and the baseline, a part of the keys at a
time, so that memory does not grow with the number of records.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.records import removal_fingerprint
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lading.core.job import Job
    from lading.ports import Baseline

#: Records compared at a time.
PART = 4_000_000
_SHOWN = 5
#: How the newest version ended, in `Baseline.last_state`.
REJECTED, UNKNOWN = 1, 2
#: What stands in `changes.parquet`.
CHANGES = {"row": pl.Int64, "key": pl.String, "op": pl.String, "fingerprint": pl.Binary}
_BASELINE = {"key": pl.String, "accepted": pl.Binary, "last": pl.Binary, "last_state": pl.UInt8}


@dataclass(slots=True)
class Placed:
    """Where the records of a comparison went, counted; the changes; and the rows that lost against a duplicate."""

    counts: Counter[str] = field(default_factory=Counter)
    changes: list[pl.DataFrame] = field(default_factory=list)
    losers: list[pl.DataFrame] = field(default_factory=list)


def baseline_rows(baseline: Baseline) -> pl.LazyFrame:
    """Return the rows of a baseline; none when there is no file yet."""
    if baseline.path is None:
        return pl.LazyFrame(schema=_BASELINE)
    return pl.scan_parquet(baseline.path, glob=False)


def flying_rows(in_flight: Sequence[Path]) -> pl.LazyFrame:
    """Return key and fingerprint of everything under way."""
    if not in_flight:
        return pl.LazyFrame(schema={"key": pl.String, "flying": pl.Binary})
    files = [pl.scan_parquet(one, glob=False).select("key", pl.col("fingerprint").alias("flying")) for one in in_flight]
    return pl.concat(files)


def place(job: Job, records: Path, baseline: Baseline, in_flight: Sequence[Path], total: int) -> Placed:
    """Return where each record goes.

    Raises:
        SourceError: when a key stands twice and the job does not say which row wins.
    """
    placed = Placed()
    parts = 1 + (total + baseline.rows) // PART
    found = pl.scan_parquet(records, glob=False)
    before, flying = baseline_rows(baseline), flying_rows(in_flight)
    for number in range(parts):
        _place_part(placed, job, tuple(_part(one, number, parts) for one in (found, before, flying)))
    return placed


def _part(rows: pl.LazyFrame, number: int, parts: int) -> pl.LazyFrame:
    """Return the rows whose keys belong to one part. Used within one process only, so any hash will do."""
    if parts == 1:
        return rows
    column = names.KEY if names.KEY in rows.collect_schema().names() else "key"
    return rows.filter(pl.col(column).hash(seed=7) % parts == number)


def _place_part(placed: Placed, job: Job, given: tuple[pl.LazyFrame, ...]) -> None:
    """Place the records of one part of the keys."""
    rows, before, flying = (one.collect(engine="streaming") for one in given)
    winners = _without_losers(placed, job, rows)
    flying = flying.unique()
    good = winners.filter(~pl.col("bad"))
    placed.counts["invalid"] += winners.height - good.height
    old = good.filter(pl.col(names.OLD)).height
    placed.counts["unchanged"] += old
    good = good.filter(~pl.col(names.OLD)) if old else good
    state = _state(job, good, before, flying)
    for (name,), part in state.group_by("state"):
        placed.counts[str(name)] += part.height
    sent = state.filter(pl.col("state").is_in(["added", "changed"]))
    placed.changes.append(
        sent.select(
            pl.col(names.ROW).alias("row"),
            pl.col(names.KEY).alias("key"),
            pl.when(pl.col("state") == "added").then(pl.lit("add")).otherwise(pl.lit("change")).alias("op"),
            pl.col(names.FINGERPRINT).alias("fingerprint"),
        ),
    )
    if job.removal is not None:
        _remove(placed, job, before, rows, flying)


def _without_losers(placed: Placed, job: Job, rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each key, by the job's policy for duplicates; keep the losers."""
    doubled = rows.filter(pl.col(names.KEY).is_duplicated()) if rows.height else rows
    if not doubled.height:
        return rows
    policy = job.source.duplicates
    if policy == "fail":
        raise _twice(job, doubled)
    order = [names.ROW]
    descending = [policy != "first"]
    if policy.startswith("by:"):
        order, descending = [names.RANK, names.ROW], [True, True]
    winners = doubled.sort(order, descending=descending, nulls_last=True).unique(
        names.KEY, keep="first", maintain_order=True
    )
    losers = doubled.join(winners, on=names.ROW, how="anti")
    placed.losers.append(losers.select(names.ROW, names.KEY))
    placed.counts["invalid"] += losers.height
    return rows.join(losers, on=names.ROW, how="anti")


def _twice(job: Job, doubled: pl.DataFrame) -> SourceError:
    """Return the error for keys that stand twice. It names rows, not keys."""
    groups = doubled.group_by(names.KEY).agg(pl.col(names.ROW).sort().head(_SHOWN)).sort(pl.col(names.ROW).list.first())
    shown = "; ".join("rows " + ", ".join(str(row) for row in one) for one in groups[names.ROW].head(_SHOWN).to_list())
    more = f" (and {groups.height - _SHOWN} more)" if groups.height > _SHOWN else ""
    count = f"{groups.height} key{'s' if groups.height != 1 else ''}"
    stand = "stand" if groups.height != 1 else "stands"
    hint = (
        "Write source.duplicates: first, last or by:COLUMN (the greatest value wins), or collect the rows with each:."
    )
    return SourceError(
        f"{job.source.place}: {count} of {job.source.path} {stand} more than once: {shown}{more}", hint=hint
    )


def _state(job: Job, good: pl.DataFrame, before: pl.DataFrame, flying: pl.DataFrame) -> pl.DataFrame:
    """Return the place of each good record, in a column `state`."""
    own = pl.col(names.FINGERPRINT)
    joined = good.join(before, left_on=names.KEY, right_on="key", how="left")
    in_flight = flying.select("key", pl.lit(value=True).alias("flying")).unique("key")
    joined = joined.join(in_flight, left_on=names.KEY, right_on="key", how="left")
    # While a version is under way nobody knows what the target will hold, though the source went back to the old one.
    under_way = pl.col("flying").is_not_null()
    accepted = (own == pl.col("accepted")).fill_null(value=False)
    last = (own == pl.col("last")).fill_null(value=False)
    ended = pl.col("last_state").fill_null(0)
    quiet = accepted if job.send.what != "all" else pl.lit(value=False)
    return joined.with_columns(
        pl.when(under_way)
        .then(pl.lit("held"))
        .when(quiet)
        .then(pl.lit("unchanged"))
        .when(accepted)
        .then(pl.lit("changed"))
        .when(last & (ended == REJECTED))
        .then(pl.lit("standing_rejected"))
        .when(last & (ended == UNKNOWN))
        .then(pl.lit("standing_unknown"))
        .when(ended == UNKNOWN)
        .then(pl.lit("held"))
        .when(pl.col("accepted").is_null())
        .then(pl.lit("added"))
        .otherwise(pl.lit("changed"))
        .alias("state"),
    )


def _remove(placed: Placed, job: Job, before: pl.DataFrame, rows: pl.DataFrame, flying: pl.DataFrame) -> None:
    """Find the keys that the target holds and the whole source does not, and that are not under way."""
    gone = before.filter(pl.col("accepted").is_not_null())
    gone = gone.join(rows, left_on="key", right_on=names.KEY, how="anti").join(flying, on="key", how="anti")
    gone = gone.with_columns(removal_fingerprint(job.spec_hash, pl.col("key")).alias("fingerprint"))
    ended = pl.col("last_state").fill_null(0)
    same = (pl.col("fingerprint") == pl.col("last")).fill_null(value=False)
    state = (
        pl.when(same & (ended == REJECTED))
        .then(pl.lit("standing_rejected"))
        .when(same & (ended == UNKNOWN))
        .then(pl.lit("standing_unknown"))
        .when(ended == UNKNOWN)
        .then(pl.lit("held"))
        .otherwise(pl.lit("removed"))
    )
    gone = gone.with_columns(state.alias("state"))
    for (name,), part in gone.group_by("state"):
        placed.counts[str(name)] += part.height
        placed.counts["gone"] += part.height
    removed = gone.filter(pl.col("state") == "removed")
    placed.changes.append(
        removed.select(pl.lit(0, dtype=pl.Int64).alias("row"), "key", pl.lit("remove").alias("op"), "fingerprint"),
    )
