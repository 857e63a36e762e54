"""Bugs in how lading stands on its machine: laws 8 to 10, clocks, crashes, and who runs a job."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

from lading.core import accounting, decide
from lading.core import run as run_states
from lading.core.run import RunState
from lading.errors import EnvironmentProblem
from lading.journal.journal import Journal
from lading.journal.store import Store
from lading.reconcile import collected, perform, sync
from simulation import life
from simulation.plants.plant import Plant, replaced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.batch import Batch


# Law 8: wall time is only for schedules and expiry


def _wall_clock_backoff(original: Any) -> Any:
    def look_again(batch: Batch, policy: Any, _now: datetime, asked_for: datetime | None = None) -> datetime:
        return original(batch, policy, datetime.now(UTC).replace(year=2030), asked_for)

    return look_again


def _retry_after_never(_original: Any) -> Any:
    return lambda _batch, _policy, now, asked_for=None: asked_for or now + timedelta(days=3)


# Law 9: kill -9 at any instruction


def _evidence_swept(_original: Any) -> Any:
    def sweep(job: str, world: Any) -> None:
        kept = {one.file.path.rsplit("/", 1)[-1] for one in world.memory.open_batches(job)}
        from lading.reconcile import sweep as module  # noqa: PLC0415 - the plant's own

        module._remove_others(world.folders.staging(job), kept)

    return sweep


def _answers_swept(original: Any) -> Any:
    def sweep(job: str, world: Any) -> None:
        original(job, world)
        if world.folders.collected_of(job).is_dir():
            for one in world.folders.collected_of(job).iterdir():
                collected.remove(one)

    return sweep


@contextlib.contextmanager
def _answers_gone_for_good() -> Iterator[None]:
    """Answers that were not delivered are swept, and that they are gone is a fault of the disk: nobody asks again."""

    def read(folder: Path, batch: Batch) -> Any:
        try:
            return whole(folder, batch)
        except collected.AnswersGoneError as gone:
            raise EnvironmentProblem(str(gone)) from None

    whole = collected.read
    with mock.patch.object(sync, "sweep", _answers_swept(sync.sweep)), mock.patch.object(collected, "read", read):
        yield


def _file_not_verified(_original: Any) -> Any:
    return lambda _file: None


def _run_before_batches(original: Any) -> Any:
    """The run is committed first, and its batches in a second transaction."""

    def start_run(self: Journal, run: Any, batches: Any, invalid: Any, *more: Any, **named: Any) -> None:
        if batches:
            with self._write("start_run", run.job):
                from lading.journal import codec, journal  # noqa: PLC0415 - the plant's own

                journal._insert(self._db, "runs", codec.run_row(replace(run, state=RunState.PREPARED)))
            with mock.patch.object(Journal, "next_serial", return_value=run.serial), _without_runs():
                original(self, run, batches, invalid, *more, **named)
            return
        original(self, run, batches, invalid, *more, **named)

    return start_run


@contextlib.contextmanager
def _without_runs() -> Any:
    from lading.journal import journal  # noqa: PLC0415 - the plant's own

    real = journal._insert
    with mock.patch.object(
        journal, "_insert", lambda db, table, row: None if table == "runs" else real(db, table, row)
    ):
        yield


def _batch_before_its_story(_original: Any) -> Any:
    """A batch is committed first, and the event that opens its story in a second transaction."""

    def add_batch(self: Journal, batch: Batch, *, epoch: int | None = None, **_slot: Any) -> Any:
        from lading.journal import codec, journal  # noqa: PLC0415 - the plant's own

        row = codec.batch_row(batch)
        with self._write("add_batch", batch.job, epoch) as db:
            after = run_states.with_sealed(
                self.run(batch.run), sum(one.file.rows for one in [*self.batches(batch.run), batch])
            )
            journal._insert(db, "batches", row)
            self._put_run(after)
        with self._write("add_batch", batch.job, epoch):
            at, fence = codec.iso(batch.prepared_at), self._fence(batch.job, epoch)
            self._append(batch.id, at, journal.PREPARED, codec.canonical(row), fence)
        return after

    return add_batch


def _never_cut_short(_original: Any) -> Any:
    return lambda _job, _world: []


def _cut_rows_forgotten(_original: Any) -> Any:
    """What a run that is cut short did not seal is in no place."""
    return lambda self, sealed: replace(self, unsealed=self.unsealed + self.to_send - sealed)


# Law 10: one runner per job


def _no_lease(_original: Any) -> Any:
    return lambda *_given: lambda _job: contextlib.nullcontext()


def _no_fence(_original: Any) -> Any:
    return lambda *_given: None


PLANTS = {
    "wall-clock-backoff": Plant(
        8, "back-off reads the wall clock", replaced(decide, "look_again", _wall_clock_backoff)
    ),
    "backoff-of-days": Plant(8, "back-off has no bound", replaced(decide, "look_again", _retry_after_never)),
    "evidence-swept": Plant(9, "the evidence of open batches is swept", replaced(sync, "sweep", _evidence_swept)),
    "answers-swept": Plant(9, "answers not delivered are swept and not asked for again", _answers_gone_for_good),
    "file-not-verified": Plant(
        9, "a sealed file is sent as it is found", replaced(perform, "check_sealed", _file_not_verified)
    ),
    "run-before-batches": Plant(
        9, "a run and its batches are two transactions", replaced(Journal, "start_run", _run_before_batches)
    ),
    "batch-before-its-story": Plant(
        9,
        "a batch that is added and its first event are two transactions",
        replaced(Journal, "add_batch", _batch_before_its_story),
    ),
    "never-cut-short": Plant(
        9, "a run whose preparing died goes on preparing for ever", replaced(sync, "cut_short", _never_cut_short)
    ),
    "cut-rows-forgotten": Plant(
        9,
        "a run that is cut short forgets what it did not seal",
        replaced(accounting.Tally, "cut_to", _cut_rows_forgotten),
    ),
    "no-lease": Plant(10, "the lease is not taken", replaced(life, "leases", _no_lease)),
    "no-fence": Plant(10, "the epoch is not checked", replaced(Store, "_check_fence", _no_fence)),
}
