"""Data engine on polars, implementation of the port `DataEngine`. Methods delegate to the modules of their subject."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from batchsync.core.naming import baseline_prefix, row_manifest_key
from batchsync.core.row_outcome import LISTED_OUTCOMES, RowOutcome
from batchsync.data.baseline.apply import apply_verdicts, assume, forget, renew, resolve
from batchsync.data.baseline.content import without_surplus
from batchsync.data.baseline.erase import erase, known_keys
from batchsync.data.baseline.point_lookup import lookup
from batchsync.data.batchfile.prepare import iter_batch_files
from batchsync.data.batchfile.stage_context import StageContext
from batchsync.data.check import check_job
from batchsync.data.compare.compare import compare
from batchsync.data.compare.preview import preview
from batchsync.data.compare.scattered import compare_scattered
from batchsync.data.compare.unkept import write_content
from batchsync.data.frame import columns
from batchsync.data.frame.content import content_among
from batchsync.data.frame.integrity import is_intact, opened, translate_disk_errors, verify_digest, verify_parquet
from batchsync.data.frame.known import opened_baseline
from batchsync.data.inspection import RecordInspection
from batchsync.data.outcome.join_outcomes import join_outcomes
from batchsync.data.outcome.manifest_keys import erase_from_manifest, keys_in
from batchsync.data.plan_rows import PlanRows
from batchsync.data.record.compiled_job import key_columns
from batchsync.data.record.keyed_rows import canonical_key
from batchsync.data.row.joins import joined_schema
from batchsync.data.row.open_source import open_source
from batchsync.data.suppression import SuppressionLists
from batchsync.ports import ObjectFolder, Reject
from batchsync.util.executor import TaskPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from batchsync.core.batch import Batch, BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.errors import Problem
    from batchsync.ports import (
        BaselineEntry,
        CompareContext,
        Comparison,
        Downloads,
        EventSink,
        KnownKey,
        ObjectStore,
        PlanPreview,
        RowVerdicts,
    )

#: Rejects that are yielded at a time, and records that are added to a baseline at a time without having been sent.
CHUNK, _ASSUMED_AT_ONCE = 10_000, 1_000_000


class PolarsEngine(PlanRows, RecordInspection, SuppressionLists):
    """`DataEngine` on polars. Its only state is the object store, the task pool and the event sink of `stage`."""

    def __init__(
        self,
        objects: ObjectStore,
        events: EventSink | None = None,
        *,
        executor: Executor | None = None,
        threads: int | None = None,
        shared: Callable[[Path], ObjectStore] | None = None,
    ) -> None:
        """Create an engine.

        Args:
            objects: Store of batch files, row manifests and baseline segments.
            events: Receives the progress of `stage`; `compare` takes its sink from the context.
            executor: `concurrent.futures.Executor` for picklable tasks; processes must be spawned, not forked.
            threads: Number of tasks in flight at a time, and of threads without an executor; None is one per core.
            shared: As in `StageContext`.
        """
        workers = TaskPool(threads=threads, executor=executor)
        super().__init__(objects, workers)
        self._stage_context = StageContext(objects=objects, workers=workers, shared=shared, events=events)

    @property
    def threads(self) -> int | None:
        """Number of tasks in flight at a time; None is one per core."""
        return self._stage_context.workers.threads

    def columns(self, job: Job) -> tuple[str, ...]:
        """Return the column names of the job's source, joins included, reading as little as possible."""
        return tuple(joined_schema(job.source, open_source(job.source).schema))

    def check(self, job: Job, rules: VendorRules) -> tuple[Problem, ...]:
        """Return every problem of a job against its source."""
        return check_job(job, rules)

    def compare(self, job: Job, rules: VendorRules, baseline: BaselineEntry, context: CompareContext) -> Comparison:
        """Read, map, validate and fingerprint the source, and subtract rows that are unchanged or in flight.

        Args:
            job: The job.
            rules: Rules of the job's vendor.
            baseline: What the target is known to hold.
            context: Folder, time, rows in flight and options of the comparison.

        Returns:
            The comparison, staged in the folder of the context.
        """
        with translate_disk_errors(f"comparing {job.name}"):
            if (found := compare_scattered(job, rules, baseline, context, self._stage_context)) is not None:
                return found
            with opened_baseline(self._objects, baseline, context.in_flight) as known:
                verify_digest([*known.paths, *known.in_flight])
                return compare(job, rules, known, context, self._stage_context.workers)

    def stage(self, job: Job, rules: VendorRules, comparison: Comparison) -> tuple[BatchFile, ...]:
        """Put the changes of a comparison into the object store as batch files, each with its row manifest.

        Args:
            job: The job of the comparison.
            rules: Rules of the job's vendor.
            comparison: The comparison.

        Returns:
            The batch files, in source order, removals last.
        """
        with translate_disk_errors(f"preparing {job.name}"):
            return tuple(iter_batch_files(job, rules, comparison, self._stage_context))

    def stage_each(
        self,
        job: Job,
        rules: VendorRules,
        comparison: Comparison,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[BatchFile]:
        """Yield the files of `stage`, each finalized with its row manifest before it is yielded.

        For a single consumer. Closing the iterator drops files that are not finalized. An error is raised at the
        position of the next file.

        Args:
            job: The job of the comparison.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            stopped: Called once per frame; the iterator ends when it returns true.

        Yields:
            The batch files.
        """
        with translate_disk_errors(f"preparing {job.name}"):
            yield from iter_batch_files(job, rules, comparison, replace(self._stage_context, stopped=stopped))

    def preview(self, comparison: Comparison, limit: int) -> PlanPreview:
        """Return the first keys of each kind of change, at most `limit` of each, and the invalid rows by reason."""
        with translate_disk_errors("reading the plan"):
            return preview(comparison, limit)

    def invalid(self, comparison: Comparison) -> Iterator[Sequence[Reject]]:
        """Yield the invalid and superseded rows of a comparison in chunks, in source order."""
        if not comparison.plan.counts.outcomes.sum_of((RowOutcome.INVALID, RowOutcome.SUPERSEDED)):
            return
        rows = pl.scan_parquet(comparison.folder / "invalid.parquet", glob=False)
        for chunk in rows.collect_batches(chunk_size=CHUNK, maintain_order=True):
            yield tuple(
                Reject(
                    kind=RowOutcome(row["kind"]),
                    key=row["key"],
                    reason=row["reason"],
                    code=row["code"],
                    field=row["field"],
                    row=row["row"],
                )
                for row in chunk.iter_rows(named=True)
            )

    def join_outcomes(
        self,
        batch: Batch,
        rules: VendorRules | None,
        downloads: Downloads,
        into: Path,
        keys: Sequence[str] | None = None,
    ) -> RowVerdicts:
        """Join the vendor's row log to the row manifest: each sent row is accepted, rejected or unknown.

        Args:
            batch: A FINISHED batch.
            rules: Rules of the vendor; not required if the verdict covers all rows.
            downloads: The vendor's results and row log.
            into: Folder of the files of the verdicts.
            keys: Return only the verdicts and answers of these keys, and of those only what is known; None: all.

        Returns:
            The verdicts, written to `into`.
        """
        with translate_disk_errors(f"settling {batch.id}"):
            return join_outcomes(batch, rules, downloads, into, self._objects, keys)

    def verify_row_manifest(self, batch: Batch) -> None:
        """Check that the row manifest of a batch is in the store, unchanged since it was finalized."""
        with opened(self._objects, [row_manifest_key(batch.job, batch.file)]) as manifest:
            verify_digest(manifest)

    def rejects(self, verdicts: RowVerdicts) -> Iterator[Sequence[Reject]]:
        """Yield the rejected and unknown rows of a collected batch in chunks, in the order of the file."""
        if not verdicts.counts.sum_of(LISTED_OUTCOMES):
            return
        rows = pl.scan_parquet(verdicts.path, glob=False).filter(pl.col("state").is_in(LISTED_OUTCOMES))
        for chunk in rows.collect_batches(chunk_size=CHUNK, maintain_order=True):
            yield tuple(
                Reject(
                    kind=RowOutcome(row["state"]),
                    key=row["key"],
                    reason=row["reason"],
                    code=row["code"],
                    line=row["line"],
                    row=row["row"],
                    retry=row["retry"],
                )
                for row in chunk.iter_rows(named=True)
            )

    def keys_of(self, verdicts: RowVerdicts) -> Sequence[str]:
        """Return the keys of the rows of the verdicts."""
        return pl.read_parquet(verdicts.path, columns=["key"], glob=False)["key"].to_list()

    def accepts(self, verdicts: RowVerdicts, ops: Sequence[str]) -> bool:
        """Return whether a row with one of these operations was accepted."""
        is_accepted = pl.col("op").is_in(list(ops)) & (pl.col("state") == RowOutcome.ACCEPTED)
        found: bool = pl.scan_parquet(verdicts.path, glob=False).select(is_accepted.any()).collect().item()
        return found

    def apply_verdicts(
        self, baseline: BaselineEntry, verdicts: Sequence[Path], manifests: Sequence[str] = ()
    ) -> BaselineEntry:
        """Return the baseline after accepted rows moved: one more segment in the store, or fewer after compaction.

        Args:
            baseline: The baseline before.
            verdicts: Verdict files (`RowVerdicts.path`).
            manifests: Keys of their row manifests; those that are gone or damaged have no content to keep.

        Returns:
            The new baseline.
        """
        with (
            translate_disk_errors("moving the baseline"),
            opened_baseline(self._objects, baseline) as known,
            opened(self._objects, [key for key in manifests if self._objects.head(key) is not None]) as contents,
        ):
            verify_parquet([*known.paths, *verdicts])
            intact = [path for path in contents if is_intact(path)]
            return replace(baseline, segments=apply_verdicts(known, verdicts, self._segments(baseline), intact))

    def resolve(self, baseline: BaselineEntry, keys: Sequence[str], *, delivered: bool) -> BaselineEntry:
        """Return the baseline after unknown outcomes were resolved.

        Args:
            baseline: The baseline before.
            keys: Keys of the rows.
            delivered: Whether the target holds the rows; otherwise they are sent again.

        Returns:
            The new baseline.
        """
        with translate_disk_errors("moving the baseline"), opened_baseline(self._objects, baseline) as known:
            verify_parquet(known.paths)
            return replace(baseline, segments=resolve(known, keys, self._segments(baseline), delivered=delivered))

    def assume(self, comparison: Comparison, baseline: BaselineEntry) -> BaselineEntry:
        """Return the baseline with the added and changed records of a comparison, assumed to be held.

        Args:
            comparison: The comparison. Its removals are left as they are.
            baseline: The baseline that it was compared with.

        Returns:
            The new baseline.
        """
        rows = pl.scan_parquet(comparison.folder / "changes.parquet", glob=False).filter(pl.col("op") != "remove")
        with translate_disk_errors("moving the baseline"):
            for chunk in rows.select("key", "fingerprint").collect_batches(chunk_size=_ASSUMED_AT_ONCE):
                with opened_baseline(self._objects, baseline) as known:
                    verify_parquet(known.paths)
                    baseline = replace(baseline, segments=assume(known, chunk, self._segments(baseline)))
        return baseline

    def renew(self, job: Job, rules: VendorRules, comparison: Comparison, baseline: BaselineEntry) -> BaselineEntry:
        """Return the baseline with what the job keeps of the unchanged records of a comparison, and nothing else.

        Args:
            job: The job of the comparison, with its source as fetched.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            baseline: The present baseline; at most rows that were in flight changed since the comparison.

        Returns:
            The new baseline, or the same if it has all of that already.
        """
        with translate_disk_errors("moving the baseline"):
            with opened_baseline(self._objects, baseline) as known:
                segments = without_surplus(known, baseline, job.keep, self._segments(baseline))
                baseline = replace(baseline, segments=segments)
            file = comparison.folder / "renewed.parquet"
            baseline = self._renewed(baseline, file if file.exists() else None)
            return self._renewed(baseline, write_content(job, rules, comparison, self._stage_context.workers))

    def _renewed(self, baseline: BaselineEntry, file: Path | None) -> BaselineEntry:
        """Return a baseline with the fingerprints, and the content, of the unchanged records in a file."""
        if file is None:
            return baseline
        rows = pl.scan_parquet(file, glob=False)
        has_content = bool(content_among(rows.collect_schema()))
        for begin in range(0, pq.read_metadata(file).num_rows, _ASSUMED_AT_ONCE):
            part = rows.slice(begin, _ASSUMED_AT_ONCE)
            records, content = part.select("key", "fingerprint").collect(), part.drop("fingerprint")
            with opened_baseline(self._objects, baseline) as known:
                verify_parquet(known.paths)
                segments = renew(known, records, self._segments(baseline), content if has_content else None)
                baseline = replace(baseline, segments=segments)
        return baseline

    def forget(self, baseline: BaselineEntry, keys: Path) -> BaselineEntry:
        """Return the baseline without keys that left the source, so that they are looked up again if they return.

        Args:
            baseline: The baseline before.
            keys: Parquet file of the key columns, as strings.

        Returns:
            The new baseline, or the same if it holds none of the keys.
        """
        with translate_disk_errors("moving the baseline"):
            rows = pl.scan_parquet(keys, glob=False)
            key = canonical_key([pl.col(name) for name in rows.collect_schema().names()])
            for chunk in rows.select(key.alias("key")).collect_batches(chunk_size=_ASSUMED_AT_ONCE):
                with opened_baseline(self._objects, baseline) as known:
                    verify_parquet(known.paths)
                    segments = forget(known, chunk["key"].to_list(), self._segments(baseline))
                    baseline = replace(baseline, segments=segments)
        return baseline

    def erase(self, baseline: BaselineEntry, keys: Sequence[str]) -> BaselineEntry:
        """Return the baseline with its segments rewritten without any trace of some keys."""
        with translate_disk_errors("rewriting the baseline"), opened_baseline(self._objects, baseline) as known:
            verify_parquet(known.paths)
            return replace(baseline, segments=erase(known, baseline, keys, self._segments(baseline)))

    def erase_from_manifest(self, batch: Batch, keys: Sequence[str]) -> str:
        """Return the location of a new copy of the row manifest of a batch, without some keys."""
        with translate_disk_errors(f"rewriting the row manifest of {batch.id}"):
            return erase_from_manifest(batch, keys, self._objects)

    def keys_in(self, batch: Batch, *, among: Sequence[str] | None = None, ops: Sequence[str] = ()) -> Sequence[str]:
        """Return keys of the row manifest of a batch: only some keys, or those of rows with some operations."""
        with translate_disk_errors(f"reading the row manifest of {batch.id}"):
            return keys_in(batch, self._objects, among, ops)

    def known(self, baseline: BaselineEntry, keys: Sequence[str]) -> dict[str, bool]:
        """Return those of some keys that a baseline has, and whether the target holds a version, or may hold one."""
        with translate_disk_errors("looking up keys"), opened_baseline(self._objects, baseline) as opened_segments:
            verify_parquet(opened_segments.paths)
            return known_keys(opened_segments, keys)

    def write_keys(self, job: Job, keys: Sequence[str], into: Path) -> Path:
        """Return the path of a new Parquet file with keys of a job by key column, as strings."""
        with translate_disk_errors(f"writing keys of {job.name}"):
            rows = pl.DataFrame({columns.SENT_KEY: pl.Series(list(keys), dtype=pl.String)})
            rows.select(key_columns(job)).write_parquet(into)
        return into

    def _segments(self, baseline: BaselineEntry) -> ObjectFolder:
        """Return the destination of new segments of a baseline."""
        return ObjectFolder(self._objects, baseline_prefix(baseline.job))

    def lookup(self, key: str, baseline: BaselineEntry, in_flight: Sequence[str]) -> KnownKey:
        """Return what the baseline and the row manifests of open batches hold about a key.

        Args:
            key: The key.
            baseline: Baseline of the job; as little of it as possible is read.
            in_flight: Keys of the row manifests of open batches.

        Returns:
            What is known of the key.
        """
        with (
            translate_disk_errors("looking up a key"),
            opened_baseline(self._objects, baseline, in_flight) as known,
        ):
            verify_parquet([*known.paths, *known.in_flight])
            return lookup(key, known, in_flight)
