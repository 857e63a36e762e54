"""The only memory: what happened to each batch, and what is true of it now, written in one transaction.

It does not know what should happen next, and it asks nothing of the world but its own file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lading.core import accounting
from lading.core.batch import Batch, BatchId, Phase
from lading.core.events import Delivered, Event, Resolved, StillRunning
from lading.core.lifecycle import evolve
from lading.core.run import Run, RunState, cut_short, settlement_of, with_sealed
from lading.errors import LockedError
from lading.journal import audit, codec
from lading.journal.queries import PREPARED, Queries
from lading.journal.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from lading.journal.codec import Row
    from lading.journal.library import Database
    from lading.ports import BaselineEntry, Reject


class Journal(Queries):
    """The journal of one state folder. Not for several threads: each opens its own.

    Writes take an optional `epoch`, the one that `lease` gave; inside a lease of this journal it is checked unasked.
    """

    @classmethod
    def open(
        cls, folder: Path, *, read_only: bool = False, lineage: str = "", trip: Callable[[str], None] | None = None
    ) -> Journal:
        """Open `<folder>/journal.db`, and make it (of this lineage) if it is not there.

        `trip` is for crash tests; the docstring of `store` says where it is called.

        Raises:
            StateError: when the file is damaged, foreign, newer, or older than it was, or the folder is not private.
            EnvironmentProblem: when the disk, the folder or the file cannot be used.
            LockedError: when another process holds the file too long.
        """
        return cls(*open_store(folder, read_only=read_only, lineage=lineage), trip)

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
        slot: datetime | None = None,
        epoch: int | None = None,
    ) -> None:
        """Remember a run with its invalid rows and the batches that are sealed: all of them, or the first of several.

        A run without batches that no guard holds is settled at once. `slot` is the schedule slot that the run is for,
        claimed in the transaction that makes the run whole: a crash neither loses it nor runs it twice.

        Raises:
            ValueError: when a batch is not a fresh one of this run, or a run that is held or settled has batches.
            UnbalancedError: when a selected record would be in no place, or in two.
            LockedError: when somebody else started a run of the job, or ran the slot, meanwhile.
        """
        _check_fresh(run, batches)
        held = run.state is RunState.HELD
        _check_balance(run, batches)
        if not batches and not held:
            run = replace(run, state=RunState.SETTLED, settled_at=run.settled_at or run.created_at)
        with self._write("start_run", run.job, epoch) as db:
            if self.next_serial(run.job) != run.serial:
                raise LockedError(
                    f"run {run.serial} of job {run.job} was started by somebody else meanwhile",
                    hint="Run the same command again: the plan must be made anew.",
                )
            self._take_slot(db, run, slot)
            _insert(db, "runs", codec.run_row(run))
            self._tripped("start_run:run")
            for batch in batches:
                self._add(db, batch, epoch)
            self._tripped("start_run:batches")
            self._add_rejects(run, None, invalid, run.created_at)
            self._tripped("start_run:rejects")

    def add_batch(self, batch: Batch, *, slot: datetime | None = None, epoch: int | None = None) -> Run:
        """Add the next batch of a run that is preparing, and return the run: prepared with the last one.

        Raises:
            ValueError: when the batch is not the next fresh one of its run.
            UnbalancedError: when the run's batches would hold more records than its plan counts.
            LockedError: when the run is preparing no more, or somebody else ran the slot meanwhile.
        """
        with self._write("add_batch", batch.job, epoch) as db:
            run = self._preparing(batch.run)
            _check_fresh(run, [batch])
            sealed = self._rows("SELECT count(*) AS files, sum(rows) AS rows FROM batches WHERE run = ?", [run.id])[0]
            if batch.seq != sealed["files"] + 1:
                message = f"batch {batch.id} is number {batch.seq} of run {run.id}, which has {sealed['files']}"
                raise ValueError(message)
            after = with_sealed(run, sealed["rows"] + batch.file.rows)
            self._add(db, batch, epoch)
            self._tripped("add_batch:batch")
            self._take_slot(db, after, slot)
            self._put_run(after)
            self._tripped("add_batch:run")
        return after

    def cut_run(self, run: str, at: datetime, *, epoch: int | None = None) -> Run:
        """End the preparing of a run, and return the run: its batches go on, its other records are held.

        Raises:
            LockedError: when the run is preparing no more.
        """
        with self._write("cut_run", self.run(run).job, epoch):
            after = cut_short(self._preparing(run), self.batches(run), at)
            self._put_run(after)
            self._tripped("cut_run:run")
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
                _point(db, baseline)
            self._tripped("deliver:baseline")
            run = self.run(batch.run)
            self._add_rejects(run, batch.id, rejects, event.at)
            self._tripped("deliver:rejects")
            more = run.state is RunState.PREPARING
            if not more and not self.has_open_batches(batch.run):
                self._put_run(replace(run, state=RunState.SETTLED, settled_at=event.at))
            self._tripped("deliver:run")
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
            _point(db, baseline)
        return after

    def claim_slot(self, job: str, at: datetime) -> bool:
        """Claim a slot of the job's schedule, and say whether it was free. Of many that try, one gets it."""
        with self._write("claim_slot") as db:
            return _claim(db, job, at)

    def watch(self, job: str, at: datetime) -> datetime:
        """Return the latest slot of the job that was run or given up; else when it was first seen, which may be `at`.

        Of several processes that see a job for the first time, one says when that was.
        """
        if (done := self.slot_done(job)) is not None:
            return done
        with self._write("watch") as db:
            unseen = "INSERT INTO slots SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM slots WHERE job = ?)"
            db.execute(unseen, [job, codec.iso(at), job])
        return self.slot_done(job) or at

    def approve(self, job: str, plan: str, reason: str, at: datetime) -> None:
        """Remember that a person approved this very plan. Approving twice keeps the newer reason."""
        with self._write("approve") as db:
            values = [job, plan, codec.clean(reason), codec.iso(at)]
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
            [job, codec.clean(owner), codec.iso(at)],
        )
        return int(self._rows("SELECT epoch FROM leases WHERE job = ?", [job])[0]["epoch"])

    def _add(self, db: Database, batch: Batch, epoch: int | None) -> None:
        """Insert a fresh batch and begin its story."""
        row = codec.batch_row(batch)
        _insert(db, "batches", row)
        payload = codec.canonical(row)
        self._append(batch.id, codec.iso(batch.prepared_at), PREPARED, payload, self._fence(batch.job, epoch))

    def _preparing(self, run: str) -> Run:
        """Return a run that is preparing; refuse any other."""
        found = self.run(run)
        if found.state is not RunState.PREPARING:
            raise LockedError(
                f"run {run} was ended by somebody else meanwhile: it is {found.state}",
                hint=f"Run `lading status {found.job}`, then the same command again.",
            )
        return found

    def _take_slot(self, db: Database, run: Run, slot: datetime | None) -> None:
        """Claim the slot for a run that is whole; one that is preparing only makes sure that it is free."""
        if slot is None:
            return
        preparing = run.state is RunState.PREPARING
        free = not self.slot_done(run.job, slot) if preparing else _claim(db, run.job, slot)
        if not free:
            raise LockedError(
                f"the slot {codec.iso(slot)} of job {run.job} was run by somebody else meanwhile",
                hint="Nothing is to be done: that run is in `lading history`.",
            )

    def _check_unmoved(self, batch: Batch) -> None:
        """Refuse to move a batch that is not as the caller knows it."""
        stored = self.batch(batch.id)
        if stored != codec.without_url(batch):
            now = f"it is {stored.phase} now" if stored else "it is not in the journal"
            raise LockedError(
                f"batch {batch.id} was moved by somebody else: {now}",
                hint=f"Run `lading status {batch.job}`, then the same command again.",
            )

    def _move(self, db: Database, after: Batch, event: Event, epoch: int | None, write: str) -> None:
        if not isinstance(event, StillRunning):
            payload = codec.event_payload(event)
            self._append(after.id, codec.iso(event.at), type(event).__name__, payload, self._fence(after.job, epoch))
        self._tripped(f"{write}:event")
        _update(db, "batches", codec.batch_row(after))
        self._tripped(f"{write}:batch")

    def _append(self, batch: BatchId, at: str, kind: str, payload: str, epoch: int | None) -> None:
        """Append an event, chained to the one before it."""
        row: Row = {"batch": batch, "at": at, "kind": kind, "payload": payload, "epoch": epoch}
        _insert(self._db, "events", row | {"chain": codec.link(self.head(), row)})

    def _fence(self, job: str, epoch: int | None) -> int | None:
        return epoch if epoch is not None else self._held.get(job)

    def _put_run(self, run: Run) -> None:
        _update(self._db, "runs", codec.run_row(run))

    def _add_rejects(self, run: Run, batch: BatchId | None, chunks: Iterable[Sequence[Reject]], at: datetime) -> None:
        """Insert rejects chunk by chunk, so that a million of them are never in memory at once."""
        when = codec.iso(at)

        def rows(chunk: Sequence[Reject]) -> Iterator[tuple[object, ...]]:
            for one in chunk:
                text = (codec.plain(one.key), codec.plain(one.code), codec.plain(one.field), codec.clean(one.reason))
                yield (run.id, batch, run.job, one.kind, *text, one.line, one.row, int(one.retry), when)

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
    for one in batches:
        fresh = Batch(
            id=one.id,
            run=run.id,
            job=run.job,
            seq=one.seq,
            file=one.file,
            phase=Phase.PREPARED,
            prepared_at=one.prepared_at,
            identity=one.identity,
            target=one.target,
            attempt=one.attempt,
        )
        if one != fresh:
            message = f"batch {one.id} is not a fresh batch of run {run.id}"
            raise ValueError(message)


