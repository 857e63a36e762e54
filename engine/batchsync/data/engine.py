"""The columnar data path as the engine sees it: the port `DataPath` of `lading.ports`.

It decides nothing itself; each promise lives in the module that is called.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from lading.data import check as checking
from lading.data.baseline import advance, resolve
from lading.data.compare import compare
from lading.data.excerpt import excerpt
from lading.data.guarding import guarded, untouched, whole_parquet
from lading.data.joins import joined_schema
from lading.data.lookup import lookup
from lading.data.read import open_source
from lading.data.settle import settle
from lading.data.stage import Around, stage_each
from lading.data.workers import Workers
from lading.ports import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from lading.core.batch import Batch, BatchFile
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.errors import Problem
    from lading.ports import Baseline, CompareContext, Comparison, Downloads, Excerpt, KnownKey, RowVerdicts, Watcher

#: Rejects that are given out at a time.
CHUNK = 10_000


class Columnar:
    """`DataPath` in polars. It holds no state but who does its tasks and who is shown the progress of `stage`."""

    def __init__(
        self, watcher: Watcher | None = None, *, executor: Executor | None = None, threads: int | None = None
    ) -> None:
        """Take who is shown how far preparing is (comparing has its own in the context), and who does the tasks.

        Without an executor, tasks are done by `threads` threads (None: one for each core). With one, whatever has the
        shape of `concurrent.futures.Executor`, it is given that many of them at a time, as module-level functions
        with one picklable argument; the files are the same. Processes must be spawned, not forked.
        """
        self._around = Around(workers=Workers(threads=threads, executor=executor), watcher=watcher)

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
        whole_parquet([*baseline.paths, *context.in_flight])
        untouched([*baseline.paths, *context.in_flight])
        with guarded(f"comparing {job.name}"):
            return compare(job, rules, baseline, context, self._around.workers)

    def stage(self, job: Job, rules: VendorRules, comparison: Comparison, into: Path) -> tuple[BatchFile, ...]:
        """Encode, split and compress what the comparison found into sealed, fsynced files with evidence beside them."""
        with guarded(f"preparing {job.name}"):
            return tuple(stage_each(job, rules, comparison, into, self._around))

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
        with guarded(f"preparing {job.name}"):
            yield from stage_each(job, rules, comparison, into, replace(self._around, stopped=stopped))

    def excerpt(self, comparison: Comparison, limit: int) -> Excerpt:
        """Return the first keys of each kind, at most `limit` of each, and the invalid rows by reason."""
        with guarded("reading the plan"):
            return excerpt(comparison, limit)

    def invalid(self, comparison: Comparison) -> Iterator[Sequence[Reject]]:
        """Yield the invalid rows of a comparison, in the order of the source."""
        if not comparison.tally.invalid:
            return
        rows = pl.scan_parquet(comparison.folder / "invalid.parquet", glob=False)
        for chunk in rows.collect_batches(chunk_size=CHUNK, maintain_order=True):
            yield tuple(
                Reject(
                    kind="invalid",
                    key=one["key"],
                    reason=one["reason"],
                    code=one["code"],
                    field=one["field"],
                    row=one["row"],
                )
                for one in chunk.iter_rows(named=True)
            )

    def settle(self, batch: Batch, rules: VendorRules | None, downloads: Downloads, into: Path) -> RowVerdicts:
        """Join the vendor's row log to the evidence: each sent row is accepted, rejected or unknown."""
        with guarded(f"settling {batch.id}"):
            return settle(batch, rules, downloads, into)

    def check_evidence(self, file: BatchFile) -> None:
        """Raise StateError unless the evidence of a batch file is on our disk as it was sealed."""
        evidence = [Path(file.evidence)]
        untouched(evidence)
        whole_parquet(evidence)

    def rejects(self, verdicts: RowVerdicts) -> Iterator[Sequence[Reject]]:
        """Yield the rejected and unknown rows of a settled batch, in the order of the file."""
        if verdicts.books.accepted == verdicts.books.total:
            return
        rows = pl.scan_parquet(verdicts.path, glob=False).filter(pl.col("state") != "accepted")
        for chunk in rows.collect_batches(chunk_size=CHUNK, maintain_order=True):
            yield tuple(
                Reject(
                    kind=one["state"],
                    key=one["key"],
                    reason=one["reason"],
                    code=one["code"],
                    line=one["line"],
                    row=one["row"],
                    retry=one["retry"],
                )
                for one in chunk.iter_rows(named=True)
            )

    def advance(self, baseline: Baseline, verdicts: Sequence[Path], into: Path) -> Baseline:
        """Return the baseline in which accepted rows have moved: one more segment on the disk, or fewer, merged."""
        whole_parquet([*baseline.paths, *verdicts])
        with guarded("moving the baseline"):
            return advance(baseline, verdicts, into)

    def resolve(self, baseline: Baseline, keys: Sequence[str], into: Path, *, delivered: bool) -> Baseline:
        """Return the baseline in which rows of unknown outcome are held by the target, or to be sent again."""
        whole_parquet(baseline.paths)
        with guarded("moving the baseline"):
            return resolve(baseline, keys, into, delivered=delivered)

    def lookup(self, key: str, baseline: Baseline, in_flight: Sequence[Path]) -> KnownKey:
        """Return what the baseline and the evidence of open batches say of one key, reading as little as possible."""
        whole_parquet([*baseline.paths, *in_flight])
        with guarded("looking for one key"):
            return lookup(key, baseline, in_flight)
