"""Bugs in the use of clocks, in crash safety and in leases: invariants 8 to 10."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

from batchsync.core import accounting, decide, naming
from batchsync.core import run as run_states
from batchsync.core.policy import Policy
from batchsync.core.run import RunState
from batchsync.errors import UnavailableError
from batchsync.journal.anchor import Anchor
from batchsync.journal.journal import Journal
from batchsync.journal.store import Store
from batchsync.reconcile import batch_files, collected, perform, sync
from simulation import process_life
from simulation.plants.plant import Plant, replaced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.batch import Batch


# Invariant 8: wall time is only for schedules and expiry


def _wall_clock_backoff(original: Any) -> Any:
    def retry_at(batch: Batch, policy: Any, _now: datetime, asked_for: datetime | None = None) -> datetime:
        return original(batch, policy, datetime.now(UTC).replace(year=2030), asked_for)

    return retry_at


def _unbounded_backoff(_original: Any) -> Any:
    return lambda _batch, _policy, now, asked_for=None: asked_for or now + timedelta(days=3)


def _few_failures_park(_original: Any) -> Any:
    return property(lambda _policy: 6)


# Invariant 4: a state folder that was restored sends nothing before a person accepted it


def _restored_state_used(_original: Any) -> Any:
    return lambda _anchor: None


def _found_batch_proves_delivery(_original: Any) -> Any:
    return lambda _store, _batch, _names: False


def _collected_before_counts(_original: Any) -> Any:
    return lambda _batch, _context, _services: ""


def _lost_runs_of_one_name(original: Any) -> Any:
    return lambda store, batch, _names: original(store, batch)


# Invariant 9: any process may be killed at any instruction


def _row_manifests_swept(_original: Any) -> Any:
    def sweep(job: str, services: Any) -> None:
        kept = {naming.batch_file_key(job, batch.file) for batch in services.store.open_batches(job)}
        from batchsync.reconcile import sweep as module  # noqa: PLC0415 - used here only

        module._delete_others(services.objects, naming.staging_prefix(job), kept)

    return sweep


def _results_swept(original: Any) -> Any:
    def sweep(job: str, services: Any) -> None:
        original(job, services)
        if services.paths.collected_of(job).is_dir():
            for path in services.paths.collected_of(job).iterdir():
                collected.remove(path)

    return sweep


@contextlib.contextmanager
def _results_lost_for_good() -> Iterator[None]:
    """Results that were not delivered are swept, and their absence counts as a disk error."""

    def read(folder: Path, batch: Batch) -> Any:
        try:
            return original(folder, batch)
        except collected.ResultsMissingError as error:
            raise UnavailableError(str(error)) from None

    original = collected.read
    with mock.patch.object(sync, "sweep", _results_swept(sync.sweep)), mock.patch.object(collected, "read", read):
        yield


def _file_not_verified(_original: Any) -> Any:
    return lambda _batch, _objects: None


def _run_and_batches_in_two_transactions(original: Any) -> Any:
    """The run is committed first, its batches in a second transaction."""

    def start_run(self: Journal, run: Any, batches: Any, invalid: Any, *args: Any, **kwargs: Any) -> None:
        if batches:
            with self._write("start_run", run.job):
                from batchsync.journal import codec, journal  # noqa: PLC0415 - used here only

                journal._insert(self._db, "runs", codec.run_row(replace(run, state=RunState.PREPARED)))
            with mock.patch.object(Journal, "next_serial", return_value=run.serial), _without_run_rows():
                original(self, run, batches, invalid, *args, **kwargs)
            return
        original(self, run, batches, invalid, *args, **kwargs)

    return start_run


@contextlib.contextmanager
def _without_run_rows() -> Any:
    from batchsync.journal import journal  # noqa: PLC0415 - used here only

    original = journal._insert
    with mock.patch.object(
        journal, "_insert", lambda db, table, row: None if table == "runs" else original(db, table, row)
    ):
        yield


def _batch_and_event_in_two_transactions(_original: Any) -> Any:
    """A batch is committed first, its first event in a second transaction."""

    def add_batch(self: Journal, batch: Batch, *, epoch: int | None = None, **_tick: Any) -> Any:
        from batchsync.journal import codec, journal  # noqa: PLC0415 - used here only

        row = codec.batch_row(batch)
        with self._write("add_batch", batch.job, epoch) as db:
            after = run_states.with_finalized(
                self.run(batch.run), sum(item.file.rows for item in [*self.batches(batch.run), batch])
            )
            journal._insert(db, "batches", row)
            self._update_run(after)
        with self._write("add_batch", batch.job, epoch):
            at, fencing_epoch = codec.to_iso(batch.prepared_at), self._epoch_of(batch.job, epoch)
            self._append_event(batch.id, at, journal.PREPARED, codec.canonical(row), fencing_epoch)
        return after

    return add_batch


def _preparation_never_aborted(_original: Any) -> Any:
    return lambda _job, _services: []


def _aborted_rows_not_deferred(_original: Any) -> Any:
    """Records that an aborted preparation did not finalize have no outcome."""
    return lambda self, finalized: replace(self, unstaged=self.unstaged + self.to_send - finalized)


# Renamed jobs


def _rename_starts_anew(_original: Any) -> Any:
    return lambda _context, _services: None


def _rename_leaves_open_batches(_original: Any) -> Any:
    return lambda _context, _services: ()


# Invariant 10: one runner per job


def _no_lease(_original: Any) -> Any:
    return lambda *_args: lambda _job: contextlib.nullcontext()


def _no_fence(_original: Any) -> Any:
    return lambda *_args: None


PLANTS = {
    "wall-clock-backoff": Plant(8, "back-off reads the wall clock", replaced(decide, "retry_at", _wall_clock_backoff)),
    "unbounded-backoff": Plant(8, "back-off has no upper bound", replaced(decide, "retry_at", _unbounded_backoff)),
    "few-failures-park": Plant(
        8, "a few failures in a row park a batch", replaced(Policy, "failures_max", _few_failures_park)
    ),
    "row-manifests-swept": Plant(
        9, "the row manifests of open batches are swept", replaced(sync, "sweep", _row_manifests_swept)
    ),
    "results-swept": Plant(
        9, "results that were not delivered are swept and not collected again", _results_lost_for_good
    ),
    "file-not-verified": Plant(
        9, "a batch file is sent without verification", replaced(batch_files, "verify_batch_file", _file_not_verified)
    ),
    "run-and-batches-in-two-transactions": Plant(
        9,
        "a run and its batches are written in two transactions",
        replaced(Journal, "start_run", _run_and_batches_in_two_transactions),
    ),
    "batch-and-event-in-two-transactions": Plant(
        9,
        "an added batch and its first event are written in two transactions",
        replaced(Journal, "add_batch", _batch_and_event_in_two_transactions),
    ),
    "preparation-never-aborted": Plant(
        9,
        "a run whose process crashed while preparing stays in preparation",
        replaced(sync, "abort_preparation", _preparation_never_aborted),
    ),
    "aborted-rows-not-deferred": Plant(
        9,
        "an aborted preparation does not defer the remaining records",
        replaced(accounting.PlanCounts, "with_staged", _aborted_rows_not_deferred),
    ),
    "rename-starts-anew": Plant(
        6,
        "a renamed job does not take over the baseline of its former name",
        replaced(sync, "take_over", _rename_starts_anew),
    ),
    "rename-leaves-open-batches": Plant(
        9,
        "open batches of a former name are not followed",
        replaced(sync, "under_former_names", _rename_leaves_open_batches),
    ),
    "restored-state-used": Plant(
        4,
        "a restored state folder is used without an acceptance",
        replaced(Anchor, "refuse_older", _restored_state_used),
    ),
    "found-batch-proves-delivery": Plant(
        5,
        "a batch found after a restore counts as delivered, though later batches may have followed",
        replaced(Journal, "may_be_followed", _found_batch_proves_delivery),
    ),
    "collected-before-counts": Plant(
        5,
        "outcomes collected before a restore count, though later batches may have followed",
        replaced(perform, "doubt_of_accepted", _collected_before_counts),
    ),
    "lost-runs-of-one-name": Plant(
        5,
        "lost runs under another name of a renamed job are not considered",
        replaced(Journal, "may_be_followed", _lost_runs_of_one_name),
    ),
    "no-lease": Plant(10, "the lease is not acquired", replaced(process_life, "lease_factory", _no_lease)),
    "no-fence": Plant(10, "the epoch is not checked", replaced(Store, "_check_fence", _no_fence)),
}
