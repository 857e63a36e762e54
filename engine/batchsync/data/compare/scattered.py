"""Comparison by tasks of an executor: the rows stay where the tasks run, and only counts come back.

`scatter_task` reads ranges of the source, `join_task` compares one bucket of key hashes each. The plan, its digest and
the batch files are those of `compare.py`. What only few jobs need (records of several rows, removals that could name
another record, keys that were forgotten, results of keys that left) is compared there.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.contract import ContractCounts
from batchsync.core.job import OnRemovedAnswer
from batchsync.core.keep import Keep
from batchsync.core.naming import segment_key
from batchsync.core.vendor_rules import Reference
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.batchfile.encoded_range import is_complete
from batchsync.data.batchfile.scattered_changes import ScatteredChanges, label_of
from batchsync.data.compare.classified_files import write_changes, write_invalid
from batchsync.data.compare.classify import ClassifiedRows, StaleWatermarkError, partition_by_row
from batchsync.data.compare.classify_partition import DIGEST_RANGES, RENEWED, SUPERSEDED
from batchsync.data.compare.duplicate_keys import DuplicateKeys
from batchsync.data.compare.join_task import (
    RENEWED_KEYS,
    SUPERSEDED_ROWS,
    UNKEPT,
    WHOLE,
    Joined,
    JoinPlan,
    JoinTask,
    join_bucket,
)
from batchsync.data.compare.plan_of import Classification, new_digest, plan_of
from batchsync.data.compare.removal_conflicts import identifies_keys
from batchsync.data.compare.scatter_task import (
    INVALID,
    LISTED,
    KnownTask,
    Scattered,
    ScatterTask,
    read_known,
    scatter,
)
from batchsync.data.compare.source_counts import SourceCounts
from batchsync.data.frame import columns
from batchsync.data.frame.blob_file import BlobFile
from batchsync.data.frame.hashes import partition_of_key
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.frame.scratch_folder import scratch_folder
from batchsync.data.mapping.validate import INVALID_RECORDS, checks
from batchsync.data.record.compiled_job import CompiledJob, compile_job
from batchsync.data.record.examine import record_schema
from batchsync.data.record.keyed_rows import TaskSpec
from batchsync.data.record.source_plan import SourcePlan
from batchsync.data.record.stored_value import store_value
from batchsync.data.row import partitions
from batchsync.data.row.file_state import require_unchanged
from batchsync.data.row.joins import load
from batchsync.data.row.landed_rows import LandTask, land, with_landed_files
from batchsync.data.row.open_source import open_source
from batchsync.data.row.row_reader import RandomAccessReader
from batchsync.ports import Comparison, Progress
from batchsync.util.files import make_private
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator, Sequence

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.batchfile.stage_context import StageContext
    from batchsync.data.record.stored_value import StoredValue
    from batchsync.ports import BaselineEntry, CompareContext, ObjectStore

#: Rows of a range: at least, at most, and the number of ranges of a source in between.
RANGE_MIN, RANGE_MAX, _RANGES = 250_000, 1_000_000, 64
#: Approximate number of keys of source and baseline in a bucket, as long as there are few enough buckets.
BUCKET_ROWS = 1_000_000
#: Prefix of the objects of a comparison in the store that its tasks share.
PREFIX = "shuffle"


def compare_scattered(
    job: Job, rules: VendorRules, baseline: BaselineEntry, context: CompareContext, surroundings: StageContext
) -> Comparison | None:
    """Compare a source with the baseline by tasks, if the job can be compared that way.

    Args:
        job: The job.
        rules: Rules of the job's vendor.
        baseline: What the target is known to hold.
        context: Folder, time, rows in flight and options of the comparison.
        surroundings: Object store, task pool, and the store that tasks share.

    Returns:
        The comparison, staged in the folder of the context and the shared store; None if the job needs `compare`.

    Raises:
        SourceError: If the source cannot be read to its end as declared.
        SpecError: If the job does not fit the source.
        StateError: If a file of the baseline is missing or damaged.
    """
    if surroundings.workers.executor is None or surroundings.shared is None or context.suppression is not None:
        return None
    make_private(context.folder)
    compiled = compile_job(job, rules, open_source(job.source), context.template).without_problems()
    if not _is_scatterable(compiled):
        return None
    store, source = surroundings.shared(context.folder), compiled.source_files
    if isinstance(source.reader, RandomAccessReader):
        row_counts = tuple(partitions.count_rows(source, source.reader))
    else:
        tasks = [
            LandTask(
                source=source,
                number=number,
                used=compiled.used,
                store=store,
                prefix=PREFIX,
                label=str(path),
            )
            for number, path in enumerate(source.files)
        ]
        landed = list(surroundings.workers.map_in_order(land, tasks))
        compiled = replace(compiled, source_files=with_landed_files(source, compiled.used, store, landed))
        row_counts = tuple(item.rows for item in landed)
    return _ScatteredComparison(
        compiled=compiled,
        baseline=baseline,
        context=context,
        surroundings=surroundings,
        store=store,
        row_counts=row_counts,
    ).compare()


def _is_scatterable(compiled: CompiledJob) -> bool:
    """Return whether each record follows from one row, and each change from the rows of its key."""
    job = compiled.job
    if compiled.grouped or (job.removal is not None and not identifies_keys(job, compiled.removal)):
        return False
    return job.results is None or job.results.on_removed is OnRemovedAnswer.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScatteredComparison:
    """A comparison by tasks."""

    compiled: CompiledJob
    baseline: BaselineEntry
    context: CompareContext
    surroundings: StageContext
    store: ObjectStore
    row_counts: tuple[int, ...]

    @property
    def range_rows(self) -> int:
        """Number of rows of a range: a multiple of the rows of a frame, which depends on the source only."""
        rows = min(max(RANGE_MIN, -(-sum(self.row_counts) // _RANGES)), RANGE_MAX)
        return -(-rows // partitions.FRAME_ROWS) * partitions.FRAME_ROWS

    @property
    def buckets(self) -> int:
        """Number of buckets, a power of two."""
        keys = sum(self.row_counts) + sum(segment.rows for segment in self.baseline.segments)
        return int(min(1 << (max(0, keys - 1) // BUCKET_ROWS).bit_length(), DIGEST_RANGES))

    @property
    def is_eager(self) -> bool:
        """Whether every valid record is sent as it is read, because the target is known to hold nothing."""
        context, file = self.context, self.compiled.rules.file
        nothing_known = not self.baseline.segments and not context.in_flight and context.watermark is None
        numbered = file.reference is Reference.NUMBER or file.rows_max is not None
        return context.eager and nothing_known and context.listed is None and not numbered

    def compare(self) -> Comparison:
        """Return the comparison; without the watermark if the baseline lacks a record below it."""
        former, in_flight = self._known()
        job, folder = self.compiled.job, self.context.folder
        rules = self.compiled.rules
        spec = TaskSpec(
            compiled=self.compiled,
            folder=folder,
            lookups=load(job.source, folder, self.compiled.used),
            checks=tuple(checks(self.compiled.record, rules.schema_for(job.target), job.mode, self.context.now)),
            watermark=self.context.watermark,
            former=former,
            listed=self.context.listed,
        )
        try:
            return self._compare_once(spec, in_flight)
        except StaleWatermarkError:
            return self._compare_once(replace(spec, watermark=None), in_flight)

    def _known(self) -> tuple[bool, tuple[str, ...]]:
        """Verify the baseline and distribute the keys in flight.

        Returns:
            Whether the baseline may hold fingerprints of version 1, and the keys of the files of the keys in flight.
        """
        segments = [segment_key(self.baseline.job, item.file) for item in self.baseline.segments]
        tasks = [
            KnownTask(
                objects=self.surroundings.objects,
                key=key,
                store=self.store,
                prefix=PREFIX,
                in_flight=number >= len(segments),
                buckets=self.buckets,
                label=f"what {self.compiled.job.name} has sent",
            )
            for number, key in enumerate([*segments, *self.context.in_flight])
        ]
        found = list(self.surroundings.workers.map_in_order(read_known, tasks))
        return any(item.former for item in found), tuple(item.key for item in found if item.key)

    def _compare_once(self, spec: TaskSpec, in_flight: tuple[str, ...]) -> Comparison:
        """Read the source once and compare its records."""
        job, context = self.compiled.job, self.context
        options = {"template": context.template, "streamed": False}
        (context.folder / "compare.json").write_text(json.dumps(options), encoding="utf-8")
        counts = SourceCounts(
            watermark=context.watermark if job.send.since else None,
            contract=ContractCounts.before_reading(job.source.contract),
        )
        source = store_value(
            scratch_folder(self.store, PREFIX),
            SourcePlan(spec=spec, store=self.store, prefix=PREFIX, row_counts=self.row_counts, buckets=self.buckets),
        )
        scattered = list(self._scatter(source, counts))
        require_unchanged(self.compiled.source_files.states)
        counts.warn_of_joins(job, spec.lookups)
        if job.removal is not None and counts.keyless:
            # A row without a key may belong to any record, also to one that seems to be deleted.
            counts.warnings["rows without a key, so nothing is removed"] = counts.keyless
            job = replace(job, removal=None)
        joined = self._join(job, spec, scattered, in_flight)
        segments = tuple(item.file for item in self.baseline.segments)
        digest = new_digest(job, context, segments)
        classified = self._write(scattered, joined, digest)
        changes = ScatteredChanges(
            source=source,
            keys=tuple(item.key for item in joined),
            sent=sum(item.sent for item in joined),
            removed=tuple(item.removed for item in joined),
            rows=sum(self.row_counts),
        )
        encoded = tuple(item.encoded for item in scattered if item.encoded is not None)
        if is_complete(encoded, changes.total, partitions.FRAME_ROWS // 2):
            changes = replace(changes, encoded=encoded)
        changes.save(context.folder)
        if not context.eager:
            changes.write(context.folder / "changes.parquet")
        found = Classification(classified.counts, classified.lost, digest, segments)
        return Comparison(plan=plan_of(self.compiled, context, counts, found), folder=context.folder)

    def _scatter(self, source: StoredValue[SourcePlan], counts: SourceCounts) -> Iterator[Scattered]:
        """Yield what the ranges of the source left, and count."""
        job, events, rows = self.compiled.job, self.context.events, sum(self.row_counts)
        size = self.compiled.source_files.reader.size(self.compiled.source_files)
        frames, per_range = -(-rows // partitions.FRAME_ROWS), self.range_rows // partitions.FRAME_ROWS
        ranges = (range(first, min(first + per_range, frames)) for first in range(0, frames, per_range))
        tasks = (
            ScatterTask(plan=source, frames=part, eager=self.is_eager, label=label_of(job.name, part, rows))
            for part in ranges
        )
        with closing(self.surroundings.workers.map_in_order(scatter, tasks)) as done:
            for result in done:
                counts.merge(job, self.compiled.schema, result.counts)
                if events is not None:
                    read = size.read(result.last)
                    events.emit(
                        Progress(job=job.name, stage="compare", done=result.last, unit="rows", total=rows, size=read)
                    )
                yield result

    def _join(
        self, job: Job, spec: TaskSpec, scattered: Sequence[Scattered], in_flight: tuple[str, ...]
    ) -> Sequence[Joined]:
        """Return what all buckets left, in the order of their key hashes.

        Raises:
            SourceError: If a key occurs more than once and may not.
            StaleWatermarkError: If the baseline lacks the record of a row below the watermark.
        """
        plan = store_value(
            scratch_folder(self.store, PREFIX),
            JoinPlan(
                job=job,
                store=self.store,
                prefix=PREFIX,
                scattered=tuple(item.key for item in scattered),
                in_flight=in_flight,
                objects=self.surroundings.objects,
                baseline=self.baseline,
                schema=record_schema(self.compiled, former=spec.former),
                buckets=self.buckets,
            ),
        )
        label = f"the keys of {job.name}, part {{}} of {self.buckets}"
        tasks = (JoinTask(plan=plan, number=number, label=label.format(number + 1)) for number in range(self.buckets))
        found = list(self.surroundings.workers.map_in_order(join_bucket, tasks))
        duplicates = DuplicateKeys()
        for item in found:
            if item.duplicates is not None:
                duplicates.merge(item.duplicates)
        if duplicates.count:
            raise duplicates.error(job)
        if any(item.stale_watermark for item in found):
            raise StaleWatermarkError
        return found

    def _write(self, scattered: Sequence[Scattered], joined: Sequence[Joined], digest: hashlib._Hash) -> ClassifiedRows:
        """Write the files of the comparison, and add up what the buckets counted."""
        folder, keeps_content = self.context.folder, self.compiled.job.keep is not Keep.FINGERPRINTS
        with ExitStack() as stack:
            classified = ClassifiedRows(
                changes=stack.enter_context(PartitionedSpill(folder, "changes", CHANGES)),
                removed=stack.enter_context(ParquetWriter(folder / "removed.parquet", CHANGES)),
                superseded=stack.enter_context(PartitionedSpill(folder, "superseded", SUPERSEDED)),
                renewed=stack.enter_context(ParquetWriter(folder / "renewed.parquet", RENEWED)),
                partition_rows=self.range_rows,
                digest=digest,
                unkept=stack.enter_context(PartitionedSpill(folder, "unkept", CHANGES)) if keeps_content else None,
            )
            listed = stack.enter_context(PartitionedSpill(folder, "listed", {columns.KEY: pl.String}))
            for item in joined:
                digest.update(item.digest)
                classified.counts.update(item.counts)
                classified.lost.update(item.lost)
                self._collect(item, classified)
            write_changes(classified, folder)
            with ParquetWriter(folder / "broken.parquet", INVALID_RECORDS, few=("field", "code")) as invalid:
                for part in scattered:
                    file = BlobFile(self.store, part.key)
                    if part.invalid:
                        invalid.add(file.table(INVALID, 0, INVALID_RECORDS))
                    for number in file.numbers(LISTED) if part.listed else ():
                        listed.add(file.table(LISTED, number, {}), partition_of_key(columns.KEY))
            listed.finish()
            write_invalid(classified, folder, listed, None)
        return classified

    def _collect(self, item: Joined, classified: ClassifiedRows) -> None:
        """Collect the rows of a bucket that are neither sent nor removed."""
        file, by_row = BlobFile(self.store, item.key), partition_by_row("row", self.range_rows)
        found = {name: file.table(name, 0, schema) for name, schema in WHOLE.items() if item.rows.get(name)}
        if SUPERSEDED_ROWS in found:
            classified.superseded.add(found[SUPERSEDED_ROWS], partition_by_row(columns.ROW, self.range_rows))
        if RENEWED_KEYS in found:
            classified.renewed.add(found[RENEWED_KEYS])
        if UNKEPT in found and classified.unkept is not None:
            classified.unkept.add(found[UNKEPT], by_row)
