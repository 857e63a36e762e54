"""A comparison says what a run would send, and accounts for every row that it would not.

It does not encode or send anything. It reads the source once, to its end, and leaves its findings in a work folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from lading.core.accounting import Tally
from lading.data import names
from lading.data.diff import CHANGES, Placed, baseline_rows, place
from lading.data.grouping import grouped_frames, spread
from lading.data.joins import join_all, load
from lading.data.keys import keyed
from lading.data.read import frames
from lading.data.records import (
    BROKEN,
    Mapped,
    Plan,
    fingerprints,
    judged,
    lines,
    make_plan,
    mapped,
    plan_checks,
)
from lading.data.spool import Spool, in_order
from lading.data.widths import widths
from lading.ports import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.data.validate import Check
    from lading.ports import Baseline, CompareContext

_RECORDS = {
    names.ROW: pl.Int64,
    names.KEY: pl.String,
    names.FINGERPRINT: pl.Binary,
    "bad": pl.Boolean,
    names.OLD: pl.Boolean,
}
#: What stands in `invalid.parquet`.
INVALID = {"row": pl.Int64, "key": pl.String, "field": pl.String, "code": pl.String, "reason": pl.String}


def threads() -> int:
    """Return how many threads map and encode at the same time."""
    return max(1, min(8, os.cpu_count() or 1))


@dataclass(slots=True)
class Seen:
    """What the pass over the source counted."""

    source_rows: int = 0
    records: int = 0
    keyless: int = 0
    high_water: object = None
    warnings: dict[str, int] = field(default_factory=dict)


def compare(job: Job, rules: VendorRules, baseline: Baseline, context: CompareContext) -> Comparison:
    """Return what a run would send.

    Raises:
        SourceError: when the source cannot be read to its end as declared.
        SpecError: when the job does not fit the source.
    """
    folder = context.folder
    folder.mkdir(parents=True, exist_ok=True)
    plan = make_plan(job, rules, context.template)
    facts = {"template": list(context.template) if context.template is not None else None}
    (folder / "compare.json").write_text(json.dumps(facts), encoding="utf-8")
    seen = _read_all(plan, context)
    if job.removal is not None and seen.keyless:
        # Which record a row without a key is of, nobody knows: perhaps of one that seems to be gone.
        seen.warnings["rows without a key, so nothing is removed"] = seen.keyless
        job = replace(job, removal=None)
    placed = place(job, folder / "records.parquet", baseline, context.in_flight, seen.records)
    changes = _write_changes(placed, folder)
    _write_invalid(placed, folder)
    counts = placed.counts
    tally = Tally(
        source_rows=seen.source_rows,
        selected=seen.records + seen.keyless + counts["gone"],
        unchanged=counts["unchanged"],
        added=counts["added"],
        changed=counts["changed"],
        removed=counts["removed"],
        invalid=counts["invalid"] + seen.keyless,
        held=counts["held"],
        standing_rejected=counts["standing_rejected"],
        standing_unknown=counts["standing_unknown"],
    )
    tally.check()
    held = baseline_rows(baseline).select(pl.col("accepted").is_not_null().sum()).collect().item()
    return Comparison(
        tally=tally,
        fingerprint=_fingerprint(job, baseline, changes),
        folder=folder,
        baseline_rows=int(held or 0),
        high_water=None if seen.high_water is None else str(seen.high_water),
        warnings=seen.warnings,
    )


def source_frames(plan: Plan, work: Path, *, fresh: bool) -> Iterator[pl.DataFrame]:
    """Yield the source's rows with their joins."""
    lookups = load(plan.job.source, work)
    for frame in frames(plan.given, work, fresh=fresh):
        yield join_all(frame, lookups)


