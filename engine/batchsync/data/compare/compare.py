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

from batchsync.core.accounting import PlanCounts
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.batchfile.eager_encode import EagerEncoder, can_encode_eagerly
from batchsync.data.compare.classify import (
    LOSERS,
    ClassifiedRows,
    DiffInputs,
    NotHeldError,
    classify,
    load_in_flight_keys,
)
from batchsync.data.compare.compare_task import CompareTask, prepare_comparison
from batchsync.data.compare.diff_files import write_changes, write_invalid
from batchsync.data.compare.removal_conflicts import protect_from_removal
from batchsync.data.frame import columns
from batchsync.data.frame.key_hash import PARTITIONS, partition_of_key
from batchsync.data.frame.ordering import greatest
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.mapping.invalid_records import BROKEN
from batchsync.data.record.compiled_job import CompiledJob, compile_job
from batchsync.data.record.examine import RECORDS, typed
from batchsync.data.record.group_by_key import UnsortedError, iter_groups, iter_sorted_groups, spill
from batchsync.data.record.key_task import Keyed, KeyTask, prepare_keys
from batchsync.data.record.removal import removal_record
from batchsync.data.record.task_spec import task_spec_of
from batchsync.data.row.joins import load
from batchsync.data.row.partitions import Partition, SourceSize, partitions, source_size
from batchsync.ports import Comparison
from batchsync.util.executor import SerialExecutor, TaskPool
from batchsync.util.files import make_private
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Baseline, CompareContext

#: Source rows of one part of a scatter by row, at least.
PARTITION_SHARE = 250_000
#: Frames of records that wait to be put away.
_WAITING = 4


@dataclass(slots=True)
class SourceCounts:
    """What the pass over the source counted."""

    source_rows: int = 0
    records: int = 0
    keyless: int = 0
    watermark: object = None
    warnings: dict[str, int] = field(default_factory=dict)


def compare(job: Job, rules: VendorRules, baseline: Baseline, context: CompareContext, workers: TaskPool) -> Comparison:
    """Return what a run would send.

    Rows below the mark of `send: since` are not mapped. If one of them is of a key whose record the baseline does not
    hold, the work begins again without the mark: every row is then compared.

    Raises:
        SourceError: when the source cannot be read to its end as declared.
        SpecError: when the job does not fit the source.
    """
    make_private(context.folder)
    plan = compile_job(job, rules, context.template)
    lookups = load(plan.job.source, context.folder)
    extent = source_size(plan.given)
    mark, streamed = context.watermark, plan.grouped
    while True:
        recipe = task_spec_of(plan, lookups, context.folder, now=context.now, high_water=mark)
        try:
            return _compared(CompareWork(plan, context, recipe, workers, extent, streamed=streamed), baseline)
        except UnsortedError:
            streamed = False
        except NotHeldError:
            mark = None


@dataclass(frozen=True, slots=True)
class CompareWork:
    """What does not change while a source is compared. `streamed` takes a source with `each:` for sorted by its key."""

    plan: CompiledJob
    context: CompareContext
    recipe: bytes
    workers: TaskPool
    extent: SourceSize
    streamed: bool


def _compared(work: CompareWork, baseline: Baseline) -> Comparison:
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
            schema[columns.RANK] = plan.schema[job.source.duplicates.removeprefix("by:")]
        records = stack.enter_context(PartitionedSpill(folder, "records", schema))
        broken = stack.enter_context(ParquetWriter(folder / "broken.parquet", BROKEN, few=("field", "code")))
        ahead = stack.enter_context(EagerEncoder(plan, folder)) if can_encode_eagerly(plan, baseline, context) else None
        sinks = _Sinks(records, broken, ahead)
        seen = _read_all(work, sinks)
        broken.close()
        return _placed(plan, baseline, context, seen, sinks)


@dataclass(frozen=True, slots=True)
class _Sinks:
    """Where a pass over the source leaves what it finds."""

    records: PartitionedSpill
    broken: ParquetWriter
    ahead: EagerEncoder | None


