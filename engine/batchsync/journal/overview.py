"""Read-only queries of the journal for pages: sums and excerpts, read without loading every batch."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase, Verb
from batchsync.core.row_outcome import BATCH_OUTCOMES, OutcomeCounts
from batchsync.journal import codec
from batchsync.journal.run_sums import RunSums
from batchsync.ports.overview import BatchSum, DayOfRuns, OpenBatches, RunSummary, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.core.batch import Batch
    from batchsync.core.run import Run
    from batchsync.journal.codec import Row

_SUM_OF_OUTCOMES = ", ".join(
    f"sum(json_extract(batches.counts, '$.{outcome.value}')) AS n_{outcome.value}" for outcome in BATCH_OUTCOMES
)
_LIKE_BATCHES = (
    "SELECT run, phase, parked_from, pending_intent, counts IS NULL AS uncounted, count(*) AS batches, "
    "sum(rows) AS rows, sum(size) AS size, sum(failures > 0) AS failing, {sums} FROM batches "
    "WHERE run IN ({marks}) GROUP BY run, phase, parked_from, pending_intent, uncounted"
)
_EVENTS = "SELECT no, batch, at, kind, payload FROM events WHERE batch IN ({marks}) ORDER BY no"
_OPEN = (
    "SELECT job, count(*) AS batches, sum(phase = 'needs_attention') AS parked, "
    "sum(failures > 0 AND phase <> 'needs_attention') AS failing FROM batches WHERE phase <> 'delivered' GROUP BY job"
)
_UNRESOLVED = "SELECT id, job FROM batches WHERE phase = 'delivered' AND json_extract(counts, '$.unknown') > 0"
_SETTLED_SINCE = (
    "SELECT id, job, phase = 'delivered' AND coalesce(json_extract(counts, '$.unknown'), 0) > 0 AS unresolved "
    "FROM batches WHERE id IN (SELECT batch FROM events WHERE no > ? "
    "AND kind IN ('Delivered', 'Resolved', 'CollectedAgain'))"
)
_DAYS = (
    "SELECT substr(runs.created_at, 1, 10) AS day, "
    "sum((julianday(runs.settled_at) - julianday(runs.created_at)) * 86400.0) AS seconds, count(*) AS runs, "
    "sum(json_extract(runs.counts, '$.selected')) AS selected, "
    "sum(coalesce(json_extract(runs.counts, '$.invalid'), 0)) AS invalid, "
    "sum(runs.state IN ('preparing', 'prepared')) AS open FROM runs "
    "WHERE created_at >= ? AND created_at < ? AND state <> 'awaiting_approval' {of_job} GROUP BY day"
)
_SENT = (
    "SELECT substr(runs.created_at, 1, 10) AS day, sum(batches.rows) AS sent, {sums} FROM runs "
    "CROSS JOIN batches ON batches.run = runs.id WHERE created_at >= ? AND created_at < ? "
    "AND state <> 'awaiting_approval' {of_job} GROUP BY day"
)
_LAST_RUNS = (
    "SELECT runs.* FROM runs JOIN (SELECT job, max(serial) AS serial FROM runs GROUP BY job) USING (job, serial) "
    "ORDER BY job"
)


class Overview(RunSums):
    """Sums and excerpts for pages; a base of `Journal`."""

    @contextmanager
    def consistent(self) -> Iterator[None]:
        """Let all queries of this block see the journal as of its beginning."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def summaries(self, runs: Sequence[Run]) -> tuple[RunSummary, ...]:
        """Return runs with sums over their batches.

        Args:
            runs: The runs, at most 500.
        """
        found: dict[str, list[BatchSum]] = {}
        query = _LIKE_BATCHES.format(sums=_SUM_OF_OUTCOMES, marks=", ".join("?" * len(runs)))
        for row in self._rows(query, [run.id for run in runs]):
            found.setdefault(row["run"], []).append(_batch_sum(row))
        return tuple(RunSummary(run=run, batches=tuple(found.get(run.id, ()))) for run in runs)

    def open_by_job(self) -> dict[str, OpenBatches]:
        """Return how many batches of each job are open; jobs without any are left out."""
        return {
            row["job"]: OpenBatches(batches=row["batches"], parked=row["parked"], failing=row["failing"])
            for row in self._rows(_OPEN)
        }

    def last_runs(self) -> dict[str, Run]:
        """Return the newest run of each job that ever ran, by job."""
        return {row["job"]: codec.read_run(row) for row in self._rows(_LAST_RUNS)}

    def last_event_no(self) -> int:
        """Return the number of the newest event; 0 if there is none."""
        return int(self._rows("SELECT coalesce(max(no), 0) AS n FROM events")[0]["n"])

    def unresolved_batches(self) -> dict[str, str]:
        """Return the job of each delivered batch with rows of unknown outcome. Reads every batch."""
        return {row["id"]: row["job"] for row in self._rows(_UNRESOLVED)}

    def settled_since(self, event: int) -> tuple[tuple[str, str, bool], ...]:
        """Return the batches that were delivered, resolved or collected again after an event.

        Args:
            event: Number of the event.

        Returns:
            Id, job, and whether the batch has rows of unknown outcome now.
        """
        return tuple((row["id"], row["job"], bool(row["unresolved"])) for row in self._rows(_SETTLED_SINCE, [event]))

    def batch_page(self, run: str, after: int, limit: int) -> tuple[Batch, ...]:
        """Return batches of a run in order.

        Args:
            run: Id of the run.
            after: Sequence number after which they begin; 0 for the first.
            limit: Maximum number of batches.
        """
        found = self._rows("SELECT * FROM batches WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", [run, after, limit])
        return tuple(codec.read_batch(row) for row in found)

    def events_of(self, batches: Sequence[str]) -> dict[str, tuple[StoredEvent, ...]]:
        """Return the events of some batches in order, by batch. Polls without a change of status are not stored.

        Args:
            batches: Ids of the batches, at most 500.
        """
        found: dict[str, list[StoredEvent]] = {batch: [] for batch in batches}
        for row in self._rows(_EVENTS.format(marks=", ".join("?" * len(batches))), list(batches)):
            content = json.loads(row["payload"])
            event = StoredEvent(
                no=row["no"], batch=row["batch"], at=codec.from_iso(row["at"]), kind=row["kind"], content=content
            )
            found[row["batch"]].append(event)
        return {batch: tuple(events) for batch, events in found.items()}

    def last_event(self, batch: str) -> int:
        """Return the number of the newest event of a batch: its version; 0 if there is none."""
        return int(self._rows("SELECT coalesce(max(no), 0) AS n FROM events WHERE batch = ?", [batch])[0]["n"])

    def runs_since(self, day: str, job: str | None = None) -> tuple[Run, ...]:
        """Return the runs that began since a day, oldest first; plans that were stopped do not count.

        Args:
            day: The day, such as `2026-11-30`.
            job: Name of a job; None for all.
        """
        of_job, values = ("", [day]) if job is None else ("AND job = ? ", [day, job])
        query = "SELECT * FROM runs WHERE created_at >= ? AND state <> 'awaiting_approval' {of_job}ORDER BY no"
        return tuple(codec.read_run(row) for row in self._rows(query.format(of_job=of_job), values))

    def days(self, since: str, until: str, job: str | None = None) -> tuple[DayOfRuns, ...]:
        """Return sums over runs by the day on which they began, oldest first; plans that were stopped do not count.

        Args:
            since: First day, such as `2026-11-01`.
            until: Day after the last one.
            job: Name of a job; None for all.
        """
        of_job, values = ("", [since, until]) if job is None else ("AND runs.job = ?", [since, until, job])
        sums = {row["day"]: row for row in self._rows(_SENT.format(sums=_SUM_OF_OUTCOMES, of_job=of_job), values)}
        none: Row = {"sent": 0} | {f"n_{outcome.value}": 0 for outcome in BATCH_OUTCOMES}
        return tuple(
            DayOfRuns(
                day=row["day"],
                runs=row["runs"],
                seconds=max(0.0, row["seconds"] or 0.0),
                selected=row["selected"],
                sent=sums.get(row["day"], none)["sent"],
                invalid=row["invalid"],
                outcomes=_outcomes(sums.get(row["day"], none)),
                complete=not row["open"],
            )
            for row in self._rows(_DAYS.format(of_job=of_job) + " ORDER BY day", values)
        )


def _batch_sum(row: Row) -> BatchSum:
    return BatchSum(
        phase=Phase(row["phase"]),
        parked_from=Phase(row["parked_from"]) if row["parked_from"] is not None else None,
        pending_intent=Verb(row["pending_intent"]) if row["pending_intent"] is not None else None,
        batches=row["batches"],
        rows=row["rows"],
        size=row["size"],
        counts=None if row["uncounted"] else _outcomes(row),
        failing=row["failing"],
    )


def _outcomes(row: Row) -> OutcomeCounts:
    return OutcomeCounts({outcome: row[f"n_{outcome.value}"] or 0 for outcome in BATCH_OUTCOMES})
