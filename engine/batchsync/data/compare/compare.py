"""Comparison of a source with the baseline: what a run would send, and an account of every row that it would not.

The source is read once, to its end; the results are staged in a work folder: `changes.parquet` and `invalid.parquet`,
in source order.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.contract import ContractCounts
from batchsync.core.job import OnRemovedAnswer
from batchsync.core.keep import Keep
from batchsync.core.vendor_rules import Reference
from batchsync.data.baseline.segments import holds_former_fingerprints
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.batchfile.eager_encode import EagerEncoder
from batchsync.data.compare.classified_files import write_changes, write_invalid
from batchsync.data.compare.classify import ClassifiedRows, StaleWatermarkError, classify
from batchsync.data.compare.classify_partition import RENEWED, SUPERSEDED
from batchsync.data.compare.diff_inputs import DiffInputs, SourceRows
from batchsync.data.compare.plan_of import Classification, new_digest, plan_of
from batchsync.data.compare.read_source import SourcePass
from batchsync.data.compare.removal_conflicts import protect_from_removal
from batchsync.data.compare.source_counts import SourceCounts
from batchsync.data.frame import columns
from batchsync.data.frame.hashes import PARTITIONS, partition_of_key
from batchsync.data.frame.partitioned_spill import ROWS_IN_MEMORY, PartitionedSpill
from batchsync.data.mapping.validate import INVALID_RECORDS, checks
from batchsync.data.record.compiled_job import CompiledJob, compile_job, key_columns, key_names
from batchsync.data.record.examine import record_schema
from batchsync.data.record.group_by_key import UnsortedError
from batchsync.data.record.keyed_rows import TaskSpec
from batchsync.data.row.joins import load
from batchsync.data.row.open_source import open_source
from batchsync.ports import Comparison
from batchsync.util.files import make_private
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.frame.known import Baseline
    from batchsync.ports import CompareContext
    from batchsync.util.executor import TaskPool

#: Minimum number of source rows of a partition by row.
MIN_PARTITION_ROWS = 250_000
_CHUNK_ROWS = 100_000


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
    compiled = compile_job(job, rules, open_source(job.source), context.template).without_problems()
    spec = TaskSpec(
        compiled=compiled,
        folder=context.folder,
        lookups=load(job.source, context.folder, compiled.used),
        checks=tuple(checks(compiled.record, rules.schema_for(job.target), job.mode, context.now)),
        watermark=context.watermark,
        former=any(holds_former_fingerprints(path) for path in baseline.paths),
        listed=context.listed,
    )
    streamed = compiled.grouped
    while True:
        try:
            return _compare_once(spec, baseline, context, workers, streamed=streamed)
        except UnsortedError:
            streamed = False
        except StaleWatermarkError:
            spec = replace(spec, watermark=None)


def _compare_once(
    spec: TaskSpec, baseline: Baseline, context: CompareContext, workers: TaskPool, *, streamed: bool
) -> Comparison:
    """Read the source once and compare its records with the baseline.

    Raises:
        UnsortedError: If the source was expected to be sorted by its key (`streamed`) and is not.
        StaleWatermarkError: If a row below the watermark has a key whose record the baseline does not hold.
    """
    compiled, folder = spec.compiled, context.folder
    options = {"template": context.template, "streamed": streamed}
    (folder / "compare.json").write_text(json.dumps(options), encoding="utf-8")
    # If the target is known to hold nothing, every valid record is sent, in the frames in which it is read.
    nothing_known = not baseline.rows and not context.in_flight and context.watermark is None
    # Eager encoding sends every valid record as it is read, so that none may be suppressed.
    encodable = context.eager and nothing_known and context.suppression is None and context.listed is None
    # Frames that are read in any order have no numbers yet.
    numbered = compiled.rules.file.reference is Reference.NUMBER or compiled.rules.file.rows_max is not None
    is_eager = encodable and not compiled.grouped and not numbered
    counts = SourceCounts(
        watermark=context.watermark if compiled.job.send.since else None,
        contract=ContractCounts.before_reading(compiled.job.source.contract),
    )
    with ExitStack() as stack:
        records = stack.enter_context(PartitionedSpill(folder, "records", record_schema(compiled, former=spec.former)))
        listed = stack.enter_context(PartitionedSpill(folder, "listed", {columns.KEY: pl.String}))
        invalid = stack.enter_context(ParquetWriter(folder / "broken.parquet", INVALID_RECORDS, few=("field", "code")))
        eager = stack.enter_context(EagerEncoder(compiled, folder)) if is_eager else None
        SourcePass(
            spec=spec,
            context=context,
            workers=workers,
            size=compiled.source_files.reader.size(compiled.source_files),
            streamed=streamed,
            records=records,
            invalid=invalid,
            eager=eager,
            listed=listed,
            counts=counts,
        ).run()
        invalid.close()
        comparison = _with_baseline(compiled, baseline, context, counts, SourceRows(records=records, listed=listed))
        if eager is not None:
            eager.finish(comparison.plan.counts.added)
        return comparison


def _with_baseline(
    compiled: CompiledJob, baseline: Baseline, context: CompareContext, counts: SourceCounts, rows: SourceRows
) -> Comparison:
    """Return the comparison of the records found with the baseline and with the keys in flight."""
    folder, job, records = context.folder, compiled.job, rows.records
    if job.removal is not None and counts.keyless:
        # A row without a key may belong to any record, also to one that seems to be deleted.
        counts.warnings["rows without a key, so nothing is removed"] = counts.keyless
        job = replace(job, removal=None)
    keeps_content = job.keep is not Keep.FINGERPRINTS
    segments = tuple(path.name for path in baseline.paths)
    digest = new_digest(job, context, segments)
    with ExitStack() as stack:
        in_flight = stack.enter_context(PartitionedSpill(folder, "in-flight", {"key": pl.String}))
        inputs = DiffInputs(source=rows, baseline=baseline, in_flight=in_flight, suppression=context.suppression)
        if job.removal is not None and (protected := protect_from_removal(job, compiled.removal, inputs, folder)):
            counts.warnings["keys not removed, because their removal would name a record of the source"] = protected
        for manifest in baseline.in_flight:
            keys = pl.scan_parquet(manifest, glob=False).select("key")
            for frame in keys.collect_batches(chunk_size=ROWS_IN_MEMORY):
                in_flight.add(frame, partition_of_key("key"))
        in_flight.finish()
        present = _write_present(job, records, in_flight, counts, folder)
        classified = ClassifiedRows(
            changes=stack.enter_context(PartitionedSpill(folder, "changes", CHANGES)),
            removed=stack.enter_context(ParquetWriter(folder / "removed.parquet", CHANGES)),
            superseded=stack.enter_context(PartitionedSpill(folder, "superseded", SUPERSEDED)),
            renewed=stack.enter_context(ParquetWriter(folder / "renewed.parquet", RENEWED)),
            partition_rows=max(MIN_PARTITION_ROWS, -(-counts.source_rows // PARTITIONS)),
            digest=digest,
            unkept=stack.enter_context(PartitionedSpill(folder, "unkept", CHANGES)) if keeps_content else None,
        )
        classify(job, inputs, classified)
        write_changes(classified, folder)
        write_invalid(classified, folder, rows.listed, context.suppression)
    plan = plan_of(compiled, context, counts, Classification(classified.counts, classified.lost, digest, segments))
    return Comparison(plan=plan, folder=folder, present=present)


def _write_present(
    job: Job, records: PartitionedSpill, in_flight: PartitionedSpill, counts: SourceCounts, folder: Path
) -> Path | None:
    """Write the keys of the source and of rows in flight, by key column, if the job compares its results with them.

    A row without a key may have any, so that nothing is known to have left the source.
    """
    if job.results is None or job.results.on_removed is OnRemovedAnswer.KEEP:
        return None
    if counts.keyless:
        counts.warnings["rows without a key, so no answer is removed or marked"] = counts.keyless
        return None
    names = dict.fromkeys(key_names(job), pl.String)
    file = folder / "present.parquet"
    with ParquetWriter(file, names) as out:
        for spill, key in ((records, columns.KEY), (in_flight, "key")):
            for part in spill.partitions():
                for begin in range(0, part.height, _CHUNK_ROWS):
                    rows = part[begin : begin + _CHUNK_ROWS].select(pl.col(key).alias(columns.SENT_KEY))
                    out.add(rows.select(key_columns(job)))
    if not file.exists():
        pl.DataFrame(schema=names).write_parquet(file)
    return file
