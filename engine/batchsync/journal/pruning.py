"""Deletion of what is older than the retention periods. Used idempotency keys are never deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batchsync.journal import codec
from batchsync.journal.erasure import ErasureWrites

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_utils import Database

    from batchsync.journal.codec import Row
    from batchsync.ports import Expired

#: Runs deleted in one transaction.
RUNS_AT_ONCE = 500
_FIND_REJECTS = (
    "SELECT 1 FROM rejects WHERE job = ? AND at < ? AND (batch IS NULL OR batch NOT IN needed_batches) LIMIT 1"
)
_DELETE_REJECTS = "DELETE FROM rejects WHERE job = ? AND at < ? AND (batch IS NULL OR batch NOT IN needed_batches)"
#: Ended runs, except the newest run of the job, the newest to each account, and those of needed or open batches.
_FIND_RUNS = (
    "SELECT id FROM runs WHERE job = :job AND created_at < :before "
    "AND ((state = 'settled' AND settled_at < :before) OR state = 'awaiting_approval') "
    "AND serial < (SELECT max(serial) FROM runs WHERE job = :job) "
    "AND EXISTS (SELECT 1 FROM runs AS later WHERE later.job = :job AND later.serial > runs.serial "
    "AND later.account_id = runs.account_id AND later.state <> 'awaiting_approval') "
    "AND NOT EXISTS (SELECT 1 FROM batches WHERE run = runs.id AND (phase <> 'delivered' OR id IN needed_batches)) "
    "ORDER BY serial LIMIT :limit"
)
_COUNT_WITH_BATCHES = (
    "SELECT count(DISTINCT run) AS runs FROM batches WHERE run IN (SELECT value FROM json_each(?)) HAVING runs > 0"
)
_FIND_EVENTS = (
    "SELECT no, chain FROM events WHERE batch IN "
    "(SELECT id FROM batches WHERE run IN (SELECT value FROM json_each(?))) ORDER BY no"
)
_DELETE_EVENTS = (
    "DELETE FROM events WHERE batch IN (SELECT id FROM batches WHERE run IN (SELECT value FROM json_each(?)))"
)
#: Rows of runs, whose ids are a JSON array; in the order of references.
_DELETE_OF_RUNS = (
    "DELETE FROM rejects WHERE run IN (SELECT value FROM json_each(?))",
    "DELETE FROM reject_objects WHERE run IN (SELECT value FROM json_each(?))",
    "DELETE FROM batches WHERE run IN (SELECT value FROM json_each(?))",
    "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))",
)
#: Whether an older state was accepted while a batch is open or has unknown rows: its events say what followed it.
_EVENTS_NEEDED = (
    "SELECT 1 FROM acceptances WHERE EXISTS (SELECT 1 FROM batches WHERE phase <> 'delivered') "
    "OR EXISTS (SELECT 1 FROM needed_batches) LIMIT 1"
)
#: Old ticks but the newest, and old approvals but that of the newest run.
_DELETE_COORDINATION = (
    (
        "DELETE FROM ticks WHERE job = :job AND tick_at < :before "
        "AND tick_at < (SELECT max(tick_at) FROM ticks WHERE job = :job)"
    ),
    (
        "DELETE FROM approvals WHERE job = :job AND at < :before "
        "AND plan <> (SELECT plan FROM runs WHERE job = :job ORDER BY serial DESC LIMIT 1)"
    ),
)


class Pruning(ErasureWrites):
    """Deletion of old rejects, runs, events, ticks and approvals; a base of `Journal`."""

    def baseline_jobs(self) -> tuple[str, ...]:
        """Return the jobs that have a baseline."""
        return tuple(str(row["job"]) for row in self._rows("SELECT DISTINCT job FROM segments ORDER BY job"))

    def runs_count(self, job: str) -> int:
        """Return the number of kept runs of a job."""
        return int(self._rows("SELECT count(*) AS runs FROM runs WHERE job = ?", [job])[0]["runs"])

    def prune(self, job: str, expired: Expired, *, epoch: int | None = None) -> int:
        """Delete what is expired of a job, in transactions of at most `RUNS_AT_ONCE` runs.

        Args:
            job: Name of the job.
            expired: The times before which rejects and runs are deleted.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Returns:
            The number of runs and rejects deleted.
        """
        deleted = 0
        while self.is_prunable(job, expired):
            with self._write("prune", job, epoch) as db:
                if expired.rejects is not None:
                    before = codec.to_iso(expired.rejects)
                    deleted += db.execute(_DELETE_REJECTS, [job, before]).rowcount
                    deleted += self._delete_expired_objects(job, before)
                self._reached("prune:rejects")
                runs = self._old_runs(job, expired, RUNS_AT_ONCE)
                if runs:
                    self._delete_runs(db, job, runs)
                if expired.runs is not None:
                    for delete in _DELETE_COORDINATION:
                        db.execute(delete, {"job": job, "before": codec.to_iso(expired.runs)})
                deleted += len(runs)
        return deleted

    def is_prunable(self, job: str, expired: Expired) -> bool:
        """Return whether a job has expired rejects or runs."""
        if expired.rejects is not None:
            before = codec.to_iso(expired.rejects)
            if self._rows(_FIND_REJECTS, [job, before]) or self._has_expired_objects(job, before):
                return True
        return bool(self._old_runs(job, expired, 1))

    def _old_runs(self, job: str, expired: Expired, limit: int) -> list[str]:
        """Return the ids of expired runs, oldest first."""
        if expired.runs is None or self._rows(_EVENTS_NEEDED):
            return []
        found = self._rows(_FIND_RUNS, {"job": job, "before": codec.to_iso(expired.runs), "limit": limit})
        return [row["id"] for row in found]

    def _delete_runs(self, db: Database, job: str, runs: Sequence[str]) -> None:
        """Delete runs with all of their rows, and keep what their deletion must not change."""
        listed = json.dumps(runs)
        for row in self._rows(_COUNT_WITH_BATCHES, [listed]):
            db.execute(
                "INSERT INTO pruned_runs VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET runs = runs + excluded.runs",
                [job, row["runs"]],
            )
        self._delete_events(db, listed)
        self._reached("prune:events")
        for delete in _DELETE_OF_RUNS:
            db.execute(delete, [listed])
        self._reached("prune:runs")

    def _delete_events(self, db: Database, runs: str) -> None:
        """Delete the events of runs, and record the ranges in which they were."""
        found = self._rows(_FIND_EVENTS, [runs])
        if not found:
            return
        span = [found[0]["no"], found[-1]["no"]]
        kept = {row["no"] for row in self._rows("SELECT no FROM events WHERE no BETWEEN ? AND ?", span)}
        kept -= {row["no"] for row in found}
        db.conn.executemany("INSERT INTO pruned_events VALUES (?, ?, ?)", list(_ranges(found, sorted(kept))))
        db.execute(_DELETE_EVENTS, [runs])
        self._join_ranges(db)

    def _join_ranges(self, db: Database) -> None:
        """Join pruned ranges without an event between them."""
        ranges = self._rows("SELECT * FROM pruned_events ORDER BY first")
        joined: list[Row] = []
        for item in ranges:
            between = [joined[-1]["last"] if joined else 0, item["first"]]
            if joined and not self._rows("SELECT 1 FROM events WHERE no > ? AND no < ? LIMIT 1", between):
                # A range may contain another one, of events that were deleted before.
                if item["last"] > joined[-1]["last"]:
                    joined[-1] |= {"last": item["last"], "chain": item["chain"]}
            else:
                joined.append(dict(item))
        if len(joined) < len(ranges):
            db.execute("DELETE FROM pruned_events")
            db.table("pruned_events").insert_all(joined)


def _ranges(events: Sequence[Row], kept: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Yield first and last number and last chain value of each range of events without a kept event in it."""
    barriers = iter([*kept, events[-1]["no"] + 1])
    barrier = next(barriers)
    first, last = events[0], events[0]
    for event in events:
        if event["no"] > barrier:
            yield first["no"], last["no"], last["chain"]
            first = event
            while event["no"] > barrier:
                barrier = next(barriers)
        last = event
    yield first["no"], last["no"], last["chain"]
