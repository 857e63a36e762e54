"""Comparison of a source with the baseline: what a run would send, and an account of every row that it would not.

The source is read once, to its end; the results are staged in a work folder: `changes.parquet` and `invalid.parquet`,
in source order.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.accounting import PlanCounts
from batchsync.core.contract import ContractCounts
from batchsync.core.job import OnRemovedAnswer
from batchsync.core.keep import Keep
from batchsync.core.plan import Plan
from batchsync.core.row_outcome import PLAN_OUTCOMES, OutcomeCounts, RowOutcome
from batchsync.core.vendor_rules import Reference
from batchsync.data.baseline.segments import holds_former_fingerprints
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.batchfile.eager_encode import EagerEncoder
from batchsync.data.compare.classify import (
    RENEWED,
    SUPERSEDED,
    ClassifiedRows,
    StaleWatermarkError,
    classify,
    partition_by_row,
)
from batchsync.data.compare.diff_inputs import DiffInputs, SourceRows
from batchsync.data.compare.lost_values import lost_values
from batchsync.data.compare.read_source import SourceCounts, SourcePass
from batchsync.data.compare.removal_conflicts import protect_from_removal
from batchsync.data.compare.unkept import unkept_folder
from batchsync.data.frame import columns
from batchsync.data.frame.hashes import PARTITIONS, partition_of_key
from batchsync.data.frame.partitioned_spill import ROWS_IN_MEMORY, PartitionedSpill
from batchsync.data.frame.suppressed import is_suppressed
from batchsync.data.mapping.validate import INVALID_RECORDS, checks
from batchsync.data.record.compiled_job import CompiledJob, compile_job, key_columns, key_names
from batchsync.data.record.examine import RECORDS
from batchsync.data.record.group_by_key import UnsortedError
from batchsync.data.record.held_members import KIND, keeps_absent_members
from batchsync.data.record.keyed_rows import TaskSpec
from batchsync.data.row.joins import load
from batchsync.data.row.open_source import open_source
from batchsync.ports import Comparison
from batchsync.util.files import make_private
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.frame.known import Baseline
    from batchsync.ports import CompareContext, Suppression
    from batchsync.util.executor import TaskPool

#: Minimum number of source rows of a partition by row.
MIN_PARTITION_ROWS = 250_000
#: Columns of `invalid.parquet`. `kind` is the outcome: invalid or superseded.
INVALID = dict.fromkeys(("key", "field", "code", "reason", "kind"), pl.String) | {"row": pl.Int64}
#: Code of a row that was superseded by another row of its key.
SUPERSEDED_CODE = "duplicate_key"
_CHUNK_ROWS = 100_000
_PLAIN_NAMES = {columns.ROW: "row", columns.KEY: "key"}


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
    schema: dict[str, pl.DataType | type[pl.DataType]] = dict(RECORDS)
    if compiled.job.source.duplicates.startswith("by:"):
        schema[columns.RANK] = compiled.schema[compiled.job.source.duplicates.removeprefix("by:")]
    if keeps_absent_members(compiled):
        schema[columns.MEMBERS] = KIND
    if spec.former:
        schema[columns.FORMER_FINGERPRINT] = pl.Binary
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
        records = stack.enter_context(PartitionedSpill(folder, "records", schema))
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
    digest = hashlib.sha256(f"{job.spec_hash}\0{context.account_id}\0{','.join(segments)}\0".encode())
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
        classified.removed.close()
        _write_changes(classified, folder)
        if classified.unkept is not None:
            _write_in_source_order(classified.unkept, unkept_folder(folder) / "changes.parquet")
        _write_invalid(classified, folder, rows.listed, context.suppression)
    counts.warnings.update(lost_values(compiled.record, classified.lost))
    if other := classified.counts["other_definition"]:
        counts.warnings["keys of an earlier key definition, which are not removed"] = other
    plan = Plan(
        job=job.name,
        account_id=context.account_id,
        spec_hash=job.spec_hash,
        removal_hash=job.removal_hash,
        baseline=segments,
        baseline_rows=classified.counts["at_target"],
        counts=_plan_counts(counts, classified.counts),
        changes_digest=digest.hexdigest(),
        watermark=None if counts.watermark is None else str(counts.watermark),
        warnings=counts.warnings,
        removals_known=not counts.keyless,
        # The parts of a table are no files that could be lost: their number follows from the number of rows.
        source_files=1 if job.source.is_table else len(compiled.source_files.files),
        incomparable=classified.counts["incomparable"],
        contract=counts.contract,
    )
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


def _plan_counts(source: SourceCounts, classified: Counter[str]) -> PlanCounts:
    """Return the balanced counts of the plan."""
    classified[RowOutcome.INVALID] += source.keyless
    counts = PlanCounts(
        source_rows=source.source_rows,
        selected=source.records + source.keyless + classified["deleted"],
        outcomes=OutcomeCounts({outcome: classified[outcome.name_in_plan] for outcome in PLAN_OUTCOMES}),
        added=classified["added"],
        changed=classified["changed"],
        resent=classified["resent"],
        removed=classified["removed"],
    )
    counts.assert_balanced()
    return counts


def _write_changes(classified: ClassifiedRows, folder: Path) -> None:
    """Write `changes.parquet` in the order of sending: by source row, removals last by the hash of their key."""
    removed = folder / "removed.parquet" if classified.removed.rows else None
    _write_in_source_order(classified.changes, folder / "changes.parquet", then=removed)


def _write_in_source_order(rows: PartitionedSpill, file: Path, *, then: Path | None = None) -> None:
    """Write rows that are partitioned by source row to a file, by source row, followed by the rows of another file."""
    rows.finish()
    with ParquetWriter(file, CHANGES) as out:
        for part in rows.partitions():
            ordered = part.sort("row")
            for begin in range(0, ordered.height, _CHUNK_ROWS):
                out.add(ordered[begin : begin + _CHUNK_ROWS])
        if then is not None:
            last = pl.scan_parquet(then, glob=False)
            for frame in last.collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True):
                out.add(frame)


def _write_invalid(
    classified: ClassifiedRows, folder: Path, listed: PartitionedSpill, suppression: Suppression | None
) -> None:
    """Write `invalid.parquet` if any row is invalid or superseded by another row of the same key.

    Suppressed rows are not in it, whatever rules they violate: their keys were forgotten, or are on the list.
    """
    broken = folder / "broken.parquet"
    hidden = pl.concat(list(listed.partitions())).rename({columns.KEY: "key"})
    classified.superseded.finish()
    with (
        PartitionedSpill(folder, "invalid", INVALID) as invalid,
        ParquetWriter(folder / "invalid.parquet", INVALID) as out,
    ):
        for superseded in classified.superseded.partitions() if classified.superseded.rows else ():
            rows = superseded.rename(_PLAIN_NAMES).with_columns(
                field=pl.lit(""),
                code=pl.lit(SUPERSEDED_CODE),
                reason=pl.lit("superseded by another row of the source with the same key"),
                kind=pl.lit(RowOutcome.SUPERSEDED.value),
            )
            invalid.add(rows.select(list(INVALID)), partition_by_row("row", classified.partition_rows))
        if broken.exists():
            kind = pl.lit(RowOutcome.INVALID.value).alias("kind")
            found = pl.scan_parquet(broken, glob=False).rename(_PLAIN_NAMES).with_columns(kind).select(list(INVALID))
            for frame in found.collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True):
                shown = frame.filter(~is_suppressed(frame, "key", suppression)).join(
                    hidden, on="key", how="anti", maintain_order="left"
                )
                invalid.add(shown, partition_by_row("row", classified.partition_rows))
        invalid.finish()
        for part in invalid.partitions():
            # Superseded rows come first: that is their outcome, whatever rules they violate.
            out.add(part.unique("row", keep="first", maintain_order=True).sort("row"))
