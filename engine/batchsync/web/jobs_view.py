"""What the pages of all jobs and of one job show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.condition import Condition, JobCondition, JobFacts, condition_of
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import RunState
from batchsync.ports.overview import DayOfRuns, OpenBatches
from batchsync.schedule import next_ticks
from batchsync.web.bars import Plot, plot
from batchsync.web.summary import RunView, view_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.core.guards import Budget
    from batchsync.core.job import Job
    from batchsync.core.run import Run
    from batchsync.journal import Journal, RejectGroup
    from batchsync.web.remembered import Remembered

#: Runs on the page of a job, and days of its plots.
RUNS, DAYS = 20, 30
#: Waiting batches that the page of a job lists.
BATCHES = 50
#: Seconds from which durations are shown in minutes.
_IN_MINUTES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as pages show it.

    Attributes:
        name: Its name.
        condition: Its condition.
        declared: Whether it is in jobs.yaml.
        last: Its newest run; None if it never ran.
        next_tick: Next time its schedule fires.
        opened: Its open batches.
        approved: Whether the newest plan is approved.
        tags: Tags of the job.
    """

    name: str
    condition: JobCondition
    declared: bool
    last: RunView | None
    next_tick: datetime | None
    opened: OpenBatches
    approved: bool
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPage:
    """All jobs, and how many have each condition."""

    jobs: tuple[JobView, ...]
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What the page knows of the jobs besides the journal.

    Attributes:
        jobs: Jobs of jobs.yaml by name.
        now: Time from which ticks count.
        failures: Why jobs failed when they were last tried.
        remembered: Sums that are kept in memory.
    """

    jobs: Mapping[str, Job]
    now: datetime
    failures: Mapping[str, str]
    remembered: Remembered

    @property
    def budgets(self) -> dict[str, Budget]:
        """Budgets by job."""
        return {name: job.budget for name, job in self.jobs.items()}


def jobs_page(journal: Journal, deployed: Deployed) -> JobsPage:
    """Return what the page of all jobs shows; jobs that are only in the journal come last."""
    last = journal.last_runs()
    views = job_views(journal, last, list(dict.fromkeys([*deployed.jobs, *last])), deployed)
    of = [view.condition.condition for view in views]
    counts = tuple((item.value, of.count(item)) for item in Condition if item in of)
    return JobsPage(jobs=views, counts=counts)


def job_views(
    journal: Journal, last: Mapping[str, Run], names: Sequence[str], deployed: Deployed
) -> tuple[JobView, ...]:
    """Return jobs as pages show them.

    Args:
        journal: The journal.
        last: Their newest runs.
        names: Names of the jobs.
        deployed: What is known besides.
    """
    opened, unknown = journal.open_by_job(), deployed.remembered.unresolved(journal)
    runs = run_views(journal, [last[name] for name in names if name in last], deployed)
    return tuple(
        _job_view(
            name,
            deployed,
            runs.get(last[name].id) if name in last else None,
            opened.get(name, OpenBatches()),
            unresolved=unknown.get(name, 0),
            approved=name in last and _is_approved(journal, last[name]),
        )
        for name in names
    )


def run_views(journal: Journal, runs: Sequence[Run], deployed: Deployed) -> dict[str, RunView]:
    """Return runs as pages show them, by id.

    Args:
        journal: The journal.
        runs: The runs.
        deployed: What is known besides.
    """
    summaries = deployed.remembered.summaries(journal, runs)
    return {item.run.id: view_of(item, deployed.budgets.get(item.run.job)) for item in summaries}


def _is_approved(journal: Journal, run: Run) -> bool:
    return run.state is RunState.AWAITING_APPROVAL and journal.approved(run.job, run.plan)


def _job_view(
    name: str, deployed: Deployed, last: RunView | None, opened: OpenBatches, *, unresolved: int, approved: bool
) -> JobView:
    job = deployed.jobs.get(name)
    facts = JobFacts(
        run=last.run.state if last else None,
        approved=approved,
        suspended=job is not None and job.suspend,
        open_batches=opened.batches,
        parked=opened.parked,
        unresolved=unresolved,
        failing=opened.failing,
        failure=deployed.failures.get(name, ""),
        over_budget=last is not None and last.over_budget,
        deferred=last.settlement.outcomes[RowOutcome.DEFERRED] if last else 0,
    )
    schedule = job.effective_schedule if job is not None else None
    ticks = next_ticks(schedule, deployed.now, 1) if schedule is not None else ()
    return JobView(
        name=name,
        condition=condition_of(facts),
        declared=job is not None,
        last=last,
        next_tick=ticks[0] if ticks else None,
        opened=opened,
        approved=approved,
        tags=job.tags if job is not None else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job.

    Attributes:
        view: The job.
        runs: Its newest runs, newest first.
        version: Number of the newest event of its batches that wait for a person; the form to retry them carries it.
        parked: Its batches that wait for a person or have rows of unknown outcome, oldest first, at most `BATCHES`.
        groups: Rejects of its newest run by reason.
        plots: Rows, rejects and duration by day.
    """

    view: JobView
    runs: tuple[RunView, ...]
    version: int
    parked: tuple[Batch, ...]
    groups: tuple[RejectGroup, ...]
    plots: tuple[Plot, ...]


