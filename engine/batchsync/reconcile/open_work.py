"""What a job has left to do, according to the journal: open runs, attention, and what blocks its dependents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.upstream import Blocker, dependency_blocker

if TYPE_CHECKING:
    from batchsync.reconcile.services import Services


def needs_attention(job: str, services: Services) -> bool:
    """Return whether a batch of the job, of any run, needs attention or has unknown outcomes to be resolved."""
    parked = any(batch.phase is Phase.NEEDS_ATTENTION for batch in services.store.open_batches(job))
    return parked or bool(services.store.unresolved(job))


def blocker_at(job: str, services: Services) -> Blocker | None:
    """Return what blocks jobs that depend on this job, according to the journal; None if it is settled."""
    latest = services.store.last_run(job)
    approved = latest is not None and services.store.approved(job, latest.plan)
    return dependency_blocker(job, latest, services.store.open_batches(job), approved=approved)


def open_runs(job: str, services: Services) -> list[str]:
    """Return the ids of runs that have open batches or are still preparing, oldest first, without repetitions."""
    with_batches = [batch.run for batch in services.store.open_batches(job)]
    return list(dict.fromkeys(map(str, [*with_batches, *(run.id for run in services.store.preparing_runs(job))])))
