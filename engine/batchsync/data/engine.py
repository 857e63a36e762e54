"""The columnar data path as the engine sees it: the port `DataEngine` of `batchsync.ports`.

It decides nothing itself; each promise lives in the module that is called.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.baseline.apply import apply_verdicts, resolve
from batchsync.data.baseline.point_lookup import lookup
from batchsync.data.batchfile.prepare import StageContext, iter_batch_files
from batchsync.data.compare.compare import compare
from batchsync.data.compare.preview import preview
from batchsync.data.frame.integrity import translate_disk_errors, verify_digest, verify_parquet
from batchsync.data.outcome.join_outcomes import join_outcomes
from batchsync.data.record import check as checking
from batchsync.data.row.joins import joined_schema
from batchsync.data.row.reader import open_source
from batchsync.ports import Reject
from batchsync.util.executor import TaskPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from batchsync.core.batch import Batch, BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.errors import Problem
    from batchsync.ports import (
        Baseline,
        CompareContext,
        Comparison,
        Downloads,
        KnownKey,
        Observer,
        PlanPreview,
        RowVerdicts,
    )

#: Rejects that are given out at a time.
CHUNK = 10_000


class PolarsEngine:
    """`DataEngine` in polars. It holds no state but who does its tasks and who is shown the progress of `stage`."""

    def __init__(
        self, observer: Observer | None = None, *, executor: Executor | None = None, threads: int | None = None
    ) -> None:
        """Take who is shown how far preparing is (comparing has its own in the context), and who does the tasks.

        Without an executor, tasks are done by `threads` threads (None: one for each core). With one, whatever has the
        shape of `concurrent.futures.Executor`, it is given that many of them at a time, as module-level functions
        with one picklable argument; the files are the same. Processes must be spawned, not forked.
        """
        self._around = StageContext(workers=TaskPool(threads=threads, executor=executor), observer=observer)

    @property
    def threads(self) -> int | None:
        """How many tasks are done at a time; None is one for each core."""
        return self._around.workers.threads

    def columns(self, job: Job) -> tuple[str, ...]:
        """Return the columns of the job's source, joins included, reading as little as possible."""
        return tuple(joined_schema(job.source, open_source(job.source).schema))

    def check(self, job: Job, rules: VendorRules) -> tuple[Problem, ...]:
        """Return everything in a job that does not fit its source."""
        return checking.check(job, rules)

    def compare(self, job: Job, rules: VendorRules, baseline: Baseline, context: CompareContext) -> Comparison:
        """Read, map, validate, fingerprint, and subtract what has not changed or is in flight."""
        verify_parquet([*baseline.paths, *context.in_flight])
        verify_digest([*baseline.paths, *context.in_flight])
        with translate_disk_errors(f"comparing {job.name}"):
            return compare(job, rules, baseline, context, self._around.workers)

    def stage(self, job: Job, rules: VendorRules, comparison: Comparison, into: Path) -> tuple[BatchFile, ...]:
        """Encode, split and compress what the comparison found into sealed, fsynced files with evidence beside them."""
        with translate_disk_errors(f"preparing {job.name}"):
            return tuple(iter_batch_files(job, rules, comparison, into, self._around))

    def stage_each(
        self,
        job: Job,
        rules: VendorRules,
        comparison: Comparison,
        into: Path,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[BatchFile]:
        """Yield the same files as `stage` one by one, each sealed and fsynced with its evidence before it is yielded.

        For one consumer; closing the iterator, or saying that it is `stopped`, drops what is begun. An error comes
        where the next file would.
        """
        with translate_disk_errors(f"preparing {job.name}"):
            yield from iter_batch_files(job, rules, comparison, into, replace(self._around, stopped=stopped))

    def preview(self, comparison: Comparison, limit: int) -> PlanPreview:
        """Return the first keys of each kind, at most `limit` of each, and the invalid rows by reason."""
        with translate_disk_errors("reading the plan"):
            return preview(comparison, limit)

    def invalid(self, comparison: Comparison) -> Iterator[Sequence[Reject]]:
        """Yield the invalid rows of a comparison, in the order of the source."""
        if not comparison.counts.invalid:
            return
        rows = pl.scan_parquet(comparison.folder / "invalid.parquet", glob=False)
        for chunk in rows.collect_batches(chunk_size=CHUNK, maintain_order=True):
            yield tuple(
                Reject(
                    kind="invalid",
                    key=row["key"],
                    reason=row["reason"],
                    code=row["code"],
                    field=row["field"],
                    row=row["row"],
                )
                for row in chunk.iter_rows(named=True)
            )

    def join_outcomes(self, batch: Batch, rules: VendorRules | None, downloads: Downloads, into: Path) -> RowVerdicts:
        """Join the vendor's row log to the evidence: each sent row is accepted, rejected or unknown."""
        with translate_disk_errors(f"settling {batch.id}"):
            return join_outcomes(batch, rules, downloads, into)

    def verify_row_manifest(self, file: BatchFile) -> None:
        """Raise StateError unless the evidence of a batch file is on our disk as it was sealed."""
        evidence = [Path(file.row_manifest)]
        verify_digest(evidence)
        verify_parquet(evidence)

    def rejects(self, verdicts: RowVerdicts) -> Iterator[Sequence[Reject]]:
        """Yield the rejected and unknown rows of a settled batch, in the order of the file."""
        if verdicts.counts.accepted == verdicts.counts.total:
            return
        rows = pl.scan_parquet(verdicts.path, glob=False).filter(pl.col("state") != "accepted")
        for chunk in rows.collect_batches(chunk_size=CHUNK, maintain_order=True):
            yield tuple(
                Reject(
                    kind=row["state"],
                    key=row["key"],
                    reason=row["reason"],
                    code=row["code"],
                    line=row["line"],
                    row=row["row"],
                    retry=row["retry"],
                )
                for row in chunk.iter_rows(named=True)
            )

    def apply_verdicts(self, baseline: Baseline, verdicts: Sequence[Path], into: Path) -> Baseline:
        """Return the baseline in which accepted rows have moved: one more segment on the disk, or fewer, merged."""
        verify_parquet([*baseline.paths, *verdicts])
        with translate_disk_errors("moving the baseline"):
            return apply_verdicts(baseline, verdicts, into)

    def resolve(self, baseline: Baseline, keys: Sequence[str], into: Path, *, delivered: bool) -> Baseline:
        """Return the baseline in which rows of unknown outcome are held by the target, or to be sent again."""
        verify_parquet(baseline.paths)
        with translate_disk_errors("moving the baseline"):
            return resolve(baseline, keys, into, delivered=delivered)

    def lookup(self, key: str, baseline: Baseline, in_flight: Sequence[Path]) -> KnownKey:
        """Return what the baseline and the evidence of open batches say of one key, reading as little as possible."""
        verify_parquet([*baseline.paths, *in_flight])
        with translate_disk_errors("looking for one key"):
            return lookup(key, baseline, in_flight)