def _placed(
    plan: CompiledJob, baseline: Baseline, context: CompareContext, seen: SourceCounts, sinks: _Sinks
) -> Comparison:
    """Return the comparison of what was found with the baseline and with what is under way."""
    folder, job = context.folder, plan.job
    if job.removal is not None and seen.keyless:
        # Which record a row without a key is of, nobody knows: perhaps of one that seems to be gone.
        seen.warnings["rows without a key, so nothing is removed"] = seen.keyless
        job = replace(job, removal=None)
    known = ",".join(path.name for path in baseline.paths)
    digest = hashlib.sha256(f"{job.spec_hash}\0{context.account_id}\0{known}\0".encode())
    with ExitStack() as stack:
        flying = stack.enter_context(PartitionedSpill(folder, "flying", {"key": pl.String}))
        given = DiffInputs(records=sinks.records, baseline=baseline, in_flight=flying)
        if job.removal is not None and (
            spared := protect_from_removal(job, removal_record(job, plan.rules), given, folder)
        ):
            seen.warnings["keys that are gone, whose removal would name a record still there: not removed"] = spared
        load_in_flight_keys(context.in_flight, flying)
        placed = ClassifiedRows(
            changes=stack.enter_context(PartitionedSpill(folder, "changes", CHANGES)),
            removed=stack.enter_context(ParquetWriter(folder / "removed.parquet", CHANGES)),
            losers=stack.enter_context(PartitionedSpill(folder, "losers", LOSERS)),
            share=max(PARTITION_SHARE, -(-seen.source_rows // PARTITIONS)),
            digest=digest,
        )
        classify(job, given, placed)
        placed.removed.close()
        write_changes(placed, folder)
        write_invalid(placed, folder)
    if sinks.ahead is not None:
        sinks.ahead.finish(placed.counts["added"])
    return _comparison(seen, placed, folder)


def _comparison(seen: SourceCounts, placed: ClassifiedRows, folder: Path) -> Comparison:
    """Return the comparison in numbers."""
    counts = placed.counts
    plan_counts = PlanCounts(
        source_rows=seen.source_rows,
        selected=seen.records + seen.keyless + counts["gone"],
        unchanged=counts["unchanged"],
        added=counts["added"],
        changed=counts["changed"],
        resent=counts["resent"],
        removed=counts["removed"],
        invalid=counts["invalid"] + seen.keyless,
        deferred=counts["held"],
        still_rejected=counts["standing_rejected"],
        still_unknown=counts["standing_unknown"],
    )
    plan_counts.assert_balanced()
    if counts["foreign"]:
        seen.warnings["keys of an earlier key definition, which are not removed"] = counts["foreign"]
    return Comparison(
        counts=plan_counts,
        fingerprint=placed.digest.hexdigest(),
        folder=folder,
        baseline_rows=counts["at_target"],
        watermark=None if seen.watermark is None else str(seen.watermark),
        warnings=seen.warnings,
        removals_known=not seen.keyless,
    )


def _read_all(work: CompareWork, sinks: _Sinks) -> SourceCounts:
    """Read the source to its end and return what was counted."""
    plan, context = work.plan, work.context
    seen = SourceCounts(watermark=context.watermark if plan.job.send.since else None)
    given = partitions(plan.given, context.folder, fresh=True, apart=work.workers.apart)
    if plan.grouped:
        tasks = _grouped_tasks(work, _keyed_rows(work, given, seen, sinks))
    else:
        tasks = _tasks(work.recipe, given, sinks.ahead)
    with SerialExecutor(_WAITING) as beside, closing(work.workers.in_order(prepare_comparison, tasks)) as found:
        for item in found:
            beside.do(sinks.records.add, item.examined.records, partition_of_key(columns.KEY))
            sinks.broken.add(item.examined.broken)
            if sinks.ahead is not None:
                sinks.ahead.add(item.encoded)
            for name, count in item.examined.warnings.items():
                seen.warnings[name] = seen.warnings.get(name, 0) + count
            if item.keyed is not None:
                _count(work, seen, sinks, item.keyed)
        beside.finish()
    sinks.records.finish()
    seen.records = sinks.records.rows
    return seen


def _tasks(recipe: bytes, given: Iterator[Partition], ahead: EagerEncoder | None) -> Iterator[CompareTask]:
    """Yield a task for each part."""
    for part in given:
        yield CompareTask(recipe, part, ahead=ahead is not None and ahead.wanted)


def _count(work: CompareWork, seen: SourceCounts, sinks: _Sinks, one: Keyed) -> None:
    """Count the rows of a part; those without a key are invalid at once. Tells the watcher how far it is."""
    plan, context = work.plan, work.context
    sinks.broken.add(one.lost)
    seen.source_rows += one.count
    seen.keyless += one.lost.height
    if one.most is not None and plan.job.send.since is not None:
        seen.watermark = _greater(seen.watermark, one.most, plan.schema[plan.job.send.since])
    if context.observer is not None:
        rows, extent = seen.source_rows, work.extent
        context.observer.on_progress(plan.job.name, "compare", rows, "rows", extent.rows, extent.read(rows))


def _keyed_rows(
    work: CompareWork, given: Iterator[Partition], seen: SourceCounts, sinks: _Sinks
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a source with their keys."""
    tasks = (KeyTask(work.recipe, part) for part in given)
    for item in work.workers.in_order(prepare_keys, tasks):
        _count(work, seen, sinks, item)
        yield item.rows


def _grouped_tasks(work: CompareWork, given: Iterator[pl.DataFrame]) -> Iterator[CompareTask]:
    """Yield a task for each frame of whole records."""
    if work.streamed:
        frames = iter_sorted_groups(given)
    else:
        schema: dict[str, pl.DataType | type[pl.DataType]] = {columns.ROW: pl.Int64, columns.KEY: pl.String}
        spill(given, schema | work.plan.schema, work.context.folder)
        frames = iter_groups(work.context.folder)
    for rows in frames:
        yield CompareTask(work.recipe, rows)


def _greater(known: object, values: pl.Series, kind: pl.DataType) -> object:
    """Return the greater of what was known and the greatest of some values, as text."""
    text = pl.Series([known], dtype=pl.String)
    if kind == pl.String:
        return greatest(pl.concat([text, values]))
    most = pl.concat([typed(text, kind), values]).max()
    return None if most is None else pl.Series([most], dtype=kind).cast(pl.String)[0]
