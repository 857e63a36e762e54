"""A comparison says what a run would send, and accounts for every row that it would not.

It does not encode or send anything. It reads the source once, to its end, and leaves its findings in a work folder.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from lading.core.accounting import Tally
from lading.data import names
from lading.data.ahead import Ahead, may_go_ahead
from lading.data.diff import CHANGES, LOSERS, Given, Placed, place, read_flying
from lading.data.examine import RECORDS, Examined, examine, typed
from lading.data.findings import write_changes, write_invalid
from lading.data.grouping import grouped_frames, spread
from lading.data.joins import join_all, load
from lading.data.keys import keyed
from lading.data.read import frames
from lading.data.records import BROKEN, Plan, make_plan, plan_checks
from lading.data.scatter import PARTS, Scatter, part_of_key
from lading.data.spool import Spool, in_order, threads
from lading.ports import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.data.encode import Encoded
    from lading.ports import Baseline, CompareContext

#: Source rows of one part of a scatter by row, at least.
SHARE = 1_000_000


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
    with ExitStack() as stack:
        schema: dict[str, pl.DataType | type[pl.DataType]] = dict(RECORDS)
        if job.source.duplicates.startswith("by:"):
            schema[names.RANK] = plan.schema[job.source.duplicates.removeprefix("by:")]
        records = stack.enter_context(Scatter(folder, "records", schema))
        broken = stack.enter_context(Spool(folder / "broken.parquet", BROKEN))
        ahead = stack.enter_context(Ahead(plan, folder)) if may_go_ahead(plan, baseline, context) else None
        seen = _read_all(plan, context, _Sinks(records, broken, ahead))
        broken.close()
        return _placed(plan, baseline, context, seen, _Sinks(records, broken, ahead))


@dataclass(frozen=True, slots=True)
class _Sinks:
    """Where a pass over the source leaves what it finds."""

    records: Scatter
    broken: Spool
    ahead: Ahead | None


def _placed(plan: Plan, baseline: Baseline, context: CompareContext, seen: Seen, sinks: _Sinks) -> Comparison:
    """Return the comparison of what was found with the baseline and with what is under way."""
    folder, job = context.folder, plan.job
    if job.removal is not None and seen.keyless:
        # Which record a row without a key is of, nobody knows: perhaps of one that seems to be gone.
        seen.warnings["rows without a key, so nothing is removed"] = seen.keyless
        job = replace(job, removal=None)
    known = ",".join(one.name for one in baseline.paths)
    digest = hashlib.sha256(f"{job.spec_hash}\0{known}\0".encode())
    with ExitStack() as stack:
        flying = stack.enter_context(Scatter(folder, "flying", {"key": pl.String}))
        read_flying(context.in_flight, flying)
        placed = Placed(
            changes=stack.enter_context(Scatter(folder, "changes", CHANGES)),
            removed=stack.enter_context(Spool(folder / "removed.parquet", CHANGES)),
            losers=stack.enter_context(Scatter(folder, "losers", LOSERS)),
            share=max(SHARE, -(-seen.source_rows // PARTS)),
            digest=digest,
        )
        place(job, Given(records=sinks.records, baseline=baseline, flying=flying), placed)
        placed.removed.close()
        write_changes(placed, folder)
        write_invalid(placed, folder)
    if sinks.ahead is not None:
        sinks.ahead.finish(placed.counts["added"])
    return _comparison(seen, placed, folder)


def _comparison(seen: Seen, placed: Placed, folder: Path) -> Comparison:
    """Return the comparison in numbers."""
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
    return Comparison(
        tally=tally,
        fingerprint=placed.digest.hexdigest(),
        folder=folder,
        baseline_rows=counts["at_target"],
        high_water=None if seen.high_water is None else str(seen.high_water),
        warnings=seen.warnings,
    )


def source_frames(plan: Plan, work: Path, *, fresh: bool) -> Iterator[pl.DataFrame]:
    """Yield the source's rows with their joins."""
    lookups = load(plan.job.source, work)
    for frame in frames(plan.given, work, fresh=fresh):
        yield join_all(frame, lookups)


def _read_all(plan: Plan, context: CompareContext, sinks: _Sinks) -> Seen:
    """Read the source to its end and return what was counted."""
    seen = Seen(high_water=context.high_water if plan.job.send.since else None)
    rules = plan_checks(plan, context.now)
    given = _keyed_frames(plan, context, seen, sinks.broken)
    if plan.grouped:
        given = _regrouped(plan, given, context.folder)
    ahead = sinks.ahead

    def work(frame: pl.DataFrame) -> tuple[Examined, Encoded | None]:
        one, mapped = examine(plan, frame, rules, context.high_water)
        return one, None if ahead is None else ahead.encode(mapped)

    for one, encoded in in_order(work, given, threads()):
        sinks.records.add(one.records, part_of_key(names.KEY))
        sinks.broken.add(one.broken)
        if ahead is not None:
            ahead.add(encoded)
        for name, count in one.warnings.items():
            seen.warnings[name] = seen.warnings.get(name, 0) + count
    sinks.records.finish()
    seen.records = sinks.records.rows
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


def _regrouped(plan: Plan, given: Iterator[pl.DataFrame], folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the keyed rows again as frames of whole records."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {names.ROW: pl.Int64, names.KEY: pl.String, **plan.schema}
    spread(given, schema, folder)
    yield from grouped_frames(folder)


def _greater(known: object, values: pl.Series, kind: pl.DataType) -> object:
    """Return the greater of what was known and the greatest of some values, as text."""
    text = pl.Series([known], dtype=pl.String)
    both = pl.concat([text.cast(kind) if kind == pl.String else typed(text, kind), values])
    greatest = both.max()
    return None if greatest is None else pl.Series([greatest], dtype=kind).cast(pl.String)[0]
