"""What metrics take from the journal."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.accounting import UnbalancedError
from batchsync.core.guards import within_budget
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import RunState, settlement_of
from batchsync.core.running_totals import RunningTotal, advance
from batchsync.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.core.job import Job
    from batchsync.observers.metrics_memory import Remembered

#: Newest runs of a job that are looked at for its last success; an older one is remembered.
_RUNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalReading:
    """What the journal says.

    Attributes:
        jobs: Names of all jobs that ever ran.
        open_batches: Batches that are not delivered.
        unresolved: Rows of unknown outcome by job.
        awaiting: Jobs whose newest run awaits approval.
        settled: When a run was settled last, by job.
        ticks: The last tick that was begun, of declared jobs with a schedule.
        size: Size of the journal in bytes.
    """

    jobs: tuple[str, ...] = ()
    open_batches: tuple[Batch, ...] = ()
    unresolved: Mapping[str, int] = field(default_factory=dict)
    awaiting: frozenset[str] = frozenset()
    settled: Mapping[str, datetime] = field(default_factory=dict)
    ticks: Mapping[str, datetime] = field(default_factory=dict)
    size: int = 0


def journal_marks(state: Path) -> tuple[tuple[int, int], ...]:
    """Return time and size of the journal's files, which change with each transaction."""
    found = []
    for name in ("journal.db", "journal.db-wal"):
        with suppress(OSError):
            status = (state / name).stat()
            # Readers make an empty write-ahead log where there is none.
            if status.st_size:
                found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)


def read_journal(state: Path, declared: Sequence[Job], remembered: Remembered) -> JournalReading:
    """Read the journal, and bring what is remembered of it up to date.

    Args:
        state: The state folder.
        declared: The jobs of jobs.yaml, for their budgets.
        remembered: What is remembered; its totals and successes are changed.

    Returns:
        What the journal says; nothing if there is none yet.

    Raises:
        BatchsyncError: If the journal cannot be opened.
    """
    if not any(state.glob("journal.db*")):
        return JournalReading()
    with Journal.open(state, read_only=True) as journal:
        if remembered.journal_id != journal.journal_id:
            remembered.totals, remembered.succeeded = {}, {}
            remembered.journal_id = journal.journal_id
        sums = journal.run_sums({job: total.newest for job, total in remembered.totals.items()})
        for job, found in sums.items():
            remembered.totals[job] = advance(remembered.totals.get(job, RunningTotal()), found)
        jobs = journal.jobs()
        last = {job: run for job in jobs if (run := journal.last_run(job)) is not None}
        by_name = {job.name: job for job in declared}
        for job in jobs:
            if (at := _last_success(journal, job, by_name.get(job))) is not None:
                remembered.succeeded[job] = max(at.timestamp(), remembered.succeeded.get(job, 0.0))
        return JournalReading(
            jobs=jobs,
            open_batches=journal.open_batches(),
            unresolved={
                job: found.older.get("unresolved", 0) + found.newer.get("unresolved", 0) for job, found in sums.items()
            },
            awaiting=frozenset(job for job, run in last.items() if run.state is RunState.AWAITING_APPROVAL),
            settled=journal.last_settlements(),
            ticks={
                job.name: tick
                for job in declared
                if job.schedule is not None and (tick := journal.last_tick(job.name)) is not None
            },
            size=sum(size for _, size in journal_marks(state)),
        )


def _last_success(journal: Journal, job: str, declared: Job | None) -> datetime | None:
    """Return when the newest successful run was settled; None if it is none of the newest runs, or there was none."""
    for run in journal.history(job, _RUNS):
        if run.state is not RunState.SETTLED:
            continue
        try:
            settlement = settlement_of(run, journal.batches(run.id))
        except UnbalancedError:  # reported where the run is shown
            continue
        known = not settlement.outcomes[RowOutcome.UNKNOWN]
        within = declared is None or within_budget(settlement.outcomes, declared.budget, selected=settlement.selected)
        if known and within:
            return run.settled_at
    return None
