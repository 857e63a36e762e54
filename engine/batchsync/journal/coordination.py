"""Writes that coordinate processes and jobs: schedule ticks, approvals, leases, and baselines of renamed jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.run import RunState
from batchsync.errors import LockedError
from batchsync.journal import codec
from batchsync.journal.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlite_utils import Database

    from batchsync.core.run import Run
    from batchsync.core.state_age import OlderState
    from batchsync.journal.codec import Row
    from batchsync.ports import BaselineEntry


class Coordination(Usage):
    """Ticks, approvals, leases and renames; a base of `Journal`."""

    def claim_tick(self, job: str, at: datetime) -> bool:
        """Return whether a tick of the job's schedule was free, and claim it; of concurrent callers one succeeds."""
        with self._write("claim_tick") as db:
            return _insert_tick(db, job, at)

    def register_job(self, job: str, at: datetime) -> datetime:
        """Return the latest claimed tick of a job; on first sight of the job, store and return `at`.

        Concurrent callers that see a job for the first time agree on one timestamp.
        """
        if (latest := self.last_tick(job)) is not None:
            return latest
        with self._write("register_job") as db:
            insert_first = "INSERT INTO ticks SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM ticks WHERE job = ?)"
            db.execute(insert_first, [job, codec.to_iso(at), job])
        return self.last_tick(job) or at

    def approve(self, job: str, plan: str, reason: str, at: datetime) -> None:
        """Store the approval of a plan. A second approval replaces the first.

        Args:
            job: Name of the job.
            plan: Digest of the approved plan.
            reason: Reason given by the user; may be empty.
            at: Time of the approval.
        """
        with self._write("approve") as db:
            approval = {"job": job, "plan": plan, "reason": codec.clean(reason), "at": codec.to_iso(at)}
            db.table("approvals").insert(approval, replace=True)

    def approved(self, job: str, plan: str) -> bool:
        """Return whether the plan is approved."""
        return self.approval(job, plan) is not None

    def applied_run(self, plan_file: str, job: str) -> str:
        """Return the run in which a job of a plan file was applied; empty if it was not."""
        found = self._rows("SELECT run FROM applied_plans WHERE plan_file = ? AND job = ?", [plan_file, job])
        return str(found[0]["run"]) if found else ""

    def accept_older(self, acceptance: str, found: OlderState, reason: str, at: datetime) -> None:
        """Record that a person accepts a restored or copied state.

        Args:
            acceptance: New id, which copies of this journal do not have.
            found: How the state is older than what was recorded of it.
            reason: Reason given by the user.
            at: Time of the acceptance.
        """
        with self._write("accept_older") as db:
            row: Row = {"id": acceptance, "at": codec.to_iso(at), "reason": codec.clean(reason)}
            row |= {"serial": found.serial, "newest": found.newest, "other": found.other}
            row |= {"lost": codec.canonical(dict(found.lost))}
            last = "SELECT coalesce((SELECT max(no) FROM batches), 0) AS last_batch, "
            last += "coalesce((SELECT max(no) FROM events), 0) AS last_event"
            db.table("acceptances").insert(row | self._rows(last)[0])

    def identify(self, journal_id: str) -> None:
        """Give a journal without an id its id; of concurrent callers, the first counts."""
        with self._write("identify") as db:
            db.execute("UPDATE meta SET journal_id = ? WHERE journal_id = ''", [journal_id])
            self.journal_id = str(self._rows("SELECT journal_id FROM meta")[0]["journal_id"])

    def take_lease(self, job: str, owner: str, at: datetime, *, valid: Callable[[], bool]) -> int | None:
        """Raise the epoch of a job.

        Args:
            job: Name of the job.
            owner: Text that identifies the holder.
            at: Time of acquisition.
            valid: Called inside the transaction; if it returns false, nothing is written.

        Returns:
            The new epoch, or None if `valid` returned false.
        """
        with self._write("take_lease") as db:
            if not valid():
                return None
            epoch = self._raise_epoch(db, job, owner, at)
        self._epochs[job] = epoch
        return epoch

    def drop_lease(self, job: str, epoch: int) -> None:
        """Release the lease of a job. Without effect if another process has taken it over."""
        self._epochs.pop(job, None)
        with self._write("drop_lease") as db:
            db.execute("UPDATE leases SET owner = '' WHERE job = ? AND epoch = ?", [job, epoch])

    def void_lease(self, job: str, at: datetime, *, then: Callable[[], None]) -> int:
        """Raise the epoch of a job so that its holder can no longer write.

        Args:
            job: Name of the job.
            at: Time of the unlock.
            then: Called in the transaction.

        Returns:
            The new epoch.
        """
        with self._write("void_lease") as db:
            epoch = self._raise_epoch(db, job, "", at)
            then()
        return epoch

    def check_lease(self, job: str) -> None:
        """Check that the lease held through this journal was not taken over.

        Raises:
            LockedError: If it was.
        """
        self._check_fence(job, None)

    def take_over(
        self, former: str, job: str, baselines: Sequence[BaselineEntry], at: datetime, *, epoch: int | None = None
    ) -> None:
        """Record that a job takes over baselines of its former name, which has no open batches.

        Args:
            former: The former name; the caller holds the leases of both.
            job: The present name.
            baselines: The baselines under the present name. Those of the former name at these accounts are dropped.
            at: Time of the take-over.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Raises:
            LockedError: If the former name has open batches, or the job has a baseline at one of the accounts already.
        """
        with self._write("take_over", job, epoch) as db:
            self._check_fence(former, None)
            if self.open_batches(former) or any(self.baseline(job, entry.account_id) for entry in baselines):
                raise LockedError(
                    f"job {former} or {job} was run by another process meanwhile",
                    hint=f"Run `batchsync status {job}`, then the same command again.",
                )
            for entry in baselines:
                set_baseline(db, replace(entry, job=former, segments=()))
                set_baseline(db, entry)
            copied = "INSERT OR IGNORE INTO tombstones SELECT ?, key_hash, at, by, reason FROM tombstones WHERE job = ?"
            db.execute(copied, [job, former])
            self._reached("take_over:baselines")
            newest = self._rows("SELECT coalesce(max(no), 0) AS no FROM batches")[0]["no"]
            row = {"former": former, "job": job, "last_batch": newest, "at": codec.to_iso(at)}
            db.table("renames").insert(row)

    def set_baseline(self, baseline: BaselineEntry, *, epoch: int | None = None) -> None:
        """Record a baseline that keys were removed from, because they left the source and their answers are removed.

        Args:
            baseline: The new baseline of its job and account.
            epoch: Epoch of the job's lease; None for the one held through this journal.
        """
        with self._write("set_baseline", baseline.job, epoch) as db:
            set_baseline(db, baseline)

    def _raise_epoch(self, db: Database, job: str, owner: str, at: datetime) -> int:
        db.execute(
            "INSERT INTO leases VALUES (?, 1, ?, ?) ON CONFLICT (job) DO UPDATE SET "
            "epoch = epoch + 1, owner = excluded.owner, since = excluded.since",
            [job, codec.clean(owner), codec.to_iso(at)],
        )
        return int(self._rows("SELECT epoch FROM leases WHERE job = ?", [job])[0]["epoch"])

    def _claim_tick(self, db: Database, run: Run, tick: datetime | None) -> None:
        """Claim the tick for a prepared run; for one that is preparing, only check that it is free."""
        if tick is None:
            return
        preparing = run.state is RunState.PREPARING
        free = not self.last_tick(run.job, tick) if preparing else _insert_tick(db, run.job, tick)
        if not free:
            raise LockedError(
                f"tick {codec.to_iso(tick)} of job {run.job} was run by another process meanwhile",
                hint="Nothing to do: `batchsync history` lists that run.",
            )


