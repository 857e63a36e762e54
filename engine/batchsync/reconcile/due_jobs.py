"""Which jobs run now by their schedules: ticks that are due, and what becomes of those that may not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from batchsync.core.schedule import Overlap, is_running
from batchsync.ports import TickSkipped
from batchsync.reconcile.open_work import blocker_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from batchsync.core.job import Job
    from batchsync.core.schedule import DueTick
    from batchsync.reconcile.services import SelectedJob, Services

_MISSED = "it was missed, and the schedule has catch_up: none"
_RUNNING = "a run is still in flight, and the schedule has overlap: skip"


class Ticks(Protocol):
    """Source of schedule ticks, and of the times at which a schedule keeps runs from beginning."""

    def due(self, job: Job, last_done: datetime, now: datetime, served_since: datetime) -> DueTick | None:
        """Return the tick of a job whose run begins now, or None.

        Args:
            job: The job.
            last_done: The tick that was run last.
            now: Current time.
            served_since: When the process began to serve: what came long before is missed.
        """
        ...

    def upcoming(self, job: Job, now: datetime) -> datetime | None:
        """Return when a run of a job may begin next, after `now`, or None if never."""
        ...

    def quiet_until(self, job: Job, now: datetime) -> datetime | None:
        """Return when the present quiet hours of a job end, or None if these are none."""
        ...


def due_jobs(
    contexts: Sequence[SelectedJob], services: Services, ticks: Ticks, served_since: datetime
) -> Iterator[tuple[SelectedJob, datetime]]:
    """Yield the jobs whose tick has come, in dependency order, except those that wait for another job served here.

    Args:
        contexts: The jobs.
        services: The journal, in which dropped ticks are claimed.
        ticks: Source of schedule ticks.
        served_since: When the process began to serve.

    Yields:
        Each job with its tick.
    """
    served_jobs = {context.job.name for context in contexts}
    for context in contexts:
        if context.job.effective_schedule is None:
            continue
        # Ticks count from when any process first sees the job, whatever keeps it from running.
        last = services.store.register_job(context.job.name, services.clock.now())
        # Batches in flight are followed here and end soon; `sync` reports all other blockers.
        blockers = [blocker_at(name, services) for name in served_jobs.intersection(context.job.depends_on)]
        if any(blocker.temporary for blocker in blockers if blocker):
            continue
        due = ticks.due(context.job, last, services.clock.now(), served_since)
        if due is not None and _may_run(context.job, due, services):
            yield context, due.tick


def _may_run(job: Job, due: DueTick, services: Services) -> bool:
    """Return whether a due tick is run now; one that never will be is claimed."""
    if due.missed:
        _drop(job.name, due.tick, _MISSED, services)
        return False
    overlap = job.schedule.overlap if job.schedule else Overlap.ALLOW
    if overlap is Overlap.ALLOW:
        return True
    if not any(is_running(services.store.open_batches(name)) for name in job.all_names):
        return True
    if overlap is Overlap.SKIP:
        _drop(job.name, due.tick, _RUNNING, services)
    return False


def _drop(job: str, tick: datetime, reason: str, services: Services) -> None:
    """Claim a tick without a run, and say so, unless another process claimed it."""
    if services.store.claim_tick(job, tick):
        services.events.emit(TickSkipped(job=job, tick=tick, reason=reason))
