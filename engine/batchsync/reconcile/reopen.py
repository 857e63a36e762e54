"""Reopening of batches that need attention, which `resume` drives again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.events import Reopened
from batchsync.reconcile.accounts import account_changed_error, same_account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.errors import BatchsyncError
    from batchsync.reconcile.services import JobContext, Services


def reopen(context: JobContext, services: Services, reason: str = "resumed manually") -> None:
    """Reopen batches that need attention where they stopped, except those of another account.

    Args:
        context: The job. The caller holds its lease.
        services: Where it runs.
        reason: Why, for the journal.
    """
    for batch in services.store.open_batches(context.job.name):
        if batch.phase is Phase.NEEDS_ATTENTION and same_account(batch, context):
            services.store.record(batch, Reopened(at=services.clock.now(), reason=reason))


def not_reopened(contexts: Mapping[str, JobContext], services: Services) -> dict[str, BatchsyncError]:
    """Return an error for each job with a batch that `resume` could not reopen since the job's account changed."""
    remaining = (
        (name, batch)
        for name in contexts
        for batch in services.store.open_batches(name)
        if batch.phase is Phase.NEEDS_ATTENTION
    )
    return {
        name: account_changed_error(batch, contexts[name])
        for name, batch in remaining
        if not same_account(batch, contexts[name])
    }