def _insert_tick(db: Database, job: str, tick: datetime) -> bool:
    return db.execute("INSERT OR IGNORE INTO ticks VALUES (?, ?)", [job, codec.to_iso(tick)]).rowcount == 1


def keep_applied(db: Database, plan_file: str, run: Run) -> None:
    """Record that a run applies the plan of its job in a plan file, once.

    Raises:
        LockedError: If another process applied it meanwhile.
    """
    row = [plan_file, run.job, run.id, codec.to_iso(run.created_at)]
    if db.execute("INSERT OR IGNORE INTO applied_plans VALUES (?, ?, ?, ?)", row).rowcount != 1:
        raise LockedError(
            f"the plan file was applied to job {run.job} by another process meanwhile",
            hint=f"Nothing to do: `batchsync status {run.job}` shows that run.",
        )


def set_baseline(db: Database, baseline: BaselineEntry) -> None:
    """Replace the baseline of a job at an account."""
    segments = db.table("segments")
    account = {"job": baseline.job, "account_id": baseline.account_id}
    segments.delete_where("job = :job AND account_id = :account_id", account)
    segments.insert_all(
        account | {"place": place, "file": segment.file, "digest": segment.digest, "rows": segment.rows}
        for place, segment in enumerate(baseline.segments)
    )
