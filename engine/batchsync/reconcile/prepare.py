"""A run whose files are being sealed: each becomes a batch in the journal as soon as it is there, and may go its way.

The run is remembered with its first file. What is in no batch when preparing ends, however it ends, is held and sent by
the next run. It sends nothing itself, and does not know how files are made.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from lading.core import tickets
from lading.core.batch import Batch, Phase
from lading.core.run import Run, RunState, with_sealed
from lading.errors import LadingError, SourceError, StateError
from lading.reconcile.accounts import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta
    from types import TracebackType

    from lading.core.batch import BatchFile
    from lading.ports import Comparison, TargetFacts
    from lading.reconcile.context import Feed, JobContext, World


@dataclass(slots=True, kw_only=True)
class Preparation:
    """One run on its way to being prepared. A context manager: an error in its block cuts the run short.

    `run` is the run as it stands; it is in the journal as soon as it is `remembered`.
    """

    run: Run
    context: JobContext
    world: World
    comparison: Comparison
    facts: TargetFacts
    slot: datetime | None = None
    files: int = 0
    records: int = 0
    feed: Feed | None = None
    taken: set[str] = field(default_factory=set)

    @property
    def more(self) -> bool:
        """Whether files are still to come."""
        return self.run.state is RunState.PREPARING

    @property
    def remembered(self) -> bool:
        """Whether the journal knows the run."""
        return bool(self.files) or not self.more

    def __enter__(self) -> Self:
        """Let the first file be made."""
        if self.more:
            open_batches = self.world.memory.open_batches(self.run.job)
            # What is for another account goes by its names there.
            self.taken = {one.file.digest for one in open_batches if is_ours(one, self.context)}
            self.feed = self.world.aside(self._stage)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let nothing more be made, and have what is in no batch held."""
        if self.feed is not None:
            self.feed.close()
        if self.more and self.files:
            # What went wrong is the thing to tell. Whoever has the job next cuts the run short if this cannot.
            with suppress(LadingError):
                self.run = self.world.memory.cut_run(self.run.id, self.world.clock.now())
        if kind is None:
            shutil.rmtree(self.comparison.folder, ignore_errors=True)

    def take(self, within: timedelta | None = None) -> Batch | None:
        """Return the next batch, remembered; None when none is there within this time (None: as long as it takes).

        Raises:
            LadingError: when the next file cannot be made or remembered.
        """
        if self.feed is None or not self.more:
            return None
        file = self.feed.take(within)
        if file is not None:
            return self._remember(file)
        if self.feed.ended:
            raise StateError(
                f"the plan counts {self.run.tally.to_send} records to send, but {self.records} were staged",
                hint="the source changed while it was read, or this is a defect of lading: run the same command again",
            )
        return None

    def _stage(self, stopped: Callable[[], bool]) -> Iterator[BatchFile]:
        """Make the files. This runs aside: it touches the data path and nothing else."""
        context, into = self.context, self.world.folders.staging(self.run.job)
        return self.world.data.stage_each(context.job, context.rules, self.comparison, into, stopped)

    def _remember(self, file: BatchFile) -> Batch:
        """Make the file a batch of the run, in one transaction."""
        if file.digest in self.taken:
            # Both would go by one name at the vendor when one of them loses its slot.
            raise SourceError(
                f'job "{self.run.job}" would send two batches with the very same content',
                hint="make the rows distinct (for instance by mapping the key), or send fewer rows",
            )
        batch = self._batch(file)
        memory = self.world.memory
        with self.world.shield():
            if not self.files:
                begun = with_sealed(self.run, file.rows)
                memory.start_run(begun, (batch,), self.world.data.invalid(self.comparison), slot=self.slot)
                self.run = begun
            else:
                self.run = memory.add_batch(batch, slot=self.slot)
            self.files += 1
            self.records += file.rows
            self.taken.add(file.digest)
        self.world.watcher.moved(batch)
        return batch

    def _batch(self, file: BatchFile) -> Batch:
        """Return the run's next batch. Content that was sent before gets the ticket after the last one it used."""
        job = self.run.job
        first = self.world.memory.attempts_used(job, file.digest) + 1
        return Batch(
            id=tickets.batch_id(job, file.digest, first),
            run=self.run.id,
            job=job,
            seq=self.files + 1,
            file=file,
            phase=Phase.PREPARED,
            prepared_at=self.world.clock.now(),
            identity=self.context.identity,
            target=self.facts.params,
            attempt=first,
        )


def cut_short(job: str, world: World) -> list[Run]:
    """Cut short the runs of a job that a process which is gone was preparing. Needs the job's lease."""
    now = world.clock.now()
    return [world.memory.cut_run(one.id, now) for one in world.memory.preparing_runs(job)]
