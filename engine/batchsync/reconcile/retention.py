"""Deletion of rejects, runs and events that are older than the retention periods, at the end of a run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from batchsync.core.retention import cutoff
from batchsync.errors import LockedError
from batchsync.ports import Expired
from batchsync.reconcile.sweep import sweep_rejects

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsync.reconcile.services import Services


def prune(job: str, services: Services) -> int:
    """Delete what is expired of a job. The caller holds its lease.

    Returns:
        The number of runs and rejects deleted.
    """
    deleted = services.store.prune(job, expired(services))
    if deleted:
        sweep_rejects(job, services)
    return deleted


def prune_others(services: Services, held: Collection[str] = ()) -> int:
    """Delete what is expired of all other jobs that ever ran, such as those that are no longer in jobs.yaml.

    A job that another process runs is left to it.

    Args:
        services: The journal, and leases.
        held: Jobs whose leases the caller holds, or that it leaves out.

    Returns:
        The number of runs and rejects deleted.
    """
    deleted = 0
    for job in services.store.jobs():
        if job not in held and services.store.is_prunable(job, expired(services)):
            with suppress(LockedError), services.lease(job):
                deleted += prune(job, services)
    return deleted


def expired(services: Services) -> Expired:
    """Return the times before which rejects and runs are deleted."""
    now, retention = services.clock.now(), services.retention
    return Expired(rejects=cutoff(now, retention.rejects), runs=cutoff(now, retention.runs))
