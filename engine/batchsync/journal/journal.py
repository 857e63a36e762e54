"""State store of batchsync: the events of each batch and its resulting state, written in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.events import CollectedAgain, Delivered, Event, Resolved, StillRunning
from batchsync.core.lifecycle import evolve
from batchsync.core.run import Run, RunState, abort_preparation, with_finalized
from batchsync.errors import LockedError
from batchsync.journal import audit, codec
from batchsync.journal.alert_log import AlertLog
from batchsync.journal.chain import PREPARED
from batchsync.journal.coordination import keep_applied, set_baseline
from batchsync.journal.erasure import add_erasure
from batchsync.journal.new_runs import check_new, check_newly_prepared
from batchsync.journal.reject_writes import REJECT_ROWS
from batchsync.journal.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from sqlite_utils import Database

    from batchsync.core.batch import Batch, BatchId
    from batchsync.journal.codec import Row
    from batchsync.ports import BaselineEntry, ObjectStore, Reject


class Journal(AlertLog):
    """The journal of one state folder. Not thread-safe: each thread opens its own.

    Writes take an optional `epoch`, as yielded by `lease`; without it, the epoch of a lease held through this journal
    is checked.
    """

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        read_only: bool = False,
        journal_id: str = "",
        failpoint: Callable[[str], None] | None = None,
        objects: ObjectStore | None = None,
        reject_rows: int = REJECT_ROWS,
    ) -> Journal:
        """Return the journal `<folder>/journal.db`, opened; create it if it is missing and `read_only` is false.

        Args:
            folder: The state folder.
            read_only: Whether to refuse writes; a missing journal is then an error.
            journal_id: Identifies a journal that is created; an existing one keeps its id.
            failpoint: Called at named points of write transactions; for crash tests, see `store`.
            objects: Store of the rejects of a run beyond the first ones; without one, all are rows of the file.
            reject_rows: Number of the first ones.

        Raises:
            StateError: If the file is damaged, foreign, of a newer version or rolled back, or the folder not private.
            UnavailableError: If the disk, the folder or the file cannot be used.
            LockedError: If another process holds the file too long.
        """
        journal = cls(*open_store(folder, read_only=read_only, journal_id=journal_id), failpoint)
        journal.object_store, journal.reject_rows = objects, reject_rows
        return journal

    def __enter__(self) -> Self:
        """Return the journal; the end of the block closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the journal."""
        self.close()

    def start_run(
        self,
        run: Run,
        batches: Sequence[Batch],
        invalid: Iterable[Sequence[Reject]],
        *,
        tick: datetime | None = None,
        baseline: BaselineEntry | None = None,
        epoch: int | None = None,
    ) -> None:
        """Store a run with its invalid rows and its finalized batches: all of them, or the first while it is preparing.

        A run without batches that is not awaiting approval is settled at once.

        Args:
            run: The run; its serial must be the next of its job.
            batches: Newly prepared batches of the run, in order.
            invalid: Rows that batchsync refuses, in chunks.
            tick: Schedule tick that the run serves. It is claimed in the transaction that completes the preparation, so
                that a crash neither loses it nor runs it twice.
            baseline: New baseline, of a run that assumes records to be delivered, or with fingerprints of this version;
                None to keep the present one.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Raises:
            ValueError: If a batch is not a newly prepared one of this run, or a run in another state has batches.
            UnbalancedError: If the batches and the counts of the plan do not balance.
            LockedError: If another process started a run of the job, or ran the tick, meanwhile.
        """
        run = check_new(run, batches)
        with self._write("start_run", run.job, epoch) as db:
            self._claim_tick(db, run, tick)
            self._insert_run(db, run, batches, invalid, epoch)
            if baseline is not None:
                set_baseline(db, baseline)
            self._reached("start_run:rejects")

    def start_applied_run(
        self,
        run: Run,
        batches: Sequence[Batch],
        invalid: Iterable[Sequence[Reject]],
        plan_file: str,
        *,
        epoch: int | None = None,
    ) -> None:
        """Store a run that applies a plan file, as `start_run` does, and that the plan file was applied to its job.

        Args:
            run: The run; its serial must be the next of its job.
            batches: All of its batches, newly prepared, in order.
            invalid: Rows that batchsync refuses, in chunks.
            plan_file: Id of the plan file.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Raises:
            LockedError: If another process started a run of the job, or applied the plan file, meanwhile.
        """
        run = check_new(run, batches)
        with self._write("start_run", run.job, epoch) as db:
            keep_applied(db, plan_file, run)
            self._insert_run(db, run, batches, invalid, epoch)
            self._reached("start_run:rejects")

    def add_batch(self, batch: Batch, *, tick: datetime | None = None, epoch: int | None = None) -> Run:
        """Add the next batch to a run that is preparing.

        Args:
            batch: Newly prepared batch with the next sequence number.
            tick: Schedule tick that the run serves; claimed with the last batch.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Returns:
            The run, PREPARED if this was its last batch.

        Raises:
            ValueError: If the batch is not the next newly prepared one of its run.
            UnbalancedError: If the batches would contain more records than the plan counts.
            LockedError: If the run is no longer preparing, or another process ran the tick meanwhile.
        """
        with self._write("add_batch", batch.job, epoch) as db:
            run = self._preparing_run(batch.run)
            check_newly_prepared(run, [batch])
            finalized = self._rows("SELECT count(*) AS files, sum(rows) AS rows FROM batches WHERE run = ?", [run.id])[
                0
            ]
            if batch.seq != finalized["files"] + 1:
                message = f"batch {batch.id} is number {batch.seq} of run {run.id}, which has {finalized['files']}"
                raise ValueError(message)
            after = with_finalized(run, finalized["rows"] + batch.file.rows)
            self._insert_batch(db, batch, epoch)
            self._reached("add_batch:batch")
            self._claim_tick(db, after, tick)
            self._update_run(after)
            self._reached("add_batch:run")
        return after

    def abort_preparation(self, run: str, at: datetime, *, epoch: int | None = None) -> Run:
        """End the preparation of a run early: its batches continue, its other records are deferred.

        Returns:
            The run, PREPARED or SETTLED.

        Raises:
            LockedError: If the run is no longer preparing.
        """
        with self._write("abort_preparation", self.run(run).job, epoch):
            after = abort_preparation(self._preparing_run(run), self.batches(run), at)
            self._update_run(after)
            self._reached("abort_preparation:run")
        return after

    def record(self, batch: Batch, event: Event, *, epoch: int | None = None) -> Batch:
        """Append an event and update the row of its batch.

        `StillRunning` updates the row only. Free text is stored without query strings.

        Args:
            batch: The batch as the caller read it.
            event: The event; `Delivered` is recorded by `deliver`.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Returns:
            The batch after the event, including the upload URL of its allocation.

        Raises:
            ImpossibleEventError: If the event cannot happen to the batch in its phase; nothing is written.
            LockedError: If another process changed the batch since it was read, or took over the job.
            ValueError: If the event is `Delivered`.
        """
        if isinstance(event, Delivered):
            message = "Delivered moves the baseline too: use deliver()"
            raise ValueError(message)  # noqa: TRY004 - an Event, but one of another method
        event = codec.clean_event(event)
        after = evolve(batch, event)
        with self._write("record", batch.job, epoch) as db:
            self._check_unchanged(batch)
            self._update_batch(db, after, event, epoch, "record")
        return after

    def deliver(
        self,
        batch: Batch,
        event: Delivered,
        *,
        baseline: BaselineEntry | None,
        rejects: Iterable[Sequence[Reject]],
        erasing: Sequence[str] = (),
        epoch: int | None = None,
    ) -> Batch:
        """Record a delivered batch, its baseline and its rejects in one transaction; its last batch settles the run.

        Args:
            batch: The batch as the caller read it.
            event: The delivery.
            baseline: New baseline of the job at the account; None to keep the present one.
            rejects: Rejected and unknown rows of the batch, in chunks.
            erasing: Operations of the rows that erase their keys for good, so that these are to be forgotten.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Returns:
            The delivered batch.

        Raises:
            ImpossibleEventError: If the event cannot happen to the batch in its phase; nothing is written.
            LockedError: If another process changed the batch since it was read, or took over the job.
        """
        after = evolve(batch, event)
        with self._write("deliver", batch.job, epoch) as db:
            self._check_unchanged(batch)
            self._update_batch(db, after, event, epoch, "deliver")
            if baseline is not None:
                set_baseline(db, baseline)
            self._reached("deliver:baseline")
            run = self.run(batch.run)
            self._add_rejects(run, batch.id, rejects, event.at)
            add_erasure(db, batch, erasing)
            self._reached("deliver:rejects")
            if run.state is not RunState.PREPARING and not self.has_open_batches(batch.run):
                self._update_run(replace(run, state=RunState.SETTLED, settled_at=event.at))
            self._reached("deliver:run")
        return after

    def resolve(
        self,
        batch: Batch,
        event: Resolved | CollectedAgain,
        *,
        baseline: BaselineEntry,
        known: Sequence[str] = (),
        rejects: Iterable[Sequence[Reject]] = (),
        epoch: int | None = None,
    ) -> Batch:
        """Record how unknown rows of a delivered batch ended, with the new baseline, in one transaction.

        Args:
            batch: The batch as the caller read it.
            event: The resolution by a person, or the later collection.
            baseline: Baseline that contains the resolved rows.
            known: Keys of rows that are not listed as unknown any more.
            rejects: Rows that the vendor rejected, in chunks.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Returns:
            The resolved batch.

        Raises:
            ImpossibleEventError: If the event cannot happen to the batch in its phase; nothing is written.
            LockedError: If another process changed the batch since it was read, or took over the job.
        """
        cleaned = codec.clean_event(event)
        after = evolve(batch, cleaned)
        with self._write("resolve", batch.job, epoch) as db:
            self._check_unchanged(batch)
            self._update_batch(db, after, cleaned, epoch, "resolve")
            set_baseline(db, baseline)
            self._delete_known(batch.id, known)
            self._add_rejects(self.run(batch.run), batch.id, rejects, event.at)
        return after

    def audit(self) -> tuple[str, ...]:
        """Return a description of every inconsistency between events, rows and counts; empty if there is none."""
        return audit.audit(self, self._rows)

    def _insert_run(
        self, db: Database, run: Run, batches: Sequence[Batch], invalid: Iterable[Sequence[Reject]], epoch: int | None
    ) -> None:
        """Insert a new run with its batches and invalid rows, unless another process was faster."""
        if self.next_serial(run.job) != run.serial:
            raise LockedError(
                f"run {run.serial} of job {run.job} was started by another process meanwhile",
                hint="Run the same command again: it makes a new plan.",
            )
        db.table("runs").insert(codec.run_row(run))
        self._reached("start_run:run")
        for batch in batches:
            self._insert_batch(db, batch, epoch)
        self._reached("start_run:batches")
        self._add_rejects(run, None, invalid, run.created_at)

    def _insert_batch(self, db: Database, batch: Batch, epoch: int | None) -> None:
        """Insert a newly prepared batch and its first event."""
        row = codec.batch_row(batch)
        db.table("batches").insert(row)
        _keep_attempt(db, batch)
        payload = codec.canonical(row)
        self._append_event(
            batch.id, codec.to_iso(batch.prepared_at), PREPARED, payload, self._epoch_of(batch.job, epoch)
        )

    def _preparing_run(self, run: str) -> Run:
        """Return a run that is preparing; refuse any other.

        Raises:
            LockedError: If it is in another state.
        """
        found = self.run(run)
        if found.state is not RunState.PREPARING:
            raise LockedError(
                f"run {run} was ended by another process meanwhile: it is {found.state}",
                hint=f"Run `batchsync status {found.job}`, then the same command again.",
            )
        return found

    def _check_unchanged(self, batch: Batch) -> None:
        """Refuse to update a batch that differs from the caller's copy."""
        stored = self.batch(batch.id)
        if stored != codec.without_url(batch):
            state = f"it is {stored.phase} now" if stored else "it is not in the journal"
            raise LockedError(
                f"batch {batch.id} was changed by another process: {state}",
                hint=f"Run `batchsync status {batch.job}`, then the same command again.",
            )

    def _update_batch(self, db: Database, after: Batch, event: Event, epoch: int | None, write: str) -> None:
        """Append the event and update the row of the batch; `write` is the prefix of the failpoints."""
        if not isinstance(event, StillRunning):
            payload = codec.event_payload(event)
            self._append_event(
                after.id, codec.to_iso(event.at), type(event).__name__, payload, self._epoch_of(after.job, epoch)
            )
        self._reached(f"{write}:event")
        _keep_attempt(db, after)
        _update(db, "batches", codec.batch_row(after))
        self._reached(f"{write}:batch")

    def _append_event(self, batch: BatchId, at: str, kind: str, payload: str, epoch: int | None) -> None:
        """Append an event, chained to its predecessor."""
        row: Row = {"batch": batch, "at": at, "kind": kind, "payload": payload, "epoch": epoch}
        self._writer.table("events").insert(row | {"chain": codec.chain_hash(self.chain_head(), row)})

    def _epoch_of(self, job: str, epoch: int | None) -> int | None:
        return epoch if epoch is not None else self._epochs.get(job)

    def _update_run(self, run: Run) -> None:
        _update(self._writer, "runs", codec.run_row(run))


def _keep_attempt(db: Database, batch: Batch) -> None:
    """Keep the attempt of a batch as used, whatever becomes of the batch: its idempotency key is not used again."""
    db.execute(
        "INSERT INTO attempts VALUES (?, ?, ?) ON CONFLICT (job, digest) DO UPDATE SET attempt = excluded.attempt "
        "WHERE excluded.attempt > attempts.attempt",
        [batch.job, batch.file.digest, batch.attempt],
    )


def _update(db: Database, table: str, row: Row) -> None:
    names = ", ".join(f"{name} = ?" for name in row if name != "id")
    values = [value for name, value in row.items() if name != "id"]
    db.execute(f"UPDATE {table} SET {names} WHERE id = ?", [*values, row["id"]])  # noqa: S608 - constant names
