"""Close a batch whose job is no longer in jobs.yaml and whose rows all have the same outcome, without its vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.errors import StateError
from batchsync.reconcile import collected
from batchsync.reconcile.deliver import deliver
from batchsync.reconcile.perform import collect
from batchsync.reconcile.sweep import sweep

if TYPE_CHECKING:
    from batchsync.reconcile.services import Services


def close(batch: Batch, services: Services) -> Batch:
    """Count the rows of the batch, advance the baseline and mark it delivered. The caller holds the job's lease.

    Args:
        batch: A FINISHED or COLLECTED batch whose verdict covers all of its rows.
        services: Where the delivery is journaled.

    Returns:
        The delivered batch.

    Raises:
        UsageError: If the batch has lookup results: without the job, their destination is unknown.
        StateError: If the collected results are missing or damaged.
    """
    with services.shield():
        if batch.phase is Phase.FINISHED:
            batch = services.store.record(batch, collect(batch, None, services))
        try:
            delivery = deliver(batch, None, services)
        except collected.ResultsMissingError as error:
            hint = f'restore job "{batch.job}" in the jobs file and run `batchsync resume {batch.job}`'
            raise StateError(str(error), hint=hint) from None
        delivered = services.store.deliver(batch, delivery.event, baseline=delivery.baseline, rejects=delivery.rejects)
    sweep(batch.job, services)
    return delivered