def _read_all(plan: Plan, context: CompareContext) -> Seen:
    """Read the source to its end into `records.parquet` and `broken.parquet`."""
    seen = Seen(high_water=context.high_water if plan.job.send.since else None)
    folder = context.folder
    rules = plan_checks(plan, context.now)
    schema: dict[str, pl.DataType | type[pl.DataType]] = dict(_RECORDS)
    if plan.job.source.duplicates.startswith("by:"):
        schema[names.RANK] = plan.schema[plan.job.source.duplicates.removeprefix("by:")]
    with ExitStack() as stack:
        records = stack.enter_context(Spool(folder / "records.parquet", schema))
        broken = stack.enter_context(Spool(folder / "broken.parquet", BROKEN))
        given = _keyed_frames(plan, context, seen, broken)
        if plan.grouped:
            given = _regrouped(plan, given, folder)

        def work(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
            return examine(plan, frame, rules, context.high_water)

        for found, bad, warnings in in_order(work, given, threads()):
            records.add(found)
            broken.add(bad)
            for name, count in warnings.items():
                seen.warnings[name] = seen.warnings.get(name, 0) + count
        seen.records = records.rows
    return seen


def _keyed_frames(plan: Plan, context: CompareContext, seen: Seen, broken: Spool) -> Iterator[pl.DataFrame]:
    """Yield keyed frames; rows without a key are invalid at once. Tells the watcher how far it is."""
    since = plan.job.send.since
    for frame in source_frames(plan, context.folder, fresh=True):
        kept, lost = keyed(plan, frame)
        broken.add(lost)
        seen.source_rows += frame.height
        seen.keyless += lost.height
        if since is not None:
            seen.high_water = _greater(seen.high_water, frame[since], plan.schema[since])
        if context.watcher is not None:
            context.watcher.progress(plan.job.name, "compare", seen.source_rows, "rows")
        yield kept


def _greater(known: object, values: pl.Series, kind: pl.DataType) -> object:
    """Return the greater of what was known and the greatest of some values, as text."""
    text = pl.Series([known], dtype=pl.String)
    both = pl.concat([text.cast(kind) if kind == pl.String else _typed(text, kind), values])
    greatest = both.max()
    return None if greatest is None else pl.Series([greatest], dtype=kind).cast(pl.String)[0]


def _typed(text: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return texts that were written from a type as that type again."""
    if isinstance(kind, pl.Datetime):
        return text.str.to_datetime(time_unit=kind.time_unit, time_zone=kind.time_zone, strict=False)
    if kind == pl.Date:
        return text.str.to_date(strict=False)
    return text.cast(kind, strict=False)


def _regrouped(plan: Plan, given: Iterator[pl.DataFrame], folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the keyed rows again as frames of whole records."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {names.ROW: pl.Int64, names.KEY: pl.String, **plan.schema}
    spooled = folder / "keyed.parquet"
    with Spool(spooled, schema) as spool:
        for frame in given:
            spool.add(frame)
    spread(spooled, schema, folder)
    spooled.unlink()
    yield from grouped_frames(folder)


def examine(
    plan: Plan, frame: pl.DataFrame, rules: list[Check], high_water: str | None
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Return the records of a keyed frame, the invalid ones with reasons, and the warnings."""
    warnings: dict[str, int] = {}
    frame = frame.with_columns(_old(plan, high_water).alias(names.OLD))
    if plan.grouped:
        frame = frame.with_columns(pl.col(names.OLD).all().over(names.HEAD))
    fresh = frame.filter(~pl.col(names.OLD))
    found = mapped(plan, fresh)
    broken = judged(found, rules, warnings)
    broken = _with_oversized(plan, found, broken)
    heads = found.heads.with_columns(fingerprints(plan, found), pl.lit(value=False).alias("bad"))
    if broken.height:
        heads = heads.with_columns(pl.col(names.ROW).is_in(broken[names.ROW].implode()).alias("bad"))
    if fresh.height < frame.height:
        old = frame.filter(pl.col(names.OLD))
        old = old.filter(pl.col(names.ROW) == pl.col(names.HEAD)) if plan.grouped else old
        empty = pl.lit(None, dtype=pl.Binary).alias(names.FINGERPRINT)
        old = old.with_columns(empty, pl.lit(value=False).alias("bad"))
        heads = pl.concat([heads.select(old.columns), old]).sort(names.ROW)
    columns = list(_RECORDS)
    if plan.job.source.duplicates.startswith("by:"):
        heads = heads.with_columns(pl.col(plan.job.source.duplicates.removeprefix("by:")).alias(names.RANK))
        columns.append(names.RANK)
    return heads.select(columns), broken, warnings


def _old(plan: Plan, high_water: str | None) -> pl.Expr:
    """Return whether a row is at or below the high water mark. Text is compared as text (write ISO 8601 dates)."""
    since = plan.job.send.since
    if since is None or high_water is None:
        return pl.lit(value=False)
    kind = plan.schema[since]
    mark = pl.Series([high_water], dtype=pl.String)
    limit = (mark if kind == pl.String else _typed(mark, kind))[0]
    return (pl.col(since) <= pl.lit(limit, dtype=kind)).fill_null(value=False)


def record_limit(plan: Plan) -> int | None:
    """Return how many bytes a record may have so that it surely fits a file alone, however badly it compresses."""
    most = plan.rules.file.bytes_max
    return None if most is None else max(0, most - most // 100 - 1024)


def _with_oversized(plan: Plan, found: Mapped, broken: pl.DataFrame) -> pl.DataFrame:
    """Return the invalid records with those that no batch file can hold."""
    limit = record_limit(plan)
    if limit is None or not found.heads.height:
        return broken
    bound = widths(found, plan.record)
    if not (bound > limit).any():
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


def _write_changes(placed: Placed, folder: Path) -> pl.DataFrame:
    """Write the changes in the order in which they are sent: by source row, removals last by key."""
    changes = pl.concat([pl.DataFrame(schema=CHANGES), *placed.changes])
    changes = changes.sort(pl.col("op") == "remove", "row", "key")
    changes.write_parquet(folder / "changes.parquet", compression="zstd")
    return changes


def _write_invalid(placed: Placed, folder: Path) -> None:
    """Write the invalid rows: broken ones, and those that lost against another row of the same key."""
    losers = pl.concat([pl.DataFrame(schema={names.ROW: pl.Int64, names.KEY: pl.String}), *placed.losers])
    broken = pl.scan_parquet(folder / "broken.parquet", glob=False).join(losers.lazy(), on=names.ROW, how="anti")
    lost = losers.lazy().select(
        names.ROW,
        names.KEY,
        pl.lit("").alias("field"),
        pl.lit("duplicate_key").alias("code"),
        pl.lit("another row of the source has the same key and was taken").alias("reason"),
    )
    whole = pl.concat([broken, lost]).rename({names.ROW: "row", names.KEY: "key"}).sort("row")
    whole.select(list(INVALID)).sink_parquet(folder / "invalid.parquet", compression="zstd")


def _fingerprint(job: Job, baseline: Baseline, changes: pl.DataFrame) -> str:
    """Return the digest of the plan: the changes by key, the spec, and the baseline they were found against."""
    digest = hashlib.sha256(f"{job.spec_hash}\0{baseline.path.name if baseline.path else ''}\0".encode())
    text = pl.concat_str(["key", "op", pl.col("fingerprint").bin.encode("hex")], separator="\0")
    ordered = changes.sort("key", "op")
    for begin in range(0, ordered.height, 100_000):
        for line in [ordered[begin : begin + 100_000].select(text.str.join("\n"))[0, 0]]:
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()
