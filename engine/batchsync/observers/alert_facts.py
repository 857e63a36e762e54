"""Facts by which alerts are judged, read from the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.alert_conditions import Facts
from batchsync.core.alerts import HISTORY
from batchsync.core.batch import Phase
from batchsync.core.guards import within_budget
from batchsync.core.run import RunState, settlement_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from batchsync.core.alert_conditions import Failure
    from batchsync.core.guards import Budget
    from batchsync.core.schedule import Schedule
    from batchsync.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedJob:
    """A job whose conditions are alerted.

    Attributes:
        name: Its name.
        all_names: Its name and its former names.
        budget: Its budget.
        schedule: When runs begin; None if it has no schedule, or is suspended.
        peers: Names of the jobs of the same vendor, whose batches say how long one usually takes.
    """

    name: str
    all_names: frozenset[str]
    budget: Budget
    schedule: Schedule | None
    peers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Schedules:
    """What this process knows about ticks.

    Attributes:
        served: Names of the jobs whose schedules this process runs; None for all.
        following: Return the first tick of a schedule after a time, or None.
        is_running: Return whether a process runs a job now.
    """

    served: frozenset[str] | None
    following: Callable[[Schedule, datetime], datetime | None]
    is_running: Callable[[str], bool]


class FactsReader:
    """Reads facts for one evaluation; what jobs of the same vendor share is read once."""

    def __init__(self, journal: Journal, schedules: Schedules, now: datetime) -> None:
        """Keep the collaborators.

        Args:
            journal: The journal.
            schedules: What is known about ticks.
            now: Present time.
        """
        self._journal, self._schedules, self._now = journal, schedules, now
        self._took: dict[frozenset[str], list[timedelta]] = {}

    def read(self, job: WatchedJob, failure: Failure | None) -> Facts:
        """Return what is known of a job.

        Args:
            job: The job.
            failure: The last error of the job in this process, if any.
        """
        journal, schedules = self._journal, self._schedules
        newest = journal.last_run(job.name)
        batches = [batch for name in sorted(job.all_names) for batch in journal.open_batches(name)]
        waiting = [
            item.submitted_at for item in batches if item.phase is Phase.SUBMITTED and item.submitted_at is not None
        ]
        parked = sum(batch.phase is Phase.NEEDS_ATTENTION for batch in batches)
        unresolved = {batch.id for name in job.all_names for batch in journal.unresolved(name)}
        rejected, invalid = journal.refused_shares(job.name, HISTORY + 1)
        held = newest is not None and newest.state is RunState.AWAITING_APPROVAL
        return Facts(
            job=job.name,
            failure=failure,
            run=newest.id if newest is not None else "",
            run_begun=newest.created_at if newest is not None and newest.state is not RunState.PREPARING else None,
            held=held and newest is not None and not journal.approved(job.name, newest.plan),
            attention=parked + len(unresolved),
            failed_calls=max(
                (batch.failures for batch in batches if batch.phase is not Phase.NEEDS_ATTENTION), default=0
            ),
            over_budget=_over_budget(journal, job),
            age=self._now - min(waiting) if waiting else None,
            took=self._usual(job.peers) if waiting else (),
            rejected=rejected,
            invalid=invalid,
            tick=_waiting_tick(journal, job, schedules),
            ticks_known=job.schedule is None or schedules.served is None or job.name in schedules.served,
        )

    def _usual(self, peers: frozenset[str]) -> list[timedelta]:
        """Return how long the vendor of some jobs took for past batches, newest first."""
        if peers not in self._took:
            self._took[peers] = [batch.took for batch in self._journal.past_batches(peers, HISTORY)]
        return self._took[peers]


def _over_budget(journal: Journal, job: WatchedJob) -> bool | None:
    """Return whether the newest settled run exceeded the budget; None if there is none."""
    found = journal.last_settled(job.name)
    if not found:
        return None
    settlement = settlement_of(journal.run(found), journal.batches(found))
    return not within_budget(settlement.outcomes, job.budget, selected=settlement.selected)


def _waiting_tick(journal: Journal, job: WatchedJob, schedules: Schedules) -> datetime | None:
    """Return the first tick that no run was begun for, unless a process is at it."""
    last = journal.last_tick(job.name)
    if job.schedule is None or last is None or schedules.is_running(job.name):
        return None
    return schedules.following(job.schedule, last)