def job_page(journal: Journal, name: str, deployed: Deployed) -> JobPage | None:
    """Return what the page of a job shows; None if there is no job of this name."""
    last = journal.last_run(name)
    if name not in deployed.jobs and last is None:
        return None
    (view,) = job_views(journal, {name: last} if last is not None else {}, [name], deployed)
    runs = run_views(journal, journal.history(name, RUNS), deployed)
    waiting = [item for item in journal.open_batches(name) if item.phase is Phase.NEEDS_ATTENTION]
    version = max((journal.last_event(item.id) for item in waiting), default=0)
    if deployed.remembered.unresolved(journal).get(name):
        waiting += journal.with_unknown_rows(name)
    return JobPage(
        view=view,
        runs=tuple(runs.values()),
        version=version,
        parked=tuple(waiting[:BATCHES]),
        groups=journal.reject_groups(run=view.last.run.id) if view.last else (),
        plots=plots_of(journal, deployed, DAYS, name),
    )


def plots_of(journal: Journal, deployed: Deployed, days: int, job: str | None) -> tuple[Plot, ...]:
    """Return plots of rows, rejects and duration by day.

    Args:
        journal: The journal.
        deployed: What is known besides.
        days: Number of days, of which today is the last.
        job: Name of a job; None for all.
    """
    names = [f"{deployed.now - timedelta(days=back):%Y-%m-%d}" for back in range(days - 1, -1, -1)]
    by_day = deployed.remembered.days(journal, names, job)
    rows = [by_day.get(name, DayOfRuns(day=name, runs=0, seconds=0.0, selected=0, sent=0, invalid=0)) for name in names]
    accepted = [float(row.outcomes[RowOutcome.ACCEPTED]) for row in rows]
    rejected = [float(row.outcomes[RowOutcome.REJECTED]) for row in rows]
    unknown = [float(row.outcomes[RowOutcome.UNKNOWN]) for row in rows]
    invalid = [float(row.invalid) for row in rows]
    lasted = [row.seconds / row.runs if row.runs else 0.0 for row in rows]
    unit, of_seconds = ("minutes", 60) if max(lasted) > _IN_MINUTES else ("seconds", 1)
    return (
        plot("Records sent", "", names, {"accepted": accepted, "rejected": rejected, "unknown": unknown}),
        plot("Rejects", "", names, {"rejected": rejected, "invalid": invalid, "unknown": unknown}),
        plot("Mean duration of a run", unit, names, {"duration": [seconds / of_seconds for seconds in lasted]}),
    )
