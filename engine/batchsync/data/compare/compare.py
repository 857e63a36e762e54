"""Comparison of a source with the baseline: what a run would send, and an account of every row that it would not.

The source is read once, to its end; the results are staged in a work folder.
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
    SUPERSEDED,
    ClassifiedRows,
    DiffInputs,
    StaleWatermarkError,
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
from batchsync.data.mapping.invalid_records import INVALID_RECORDS
from batchsync.data.record.compiled_job import CompiledJob, compile_job
from batchsync.data.record.examine import RECORDS, parse_as
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

#: Minimum number of source rows of a partition by row.
MIN_PARTITION_ROWS = 250_000
#: Capacity of the queue of frames to spill.
_FRAMES_QUEUED = 4


@dataclass(slots=True)
class SourceCounts:
    """Counts of one pass over the source.

    Attributes:
        source_rows: Number of source rows.
        records: Number of records; with `each:` fewer than rows.
        keyless: Number of rows without a key.
        watermark: Greatest value of `send: since` so far, as text.
        warnings: Violations of rules that only warn, by rule.
    """

    source_rows: int = 0
    records: int = 0
    keyless: int = 0
    watermark: object = None
    warnings: dict[str, int] = field(default_factory=dict)


def compare(job: Job, rules: VendorRules, baseline: Baseline, context: CompareContext, workers: TaskPool) -> Comparison:
    """Compare a source with the baseline.

    Rows below the watermark of `send: since` are not mapped. If the baseline does not hold the record of such a row,
    the pass is repeated without the watermark, so that every row is compared.

    Args:
        job: The job.
        rules: Rules of the job's vendor.
        baseline: What the target is known to hold.
        context: Folder, time, rows in flight and options of the comparison.
        workers: Task pool.

    Returns:
        The comparison, staged in the folder of the context.

    Raises:
        SourceError: If the source cannot be read to its end as declared.
        SpecError: If the job does not fit the source.
    """
    make_private(context.folder)
    compiled = compile_job(job, rules, context.template)
    lookups = load(compiled.job.source, context.folder)
    size = source_size(compiled.source_files)
    watermark, streamed = context.watermark, compiled.grouped
    while True:
        spec = task_spec_of(compiled, lookups, context.folder, now=context.now, watermark=watermark)
        try:
            return _compare_once(ComparePass(compiled, context, spec, workers, size, streamed=streamed), baseline)
        except UnsortedError:
            streamed = False
        except StaleWatermarkError:
            watermark = None


@dataclass(frozen=True, slots=True)
class ComparePass:
    """Constants of one pass over the source.

    Attributes:
        compiled: The compiled job.
        context: Context of the comparison.
        spec: Pickled `TaskSpec`.
        workers: Task pool.
        size: Size of the source, for progress.
        streamed: Whether a source with `each:` is expected to be sorted by its key.
    """

    compiled: CompiledJob
    context: CompareContext
    spec: bytes
    workers: TaskPool
    size: SourceSize
    streamed: bool


def _compare_once(compare_pass: ComparePass, baseline: Baseline) -> Comparison:
    """Make one pass and compare the records with the baseline.

    Raises:
        UnsortedError: If the source was expected to be sorted by its key and is not.
        StaleWatermarkError: If a row below the watermark has a key whose record the baseline does not hold.
    """
    compiled, context, job = compare_pass.compiled, compare_pass.context, compare_pass.compiled.job
    folder = context.folder
    template = list(context.template) if context.template is not None else None
    options = {"template": template, "streamed": compare_pass.streamed}
    (folder / "compare.json").write_text(json.dumps(options), encoding="utf-8")
    with ExitStack() as stack:
        schema: dict[str, pl.DataType | type[pl.DataType]] = dict(RECORDS)
        if job.source.duplicates.startswith("by:"):
            schema[columns.RANK] = compiled.schema[job.source.duplicates.removeprefix("by:")]
        records = stack.enter_context(PartitionedSpill(folder, "records", schema))

        invalid = stack.enter_context(ParquetWriter(folder / "broken.parquet", INVALID_RECORDS, few=("field", "code")))
        eager = (
            stack.enter_context(EagerEncoder(compiled, folder))
            if can_encode_eagerly(compiled, baseline, context)
            else None
        )
        counts = _read_all(compare_pass, records, invalid, eager)
        invalid.close()
        comparison = _with_baseline(compiled, baseline, context, counts, records)
        if eager is not None:
            eager.finish(comparison.counts.added)
        return comparison


def _with_baseline(
    compiled: CompiledJob, baseline: Baseline, context: CompareContext, counts: SourceCounts, records: PartitionedSpill
) -> Comparison:
    """Return the comparison of the records found with the baseline and with the keys in flight."""
    folder, job = context.folder, compiled.job
    if job.removal is not None and counts.keyless:
        # A row without a key may belong to any record, also to one that seems to be deleted.
        counts.warnings["rows without a key, so nothing is removed"] = counts.keyless
        job = replace(job, removal=None)
    segments = ",".join(path.name for path in baseline.paths)
    digest = hashlib.sha256(f"{job.spec_hash}\0{context.account_id}\0{segments}\0".encode())
    with ExitStack() as stack:
        in_flight = stack.enter_context(PartitionedSpill(folder, "in-flight", {"key": pl.String}))
        inputs = DiffInputs(records=records, baseline=baseline, in_flight=in_flight)
        if job.removal is not None and (
            protected := protect_from_removal(job, removal_record(job, compiled.rules), inputs, folder)
        ):
            counts.warnings["keys not removed, because their removal would name a record of the source"] = protected
        load_in_flight_keys(context.in_flight, in_flight)
        classified = ClassifiedRows(
            changes=stack.enter_context(PartitionedSpill(folder, "changes", CHANGES)),
            removed=stack.enter_context(ParquetWriter(folder / "removed.parquet", CHANGES)),
            superseded=stack.enter_context(PartitionedSpill(folder, "superseded", SUPERSEDED)),
            partition_rows=max(MIN_PARTITION_ROWS, -(-counts.source_rows // PARTITIONS)),
            digest=digest,
        )
        classify(job, inputs, classified)
        classified.removed.close()
        write_changes(classified, folder)
        write_invalid(classified, folder)
    return _comparison(counts, classified, folder)


def _comparison(source: SourceCounts, classified: ClassifiedRows, folder: Path) -> Comparison:
    """Return the comparison with its balanced counts."""
    counts = classified.counts
    plan_counts = PlanCounts(
        source_rows=source.source_rows,
        selected=source.records + source.keyless + counts["deleted"],
        unchanged=counts["unchanged"],
        added=counts["added"],
        changed=counts["changed"],
        resent=counts["resent"],
        removed=counts["removed"],
        invalid=counts["invalid"] + source.keyless,
        deferred=counts["deferred"],
        still_rejected=counts["still_rejected"],
        still_unknown=counts["still_unknown"],
    )
    plan_counts.assert_balanced()
    if counts["other_definition"]:
        source.warnings["keys of an earlier key definition, which are not removed"] = counts["other_definition"]
    return Comparison(
        counts=plan_counts,
        fingerprint=classified.digest.hexdigest(),
        folder=folder,
        baseline_rows=counts["at_target"],
        watermark=None if source.watermark is None else str(source.watermark),
        warnings=source.warnings,
        removals_known=not source.keyless,
    )


def _read_all(
    compare_pass: ComparePass, records: PartitionedSpill, invalid: ParquetWriter, eager: EagerEncoder | None
) -> SourceCounts:
    """Read the source to its end, collect records and invalid rows, and return the counts."""
    compiled, context = compare_pass.compiled, compare_pass.context
    counts = SourceCounts(watermark=context.watermark if compiled.job.send.since else None)
    parts = partitions(
        compiled.source_files, context.folder, fresh=True, by_reference=compare_pass.workers.by_reference
    )
    if compiled.grouped:
        tasks = _grouped_tasks(compare_pass, _keyed_rows(compare_pass, parts, counts, invalid))
    else:
        tasks = _tasks(compare_pass.spec, parts, eager)
    with (
        SerialExecutor(_FRAMES_QUEUED) as spilling,
        closing(compare_pass.workers.map_in_order(prepare_comparison, tasks)) as done,
    ):
        for result in done:
            spilling.submit(records.add, result.examined.records, partition_of_key(columns.KEY))
            invalid.add(result.examined.invalid)
            if eager is not None:
                eager.add(result.encoded)
            for name, count in result.examined.warnings.items():
                counts.warnings[name] = counts.warnings.get(name, 0) + count
            if result.keyed is not None:
                _count(compare_pass, counts, invalid, result.keyed)
        spilling.finish()
    records.finish()
    counts.records = records.rows
    return counts


def _tasks(spec: bytes, parts: Iterator[Partition], eager: EagerEncoder | None) -> Iterator[CompareTask]:
    """Yield a task for each partition."""
    for part in parts:
        yield CompareTask(spec, part, eager=eager is not None and eager.wanted)


def _count(compare_pass: ComparePass, counts: SourceCounts, invalid: ParquetWriter, keyed: Keyed) -> None:
    """Count the rows of a partition, collect those without a key as invalid, and report progress."""
    compiled, context = compare_pass.compiled, compare_pass.context
    invalid.add(keyed.keyless)
    counts.source_rows += keyed.count
    counts.keyless += keyed.keyless.height
    if keyed.watermark is not None and compiled.job.send.since is not None:
        counts.watermark = _greater(counts.watermark, keyed.watermark, compiled.schema[compiled.job.send.since])
    if context.observer is not None:
        rows, size = counts.source_rows, compare_pass.size
        context.observer.on_progress(compiled.job.name, "compare", rows, "rows", size.rows, size.read(rows))


def _keyed_rows(
    compare_pass: ComparePass, parts: Iterator[Partition], counts: SourceCounts, invalid: ParquetWriter
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a source with their keys."""
    tasks = (KeyTask(compare_pass.spec, part) for part in parts)
    for keyed in compare_pass.workers.map_in_order(prepare_keys, tasks):
        _count(compare_pass, counts, invalid, keyed)
        yield keyed.rows


def _grouped_tasks(compare_pass: ComparePass, keyed: Iterator[pl.DataFrame]) -> Iterator[CompareTask]:
    """Yield a task for each frame of whole records."""
    if compare_pass.streamed:
        frames = iter_sorted_groups(keyed)
    else:
        schema: dict[str, pl.DataType | type[pl.DataType]] = {columns.ROW: pl.Int64, columns.KEY: pl.String}
        spill(keyed, schema | compare_pass.compiled.schema, compare_pass.context.folder)
        frames = iter_groups(compare_pass.context.folder)
    for rows in frames:
        yield CompareTask(compare_pass.spec, rows)


def _greater(known: object, values: pl.Series, kind: pl.DataType) -> object:
    """Return the greatest of a known value and some values, as text."""
    text = pl.Series([known], dtype=pl.String)
    if kind == pl.String:
        return greatest(pl.concat([text, values]))
    maximum = pl.concat([parse_as(text, kind), values]).max()
    return None if maximum is None else pl.Series([maximum], dtype=kind).cast(pl.String)[0]
