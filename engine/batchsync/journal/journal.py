"""The only memory: what happened to each batch, and what is true of it now, written in one transaction.

It does not know what should happen next, and it asks nothing of the world but its own file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core import accounting
from batchsync.core.batch import Batch, BatchId, Phase
from batchsync.core.events import Delivered, Event, Resolved, StillRunning
from batchsync.core.lifecycle import evolve
from batchsync.core.run import Run, RunState, abort_preparation, settlement_of, with_finalized
from batchsync.errors import LockedError
from batchsync.journal import audit, codec
from batchsync.journal.queries import PREPARED, Queries
from batchsync.journal.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from batchsync.journal.codec import Row
    from batchsync.journal.library import Database
    from batchsync.ports import BaselineEntry, Reject


class Journal(Queries):
    """The journal of one state folder. Not for several threads: each opens its own.

    Writes take an optional `epoch`, the one that `lease` gave; inside a lease of this journal it is checked unasked.
    """

    @classmethod
    def open(
        cls, folder: Path, *, read_only: bool = False, journal_id: str = "", trip: Callable[[str], None] | None = None
    ) -> Journal:
        """Open `<folder>/journal.db`, and make it (of this journal_id) if it is not there.

        `trip` is for crash tests; the docstring of `store` says where it is called.

        Raises:
            StateError: when the file is damaged, foreign, newer, or older than it was, or the folder is not private.
            UnavailableError: when the disk, the folder or the file cannot be used.
            LockedError: when another process holds the file too long.
        """
        return cls(*open_store(folder, read_only=read_only, journal_id=journal_id), trip)

    def __enter__(self) -> Self:
        """Return the journal, to be closed at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    def start_run(
        self,
        run: Run,
        batches: Sequence[Batch],
        invalid: Iterable[Sequence[Reject]],
        *,
        tick: datetime | None = None,
        epoch: int | None = None,
    ) -> None:
        """Remember a run with its invalid rows and the batches that are sealed: all of them, or the first of several.

        A run without batches that no guard holds is settled at once. `tick` is the schedule tick that the run is for,
        claimed in the transaction that makes the run whole: a crash neither loses it nor runs it twice.

        Raises:
            ValueError: when a batch is not a fresh one of this run, or a run that is held or settled has batches.
            UnbalancedError: when a selected record would be in no place, or in two.
            LockedError: when somebody else started a run of the job, or ran the tick, meanwhile.
        """
        _check_fresh(run, batches)
        held = run.state is RunState.AWAITING_APPROVAL
        _check_balance(run, batches)
        if not batches and not held:
            run = replace(run, state=RunState.SETTLED, settled_at=run.settled_at or run.created_at)
        with self._write("start_run", run.job, epoch) as db:
            if self.next_serial(run.job) != run.serial:
                raise LockedError(
                    f"run {run.serial} of job {run.job} was started by somebody else meanwhile",
                    hint="Run the same command again: the plan must be made anew.",
                )
            self._claim_tick(db, run, tick)
            _insert(db, "runs", codec.run_row(run))
            self._abort("start_run:run")
            for batch in batches:
                self._add(db, batch, epoch)
            self._abort("start_run:batches")
            self._add_rejects(run, None, invalid, run.created_at)
            self._abort("start_run:rejects")

    def add_batch(self, batch: Batch, *, tick: datetime | None = None, epoch: int | None = None) -> Run:
        """Add the next batch of a run that is preparing, and return the run: prepared with the last one.

        Raises:
            ValueError: when the batch is not the next fresh one of its run.
            UnbalancedError: when the run's batches would hold more records than its plan counts.
            LockedError: when the run is preparing no more, or somebody else ran the tick meanwhile.
        """
        with self._write("add_batch", batch.job, epoch) as db:
            run = self._preparing(batch.run)
            _check_fresh(run, [batch])
            sealed = self._rows("SELECT count(*) AS files, sum(rows) AS rows FROM batches WHERE run = ?", [run.id])[0]
            if batch.seq != sealed["files"] + 1:
                message = f"batch {batch.id} is number {batch.seq} of run {run.id}, which has {sealed['files']}"
                raise ValueError(message)
            after = with_finalized(run, sealed["rows"] + batch.file.rows)
            self._add(db, batch, epoch)
            self._abort("add_batch:batch")
            self._claim_tick(db, after, tick)
            self._put_run(after)
            self._abort("add_batch:run")
        return after

    def abort_preparation(self, run: str, at: datetime, *, epoch: int | None = None) -> Run:
        """End the preparing of a run, and return the run: its batches go on, its other records are held.

        Raises:
            LockedError: when the run is preparing no more.
        """
        with self._write("abort_preparation", self.run(run).job, epoch):
            after = abort_preparation(self._preparing(run), self.batches(run), at)
            self._put_run(after)
            self._abort("abort_preparation:run")
        return after

    def record(self, batch: Batch, event: Event, *, epoch: int | None = None) -> Batch:
        """Append the event, move the batch's row, and return the batch as it is now (its slot's URL included).

        A heartbeat moves the row only. Free text is kept without query strings, in the event and in the batch.

        Raises:
            ImpossibleEventError: when the event cannot happen to the batch. Nothing was changed.
            LockedError: when the batch was moved by somebody else since it was read.
            ValueError: for Delivered, which `deliver` records.
        """
        if isinstance(event, Delivered):
            message = "Delivered moves the baseline too: use deliver()"
            raise ValueError(message)  # noqa: TRY004 - the type is right, the door is wrong
        event = codec.cleaned(event)
        after = evolve(batch, event)
        with self._write("record", batch.job, epoch) as db:
            self._check_unmoved(batch)
            self._move(db, after, event, epoch, "record")
        return after

    def deliver(
        self,
        batch: Batch,
        event: Delivered,
        *,
        baseline: BaselineEntry | None,
        rejects: Iterable[Sequence[Reject]],
        epoch: int | None = None,
    ) -> Batch:
        """Record a delivered batch: move the baseline, keep the rejects, and settle the run with its last batch.

        All of it is one transaction. Raises what `record` raises.
        """
        after = evolve(batch, event)
        with self._write("deliver", batch.job, epoch) as db:
            self._check_unmoved(batch)
            self._move(db, after, event, epoch, "deliver")
            if baseline is not None:
                _set_baseline(db, baseline)
            self._abort("deliver:baseline")
            run = self.run(batch.run)
            self._add_rejects(run, batch.id, rejects, event.at)
            self._abort("deliver:rejects")
            more = run.state is RunState.PREPARING
            if not more and not self.has_open_batches(batch.run):
                self._put_run(replace(run, state=RunState.SETTLED, settled_at=event.at))
            self._abort("deliver:run")
        return after

    def resolve(self, batch: Batch, event: Resolved, *, baseline: BaselineEntry, epoch: int | None = None) -> Batch:
        """Record how the unknown rows of a delivered batch ended, with the baseline that knows it, in one transaction.

        Raises what `record` raises.
        """
        event = replace(event, reason=codec.clean(event.reason))
        after = evolve(batch, event)
        with self._write("resolve", batch.job, epoch) as db:
            self._check_unmoved(batch)
            self._move(db, after, event, epoch, "resolve")
            _set_baseline(db, baseline)
        return after

    def claim_tick(self, job: str, at: datetime) -> bool:
        """Claim a slot of the job's schedule, and say whether it was free. Of many that try, one gets it."""
        with self._write("claim_tick") as db:
            return _claim(db, job, at)

    def register_job(self, job: str, at: datetime) -> datetime:
        """Return the latest slot of the job that was run or given up; else when it was first seen, which may be `at`.

        Of several processes that see a job for the first time, one says when that was.
        """
        if (done := self.last_tick(job)) is not None:
            return done
        with self._write("register_job") as db:
            unseen = "INSERT INTO ticks SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM ticks WHERE job = ?)"
            db.execute(unseen, [job, codec.to_iso(at), job])
        return self.last_tick(job) or at

    def approve(self, job: str, plan: str, reason: str, at: datetime) -> None:
        """Remember that a person approved this very plan. Approving twice keeps the newer reason."""
        with self._write("approve") as db:
            values = [job, plan, codec.clean(reason), codec.to_iso(at)]
            db.execute("INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?)", values)

    def take_lease(self, job: str, owner: str, at: datetime, *, valid: Callable[[], bool]) -> int | None:
        """Raise the epoch of a job and return it; None when `valid`, asked inside the transaction, says no."""
        with self._write("take_lease") as db:
            if not valid():
                return None
            epoch = self._raise_epoch(db, job, owner, at)
        self._held[job] = epoch
        return epoch

    def drop_lease(self, job: str, epoch: int) -> None:
        """Let go of a job. Of no effect when somebody else has taken it."""
        self._held.pop(job, None)
        with self._write("drop_lease") as db:
            db.execute("UPDATE leases SET owner = '' WHERE job = ? AND epoch = ?", [job, epoch])

    def void_lease(self, job: str, at: datetime, *, then: Callable[[], None]) -> int:
        """Raise the epoch of a job so that whoever runs it can write no more; `then` happens in the transaction."""
        with self._write("void_lease") as db:
            epoch = self._raise_epoch(db, job, "", at)
            then()
        return epoch

    def check_lease(self, job: str) -> None:
        """Raise LockedError when the lease that this journal holds on the job was taken away."""
        self._check_fence(job, None)

    def audit(self) -> tuple[str, ...]:
        """Return every disagreement between events, rows and books; nothing when all is well."""
        return audit.audit(self, self._rows)

    def _raise_epoch(self, db: Database, job: str, owner: str, at: datetime) -> int:
        db.execute(
            "INSERT INTO leases VALUES (?, 1, ?, ?) ON CONFLICT (job) DO UPDATE SET "
            "epoch = epoch + 1, owner = excluded.owner, since = excluded.since",
            [job, codec.clean(owner), codec.to_iso(at)],
        )
        return int(self._rows("SELECT epoch FROM leases WHERE job = ?", [job])[0]["epoch"])

    def _add(self, db: Database, batch: Batch, epoch: int | None) -> None:
        """Insert a fresh batch and begin its story."""
        row = codec.batch_row(batch)
        _insert(db, "batches", row)
        payload = codec.canonical(row)
        self._append(batch.id, codec.to_iso(batch.prepared_at), PREPARED, payload, self._check_epoch(batch.job, epoch))

    def _preparing(self, run: str) -> Run:
        """Return a run that is preparing; refuse any other."""
        found = self.run(run)
        if found.state is not RunState.PREPARING:
            raise LockedError(
                f"run {run} was ended by somebody else meanwhile: it is {found.state}",
                hint=f"Run `batchsync status {found.job}`, then the same command again.",
            )
        return found

    def _claim_tick(self, db: Database, run: Run, tick: datetime | None) -> None:
        """Claim the slot for a run that is whole; one that is preparing only makes sure that it is free."""
        if tick is None:
            return
        preparing = run.state is RunState.PREPARING
        free = not self.last_tick(run.job, tick) if preparing else _claim(db, run.job, tick)
        if not free:
            raise LockedError(
                f"tick {codec.to_iso(tick)} of job {run.job} was run by somebody else meanwhile",
                hint="Nothing is to be done: that run is in `batchsync history`.",
            )

    def _check_unmoved(self, batch: Batch) -> None:
        """Refuse to move a batch that is not as the caller knows it."""
        stored = self.batch(batch.id)
        if stored != codec.without_url(batch):
            now = f"it is {stored.phase} now" if stored else "it is not in the journal"
            raise LockedError(
                f"batch {batch.id} was moved by somebody else: {now}",
                hint=f"Run `batchsync status {batch.job}`, then the same command again.",
            )

    def _move(self, db: Database, after: Batch, event: Event, epoch: int | None, write: str) -> None:
        if not isinstance(event, StillRunning):
            payload = codec.event_payload(event)
            self._append(
                after.id, codec.to_iso(event.at), type(event).__name__, payload, self._check_epoch(after.job, epoch)
            )
        self._abort(f"{write}:event")
        _update(db, "batches", codec.batch_row(after))
        self._abort(f"{write}:batch")

    def _append(self, batch: BatchId, at: str, kind: str, payload: str, epoch: int | None) -> None:
        """Append an event, chained to the one before it."""
        row: Row = {"batch": batch, "at": at, "kind": kind, "payload": payload, "epoch": epoch}
        _insert(self._db, "events", row | {"chain": codec.chain_hash(self.head(), row)})

    def _check_epoch(self, job: str, epoch: int | None) -> int | None:
        return epoch if epoch is not None else self._held.get(job)

    def _put_run(self, run: Run) -> None:
        _update(self._db, "runs", codec.run_row(run))

    def _add_rejects(self, run: Run, batch: BatchId | None, chunks: Iterable[Sequence[Reject]], at: datetime) -> None:
        """Insert rejects chunk by chunk, so that a million of them are never in memory at once."""
        when = codec.to_iso(at)

        def rows(chunk: Sequence[Reject]) -> Iterator[tuple[object, ...]]:
            for item in chunk:
                text = (
                    codec.lossless_text(item.key),
                    codec.lossless_text(item.code),
                    codec.lossless_text(item.field),
                    codec.clean(item.reason),
                )
                yield (run.id, batch, run.job, item.kind, *text, item.line, item.row, int(item.retry), when)

        sql = (
            "INSERT INTO rejects (run, batch, job, kind, key, code, field, reason, line, row, retry, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        for chunk in chunks:
            self._db.conn.executemany(sql, rows(chunk))


def _check_fresh(run: Run, batches: Sequence[Batch]) -> None:
    """Refuse batches that are not just prepared for this run."""
    if batches and run.state not in (RunState.PREPARED, RunState.PREPARING):
        message = f"run {run.id} is {run.state} and comes with {len(batches)} batches"
        raise ValueError(message)
    for batch in batches:
        fresh = Batch(
            id=batch.id,
            run=run.id,
            job=run.job,
            seq=batch.seq,
            file=batch.file,
            phase=Phase.PREPARED,
            prepared_at=batch.prepared_at,
            account_id=batch.account_id,
            target=batch.target,
            attempt=batch.attempt,
        )
        if batch != fresh:
            message = f"batch {batch.id} is not a fresh batch of run {run.id}"
            raise ValueError(message)


def _check_balance(run: Run, batches: Sequence[Batch]) -> None:
    """Refuse a run whose batches do not hold the records that its plan counts: all, or the first while preparing."""
    settlement_of(run, batches)
    if run.state is RunState.AWAITING_APPROVAL:
        return
    sealed = sum(batch.file.rows for batch in batches)
    whole = with_finalized(run, sealed).state is RunState.PREPARED
    preparing = run.state is RunState.PREPARING
    if whole is preparing or (preparing and not batches):
        message = f"run {run.id} is {run.state} for {run.counts.to_send} records, and its batches hold {sealed}"
        raise accounting.UnbalancedError(message)


def _set_baseline(db: Database, baseline: BaselineEntry) -> None:
    """Let the baseline of a job at an account be these segments."""
    db.execute("DELETE FROM segments WHERE job = ? AND account_id = ?", [baseline.job, baseline.account_id])
    for place, item in enumerate(baseline.segments):
        values = [baseline.job, baseline.account_id, place, item.file, item.digest, item.rows]
        db.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)", values)


def _claim(db: Database, job: str, tick: datetime) -> bool:
    return db.execute("INSERT OR IGNORE INTO ticks VALUES (?, ?)", [job, codec.to_iso(tick)]).rowcount == 1


def _insert(db: Database, table: str, row: Row) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608 - names of ours


def _update(db: Database, table: str, row: Row) -> None:
    names = ", ".join(f"{name} = ?" for name in row if name != "id")
    values = [value for name, value in row.items() if name != "id"]
    db.execute(f"UPDATE {table} SET {names} WHERE id = ?", [*values, row["id"]])  # noqa: S608 - names of ours
