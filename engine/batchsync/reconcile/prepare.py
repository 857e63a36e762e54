"""Preparation of a run: each finalized file is journaled as a batch at once, and may be sent before the next is made.

The run is journaled with its first file. Rows that are in no batch when the preparation ends, however it ends, are
deferred to the next run.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from batchsync.core import naming
from batchsync.core.batch import Batch, Phase
from batchsync.core.run import Run, RunState, with_finalized
from batchsync.errors import BatchsyncError, SourceError, StateError
from batchsync.ports import BatchChanged, RunStarted
from batchsync.reconcile.accounts import same_account
from batchsync.reconcile.renames import baseline_before

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime, timedelta
    from types import TracebackType

    from batchsync.core.batch import BatchFile
    from batchsync.ports import BaselineEntry, Comparison, TargetFacts
    from batchsync.reconcile.services import BatchFileQueue, JobContext, Services


def renewed_baseline(context: JobContext, comparison: Comparison, services: Services) -> BaselineEntry | None:
    """Return the job's baseline with what the job keeps of unchanged records; None if it has all of that, no more.

    It is read again, because batches in flight may have been delivered since the comparison.
    """
    baseline = baseline_before(context, services)
    renewed = services.data.renew(context.job, context.rules, comparison, baseline)
    return None if renewed == baseline else renewed


@dataclass(slots=True, kw_only=True)
class Preparation:
    """Preparation of one run. Context manager: an error in its block aborts the preparation.

    `run` is the run in its current state, which is in the journal as soon as the preparation is `journaled`.
    """

    run: Run
    context: JobContext
    services: Services
    comparison: Comparison
    facts: TargetFacts
    tick: datetime | None = None
    file_count: int = 0
    record_count: int = 0
    queue: BatchFileQueue | None = None
    digests: set[str] = field(default_factory=set)

    @property
    def preparing(self) -> bool:
        """Whether more files will follow."""
        return self.run.state is RunState.PREPARING

    @property
    def journaled(self) -> bool:
        """Whether the run is in the journal."""
        return bool(self.file_count) or not self.preparing

    def __enter__(self) -> Self:
        """Start to write batch files in the background.

        Returns:
            The preparation.
        """
        if self.preparing:
            open_batches = self.services.store.open_batches(self.run.job)
            # Idempotency keys are unique per account only.
            self.digests = {batch.file.digest for batch in open_batches if same_account(batch, self.context)}
            self.queue = self.services.in_background(self._stage)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop writing batch files; rows that are in no batch are deferred."""
        if self.queue is not None:
            self.queue.close()
        if self.preparing and self.file_count:
            # Report the original error. If this fails too, the next lease holder aborts the preparation.
            with suppress(BatchsyncError):
                self.run = self.services.store.abort_preparation(self.run.id, self.services.clock.now())
        if kind is None:
            shutil.rmtree(self.comparison.folder, ignore_errors=True)

    def take(self, within: timedelta | None = None) -> Batch | None:
        """Return the next batch, journaled.

        Args:
            within: Longest time to wait; None waits until there is a batch.

        Returns:
            The batch, or None if there was none within that time or the preparation has ended.

        Raises:
            SourceError: If the batch has the same content as another open batch.
            StateError: If fewer records were staged than planned.
            BatchsyncError: If the next file cannot be written or journaled.
        """
        if self.queue is None or not self.preparing:
            return None
        file = self.queue.take(within)
        if file is not None:
            return self._journal(file)
        if self.queue.ended:
            raise StateError(
                f"the plan has {self.run.counts.to_send} records to send, but {self.record_count} were staged",
                hint="the source changed while it was read, or batchsync has a defect: run the same command again",
            )
        return None

    def _stage(self, stopped: Callable[[], bool]) -> Iterator[BatchFile]:
        """Write the batch files. Runs in the background thread and uses only the data engine."""
        return self.services.data.stage_each(self.context.job, self.context.rules, self.comparison, stopped)

    def _journal(self, file: BatchFile) -> Batch:
        """Journal the file as a batch of the run, in one transaction."""
        refuse_identical(self.run.job, file, self.digests)
        made = RunBatches(run=self.run, context=self.context, services=self.services, facts=self.facts)
        batch = made.new(self.file_count + 1, file)
        store = self.services.store
        baseline = None if self.file_count else renewed_baseline(self.context, self.comparison, self.services)
        with self.services.shield():
            if not self.file_count:
                begun = with_finalized(self.run, file.rows)
                store.start_run(
                    begun, (batch,), self.services.data.invalid(self.comparison), tick=self.tick, baseline=baseline
                )
                self.run = begun
            else:
                self.run = store.add_batch(batch, tick=self.tick)
            self.file_count += 1
            self.record_count += file.rows
            self.digests.add(file.digest)
        if self.file_count == 1:
            self.services.events.emit(RunStarted(job=self.run.job, run=self.run.id, counts=self.run.counts))
        self.services.events.emit(BatchChanged(batch=batch))
        return batch


def refuse_identical(job: str, file: BatchFile, digests: Collection[str]) -> None:
    """Refuse a batch file with the content of another open batch: both might get the same idempotency key.

    Args:
        job: Name of the job.
        file: The batch file.
        digests: Digests of the other open batches.

    Raises:
        SourceError: If there is one of the same content.
    """
    if file.digest in digests:
        # Both would get the same idempotency key when one of them loses its allocation.
        raise SourceError(
            f'job "{job}" would send two batches with identical content',
            hint="make the rows distinct (for instance by mapping the key), or send fewer rows",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBatches:
    """The batches of a run: `new` makes one of a finalized file."""

    run: Run
    context: JobContext
    services: Services
    facts: TargetFacts

    def new(self, seq: int, file: BatchFile) -> Batch:
        """Return a batch of the run. Content that was sent before gets the attempt after the last one used.

        Args:
            seq: Number of the batch in the run, from 1.
            file: Its file.
        """
        job = self.run.job
        attempt_number = self.services.store.attempts_used(job, file.digest) + 1
        return Batch(
            id=naming.batch_id(job, file.digest, attempt_number),
            run=self.run.id,
            job=job,
            seq=seq,
            file=file,
            phase=Phase.PREPARED,
            prepared_at=self.services.clock.now(),
            account_id=self.context.account_id,
            target=self._target_of(file),
            attempt=attempt_number,
        )

    def _target_of(self, file: BatchFile) -> Mapping[str, str]:
        """Return the parameters of a batch; one of removals alone may have its own."""
        removal = self.facts.removal_params
        return removal if file.removals and removal is not None else self.facts.params


def abort_preparation(job: str, services: Services) -> list[Run]:
    """Abort preparations of the job that an earlier process did not finish. The caller holds the job's lease.

    Returns:
        The runs, as aborted.
    """
    now = services.clock.now()
    return [services.store.abort_preparation(run.id, now) for run in services.store.preparing_runs(job)]