def _check_balance(run: Run, batches: Sequence[Batch]) -> None:
    """Refuse a run whose batches do not hold the records that its plan counts: all, or the first while preparing."""
    settlement_of(run, batches)
    if run.state is RunState.HELD:
        return
    sealed = sum(one.file.rows for one in batches)
    whole = with_sealed(run, sealed).state is RunState.PREPARED
    preparing = run.state is RunState.PREPARING
    if whole is preparing or (preparing and not batches):
        message = f"run {run.id} is {run.state} for {run.tally.to_send} records, and its batches hold {sealed}"
        raise accounting.UnbalancedError(message)


def _point(db: Database, baseline: BaselineEntry) -> None:
    """Let the baseline of a job at an account be these segments."""
    db.execute("DELETE FROM segments WHERE job = ? AND identity = ?", [baseline.job, baseline.identity])
    for place, one in enumerate(baseline.segments):
        values = [baseline.job, baseline.identity, place, one.file, one.digest, one.rows]
        db.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)", values)


def _claim(db: Database, job: str, slot: datetime) -> bool:
    return db.execute("INSERT OR IGNORE INTO slots VALUES (?, ?)", [job, codec.iso(slot)]).rowcount == 1


def _insert(db: Database, table: str, row: Row) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608 - names of ours


def _update(db: Database, table: str, row: Row) -> None:
    names = ", ".join(f"{name} = ?" for name in row if name != "id")
    values = [value for name, value in row.items() if name != "id"]
    db.execute(f"UPDATE {table} SET {names} WHERE id = ?", [*values, row["id"]])  # noqa: S608 - names of ours
