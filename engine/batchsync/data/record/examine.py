"""One frame of keyed rows becomes records with fingerprints, and invalid rows with all their reasons.

It does not know the baseline or other frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names, ranks
from lading.data.agreement import disagreeing, merged
from lading.data.records import Mapped, Plan, fingerprints, judged, lines, mapped
from lading.data.widths import widest

if TYPE_CHECKING:
    from lading.data.validate import Check

RECORDS = {
    names.ROW: pl.Int64,
    names.KEY: pl.String,
    names.FINGERPRINT: pl.Binary,
    "bad": pl.Boolean,
    names.OLD: pl.Boolean,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is in one frame: its records, the invalid ones with reasons, and the warnings."""

    records: pl.DataFrame
    broken: pl.DataFrame
    warnings: dict[str, int]


def examine(plan: Plan, frame: pl.DataFrame, rules: list[Check], high_water: str | None) -> tuple[Examined, Mapped]:
    """Return what a keyed frame holds, and the mapped frame, whose column `bad` marks the invalid records."""
    warnings: dict[str, int] = {}
    columns = list(RECORDS)
    frame = frame.with_columns(_old(plan, high_water, frame, warnings).alias(names.OLD))
    if plan.job.source.duplicates.startswith("by:"):
        frame = frame.with_columns(_rank(plan, plan.job.source.duplicates.removeprefix("by:")))
        columns.append(names.RANK)
    fresh = frame.filter(~pl.col(names.OLD))
    found = mapped(plan, fresh)
    broken = judged(found, rules, warnings)
    if plan.grouped:
        broken = merged(broken, disagreeing(plan, fresh))
    broken = _with_oversized(plan, found, broken)
    heads = found.heads.with_columns(fingerprints(plan, found), pl.lit(value=False).alias("bad"))
    if broken.height:
        heads = heads.with_columns(pl.col(names.ROW).is_in(broken[names.ROW].implode()).alias("bad"))
    found = replace(found, heads=heads)
    if fresh.height < frame.height:
        old = frame.filter(pl.col(names.OLD))
        empty = pl.lit(None, dtype=pl.Binary).alias(names.FINGERPRINT)
        old = old.with_columns(empty, pl.lit(value=False).alias("bad"))
        heads = pl.concat([heads.select(old.columns), old]).sort(names.ROW)
    return Examined(records=heads.select(columns), broken=broken, warnings=warnings), found


def typed(text: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return texts that were written from a type as that type again."""
    if isinstance(kind, pl.Datetime):
        return text.str.to_datetime(time_unit=kind.time_unit, time_zone=kind.time_zone, strict=False)
    if kind == pl.Date:
        return text.str.to_date(strict=False)
    return text.cast(kind, strict=False)


def _rank(plan: Plan, column: str) -> pl.Expr:
    """Return what decides between rows of one key."""
    value = pl.col(column)
    return (ranks.rank(value) if plan.schema[column] == pl.String else value).alias(names.RANK)


def _old(plan: Plan, high_water: str | None, frame: pl.DataFrame, warnings: dict[str, int]) -> pl.Expr:
    """Return whether a row is below the high water mark; what cannot be put in order is not.

    A row that is equal to the mark may have come after the row that set it. With `each:` no row counts as old: it says
    nothing of the other rows of its key, of which one may be new, changed or gone.
    """
    since = plan.job.send.since
    if since is None:
        return pl.lit(value=False)
    kind = plan.schema[since]
    rank = ranks.rank(pl.col(since))
    if kind == pl.String and (unclear := frame.select((~ranks.is_ordered(rank)).sum()).item()):
        what = (
            f"rows whose {since} is neither a number nor a date that begins with the year, compared with what is held"
        )
        warnings[what] = unclear
    if high_water is None or plan.grouped:
        return pl.lit(value=False)
    if kind == pl.String:
        return ranks.surely_below(rank, ranks.rank_of(high_water))
    limit = typed(pl.Series([high_water], dtype=pl.String), kind)[0]
    return (pl.col(since) < pl.lit(limit, dtype=kind)).fill_null(value=False)


def record_limit(plan: Plan) -> int | None:
    """Return how many bytes a record may have so that it surely fits a file alone, however badly it compresses."""
    most = plan.rules.file.bytes_max
    return None if most is None else max(0, most - most // 100 - 1024)


def _with_oversized(plan: Plan, found: Mapped, broken: pl.DataFrame) -> pl.DataFrame:
    """Return the invalid records with those that no batch file can hold."""
    limit = record_limit(plan)
    if limit is None or not found.heads.height or widest(found, plan.record) <= limit:
        return broken
    exact = lines(plan, found, [" " * 200], "").str.len_bytes()
    large = found.heads.select(names.ROW, names.KEY).with_columns(exact.alias("size")).filter(pl.col("size") > limit)
    size = pl.col("size").cast(pl.String)
    reason = pl.concat_str(
        [pl.lit("the record has "), size, pl.lit(f" bytes, more than the {limit} that a file takes")]
    )
    more = large.select(
        names.ROW,
        names.KEY,
        pl.lit("").alias("field"),
        pl.lit("record_size").alias("code"),
        reason.alias("reason"),
    ).join(broken, on=names.ROW, how="anti")
    return pl.concat([broken, more]).sort(names.ROW)
