"""Keys that a vendor erased for good by a delivered removal: they are forgotten here, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError
from batchsync.reconcile.forget import ForgetRequest, forget_in_job, keys_in_use
from batchsync.reconcile.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.reconcile.services import JobContext, Services

#: Who forgets keys that a vendor erased.
BATCHSYNC = "batchsync"


def forget_erased_keys(
    contexts: Mapping[str, JobContext], failed: dict[str, BatchsyncError], services: Services
) -> None:
    """Forget the keys that delivered batches of some jobs erased.

    Args:
        contexts: The jobs by name, former names included. The caller holds their leases.
        failed: Jobs that had to stop, which are left out; receives the jobs that have to stop here.
        services: Where the keys are forgotten.
    """
    for name, context in contexts.items():
        if name not in failed:
            try:
                _forget_erased(context, services)
            except BatchsyncError as error:
                failed[name] = error


def _forget_erased(context: JobContext, services: Services) -> None:
    """Forget the keys that delivered batches of a job erased.

    A batch is left for a later run while one of its keys is in an open batch, or of unknown outcome.

    Raises:
        BatchsyncError: If a file cannot be read or written; the next run continues.
    """
    name, done = context.job.name, []
    for batch, ops in services.store.pending_erasures(name):
        keys = sorted(set(services.data.keys_in(batch, ops=ops)) - set(services.store.failed_keys(batch.id)))
        names = [name, *(context.job.renamed_from or ())]
        request = ForgetRequest(job=name, keys=keys, names=names, declared=context.job)
        if keys_in_use(request, services) is not None:
            continue
        if keys:
            forget_in_job(request, services, by=BATCHSYNC, reason=f"batch {batch.id} erased it at {context.rules.name}")
        done.append(batch)
    if not done:
        return
    services.store.vacuum()
    for batch in done:
        services.store.finish_erasure(batch)
    sweep(name, services)
