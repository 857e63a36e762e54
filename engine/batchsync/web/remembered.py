"""What pages keep in memory of the journal, so that no page reads every batch.

Only what does not change any more is kept, or what can be brought up to date by the newest events: a settled run whose
row outcomes are all known has its final sums, and so has a day on which no run is open.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.run import RunState
from batchsync.ports.overview import DayOfRuns, RunSummary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync.core.run import Run
    from batchsync.journal import Journal
    from batchsync.ports.overview import BatchSum

#: Runs and days that are kept; of more, the oldest are read again.
_KEPT = 20_000
#: Runs in one query.
_AT_ONCE = 200


class Remembered:
    """Sums over runs and days, and batches with rows of unknown outcome. Used by several threads."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = Lock()
        self._runs: dict[str, tuple[BatchSum, ...]] = {}
        self._days: dict[tuple[str | None, str], DayOfRuns | None] = {}
        self._unresolved: dict[str, str] = {}
        #: Number of the newest event that `_unresolved` has taken note of.
        self._event = -1

    def unresolved(self, journal: Journal) -> dict[str, int]:
        """Return how many delivered batches of each job have rows of unknown outcome; other jobs are left out."""
        with self._lock:
            newest = journal.last_event_no()
            if self._event < 0 or newest < self._event:
                self._unresolved = journal.unresolved_batches()
            elif newest > self._event:
                for batch, job, is_unresolved in journal.settled_since(self._event):
                    self._unresolved.pop(batch, None)
                    if is_unresolved:
                        self._unresolved[batch] = job
            self._event = newest
            jobs = list(self._unresolved.values())
        return {job: jobs.count(job) for job in dict.fromkeys(jobs)}

    def summaries(self, journal: Journal, runs: Sequence[Run]) -> tuple[RunSummary, ...]:
        """Return runs with sums over their batches."""
        found = {run.id: sums for run in runs if (sums := self._runs.get(run.id)) is not None}
        missing = [run for run in runs if run.id not in found]
        for first in range(0, len(missing), _AT_ONCE):
            for summary in journal.summaries(missing[first : first + _AT_ONCE]):
                found[summary.run.id] = summary.batches
                if _is_final(summary):
                    self._keep_run(summary)
        return tuple(RunSummary(run=run, batches=found[run.id]) for run in runs)

    def days(self, journal: Journal, names: Sequence[str], job: str | None) -> dict[str, DayOfRuns]:
        """Return sums over the runs of days; days without runs are left out.

        Args:
            journal: The journal.
            names: The days in order; the last one is today.
            job: Name of a job; None for all.
        """
        today = names[-1]
        with self._lock:
            kept = {name: self._days[job, name] for name in names if (job, name) in self._days}
        if missing := [name for name in names if name not in kept and name != today]:
            read = {item.day: item for item in journal.days(missing[0], today, job)}
            self._keep_days(job, {name: read.get(name) for name in missing})
            kept |= {name: read.get(name) for name in missing}
        kept[today] = _day_of(today, self.summaries(journal, journal.runs_since(today, job)))
        return {name: day for name, day in kept.items() if day is not None}

    def _keep_days(self, job: str | None, days: Mapping[str, DayOfRuns | None]) -> None:
        with self._lock:
            if len(self._days) > _KEPT:
                self._days.clear()
            for name, day in days.items():
                if day is None or (day.complete and not day.outcomes[RowOutcome.UNKNOWN]):
                    self._days[job, name] = day

    def _keep_run(self, summary: RunSummary) -> None:
        with self._lock:
            if len(self._runs) >= _KEPT:
                del self._runs[next(iter(self._runs))]
            self._runs[summary.run.id] = summary.batches


def _is_final(summary: RunSummary) -> bool:
    """Return whether the sums of a run do not change any more."""
    counts = [item.counts for item in summary.batches]
    known = all(count is not None and not count[RowOutcome.UNKNOWN] for count in counts)
    return summary.run.state is RunState.SETTLED and known


def _day_of(day: str, summaries: Sequence[RunSummary]) -> DayOfRuns | None:
    """Return the sums over the runs of a day; None if there are none."""
    sums = [item for summary in summaries for item in summary.batches]
    ended = [(item.run.settled_at, item.run.created_at) for item in summaries]
    counts = [summary.run.counts for summary in summaries]
    if not summaries:
        return None
    return DayOfRuns(
        day=day,
        runs=len(summaries),
        seconds=sum((end - begin).total_seconds() for end, begin in ended if end is not None),
        selected=sum(item.selected for item in counts),
        sent=sum(item.rows for item in sums),
        invalid=sum(item.outcomes[RowOutcome.INVALID] for item in counts),
        outcomes=sum((item.counts for item in sums if item.counts is not None), OutcomeCounts()),
        complete=all(end is not None for end, _ in ended),
    )
