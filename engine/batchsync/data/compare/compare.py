"""A comparison says what a run would send, and accounts for every row that it would not.

It does not encode or send anything. It reads the source once, to its end, and leaves its findings in a work folder.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from lading.core.accounting import Tally
from lading.data import names
from lading.data.ahead import Ahead, may_go_ahead
from lading.data.diff import CHANGES, LOSERS, Given, NotHeldError, Placed, place, read_flying
from lading.data.encode import removal_record
from lading.data.examine import RECORDS, typed
from lading.data.findings import write_changes, write_invalid
from lading.data.grouping import UnsortedError, grouped_frames, spread, streamed
from lading.data.joins import load
from lading.data.parts import Extent, Part, extent_of, parts
from lading.data.ranks import greatest
from lading.data.recipe import recipe_of
from lading.data.records import BROKEN, Plan, make_plan
from lading.data.scatter import PARTS, Scatter, part_of_key
from lading.data.spare import spare
from lading.data.spool import Spool
from lading.data.tasks import CompareTask, Keyed, KeyTask, prepare_comparison, prepare_keys
from lading.data.workers import InTurn, Workers
from lading.folders import make_private
from lading.ports import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.ports import Baseline, CompareContext

#: Source rows of one part of a scatter by row, at least.
SHARE = 250_000
#: Frames of records that wait to be put away.
_WAITING = 4


@dataclass(slots=True)
class Seen:
    """What the pass over the source counted."""

    source_rows: int = 0
    records: int = 0
    keyless: int = 0
    high_water: object = None
    warnings: dict[str, int] = field(default_factory=dict)


def compare(job: Job, rules: VendorRules, baseline: Baseline, context: CompareContext, workers: Workers) -> Comparison:
    """Return what a run would send.

    Rows below the mark of `send: since` are not mapped. If one of them is of a key whose record the baseline does not
    hold, the work begins again without the mark: every row is then compared.

    Raises:
        SourceError: when the source cannot be read to its end as declared.
        SpecError: when the job does not fit the source.
    """
    make_private(context.folder)
    plan = make_plan(job, rules, context.template)
    lookups = load(plan.job.source, context.folder)
    extent = extent_of(plan.given)
    mark, streamed = context.high_water, plan.grouped
    while True:
        recipe = recipe_of(plan, lookups, context.folder, now=context.now, high_water=mark)
        try:
            return _compared(_Work(plan, context, recipe, workers, extent, streamed=streamed), baseline)
        except UnsortedError:
            streamed = False
        except NotHeldError:
            mark = None


@dataclass(frozen=True, slots=True)
class _Work:
    """What does not change while a source is compared. `streamed` takes a source with `each:` for sorted by its key."""

    plan: Plan
    context: CompareContext
    recipe: bytes
    workers: Workers
    extent: Extent
    streamed: bool


def _compared(work: _Work, baseline: Baseline) -> Comparison:
    """Return what a run would send.

    Raises:
        UnsortedError: when the source was taken for sorted by its key and is not.
        NotHeldError: when a row below the mark is of a key whose record the baseline does not hold.
    """
    plan, context, job = work.plan, work.context, work.plan.job
    folder = context.folder
    template = list(context.template) if context.template is not None else None
    facts = {"template": template, "streamed": work.streamed}
    (folder / "compare.json").write_text(json.dumps(facts), encoding="utf-8")
    with ExitStack() as stack:
        schema: dict[str, pl.DataType | type[pl.DataType]] = dict(RECORDS)
        if job.source.duplicates.startswith("by:"):
            schema[names.RANK] = plan.schema[job.source.duplicates.removeprefix("by:")]
        records = stack.enter_context(Scatter(folder, "records", schema))
        broken = stack.enter_context(Spool(folder / "broken.parquet", BROKEN, few=("field", "code")))
        ahead = stack.enter_context(Ahead(plan, folder)) if may_go_ahead(plan, baseline, context) else None
        sinks = _Sinks(records, broken, ahead)
        seen = _read_all(work, sinks)
        broken.close()
        return _placed(plan, baseline, context, seen, sinks)


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
    digest = hashlib.sha256(f"{job.spec_hash}\0{context.identity}\0{known}\0".encode())
    with ExitStack() as stack:
        flying = stack.enter_context(Scatter(folder, "flying", {"key": pl.String}))
        given = Given(records=sinks.records, baseline=baseline, flying=flying)
        if job.removal is not None and (spared := spare(job, removal_record(job, plan.rules), given, folder)):
            seen.warnings["keys that are gone, whose removal would name a record still there: not removed"] = spared
        read_flying(context.in_flight, flying)
        placed = Placed(
            changes=stack.enter_context(Scatter(folder, "changes", CHANGES)),
            removed=stack.enter_context(Spool(folder / "removed.parquet", CHANGES)),
            losers=stack.enter_context(Scatter(folder, "losers", LOSERS)),
            share=max(SHARE, -(-seen.source_rows // PARTS)),
            digest=digest,
        )
        place(job, given, placed)
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
        resent=counts["resent"],
        removed=counts["removed"],
        invalid=counts["invalid"] + seen.keyless,
        held=counts["held"],
        standing_rejected=counts["standing_rejected"],
        standing_unknown=counts["standing_unknown"],
    )
    tally.check()
    if counts["foreign"]:
        seen.warnings["keys of an earlier key definition, which are not removed"] = counts["foreign"]
    return Comparison(
        tally=tally,
        fingerprint=placed.digest.hexdigest(),
        folder=folder,
        baseline_rows=counts["at_target"],
        high_water=None if seen.high_water is None else str(seen.high_water),
        warnings=seen.warnings,
        removals_known=not seen.keyless,
    )


def _read_all(work: _Work, sinks: _Sinks) -> Seen:
    """Read the source to its end and return what was counted."""
    plan, context = work.plan, work.context
    seen = Seen(high_water=context.high_water if plan.job.send.since else None)
    given = parts(plan.given, context.folder, fresh=True, apart=work.workers.apart)
    if plan.grouped:
        tasks = _grouped_tasks(work, _keyed_rows(work, given, seen, sinks))
    else:
        tasks = _tasks(work.recipe, given, sinks.ahead)
    with InTurn(_WAITING) as beside, closing(work.workers.in_order(prepare_comparison, tasks)) as found:
        for one in found:
            beside.do(sinks.records.add, one.examined.records, part_of_key(names.KEY))
            sinks.broken.add(one.examined.broken)
            if sinks.ahead is not None:
                sinks.ahead.add(one.encoded)
            for name, count in one.examined.warnings.items():
                seen.warnings[name] = seen.warnings.get(name, 0) + count
            if one.keyed is not None:
                _count(work, seen, sinks, one.keyed)
        beside.finish()
    sinks.records.finish()
    seen.records = sinks.records.rows
    return seen


def _tasks(recipe: bytes, given: Iterator[Part], ahead: Ahead | None) -> Iterator[CompareTask]:
    """Yield a task for each part."""
    for part in given:
        yield CompareTask(recipe, part, ahead=ahead is not None and ahead.wanted)


def _count(work: _Work, seen: Seen, sinks: _Sinks, one: Keyed) -> None:
    """Count the rows of a part; those without a key are invalid at once. Tells the watcher how far it is."""
    plan, context = work.plan, work.context
    sinks.broken.add(one.lost)
    seen.source_rows += one.count
    seen.keyless += one.lost.height
    if one.most is not None and plan.job.send.since is not None:
        seen.high_water = _greater(seen.high_water, one.most, plan.schema[plan.job.send.since])
    if context.watcher is not None:
        rows, extent = seen.source_rows, work.extent
        context.watcher.progress(plan.job.name, "compare", rows, "rows", extent.rows, extent.read(rows))


def _keyed_rows(work: _Work, given: Iterator[Part], seen: Seen, sinks: _Sinks) -> Iterator[pl.DataFrame]:
    """Yield the rows of a source with their keys."""
    tasks = (KeyTask(work.recipe, part) for part in given)
    for one in work.workers.in_order(prepare_keys, tasks):
        _count(work, seen, sinks, one)
        yield one.rows


def _grouped_tasks(work: _Work, given: Iterator[pl.DataFrame]) -> Iterator[CompareTask]:
    """Yield a task for each frame of whole records."""
    if work.streamed:
        frames = streamed(given)
    else:
        schema: dict[str, pl.DataType | type[pl.DataType]] = {names.ROW: pl.Int64, names.KEY: pl.String}
        spread(given, schema | work.plan.schema, work.context.folder)
        frames = grouped_frames(work.context.folder)
    for rows in frames:
        yield CompareTask(work.recipe, rows)


def _greater(known: object, values: pl.Series, kind: pl.DataType) -> object:
    """Return the greater of what was known and the greatest of some values, as text."""
    text = pl.Series([known], dtype=pl.String)
    if kind == pl.String:
        return greatest(pl.concat([text, values]))
    most = pl.concat([typed(text, kind), values]).max()
    return None if most is None else pl.Series([most], dtype=kind).cast(pl.String)[0]
