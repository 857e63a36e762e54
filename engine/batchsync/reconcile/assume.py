"""Take today's source as what the target holds, on a person's word: after the loss of state, nothing is sent again."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.plan import begin_run
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import UsageError
from batchsync.reconcile.plan import plan
from batchsync.reconcile.renames import baseline_before, check_rename, take_over, under_former_names

if TYPE_CHECKING:
    from batchsync.core.run import Run
    from batchsync.reconcile.services import JobContext, Services


def assume_delivered(context: JobContext, services: Services, reason: str) -> Run:
    """Record a run without batches whose added and changed records are assumed to be delivered. Calls no vendor.

    Rows in flight stay deferred, and so do removals: keys that the target holds and the source lacks.

    Args:
        context: The job.
        services: Data engine, journal and paths to use; this takes the job's lease.
        reason: The person's reason, kept in the journal.

    Returns:
        The settled run.

    Raises:
        UsageError: If the job is a lookup, whose answers cannot be assumed.
        BatchsyncError: If the source cannot be read as declared, or the job is running.
    """
    job = context.job
    if job.results is not None:
        raise UsageError(
            f"{job.name} is a lookup: its answers would be missing", hint=f"`batchsync sync {job.name}` requests them"
        )
    check_rename(context, services)
    with ExitStack() as leases:
        leases.enter_context(services.lease(job.name))
        for former in under_former_names(context, services):
            leases.enter_context(services.lease(former.job.name))
        take_over(context, services)
        compared = plan(context, services).comparison
        counts = compared.plan.counts.as_assumed()
        run = begin_run(
            replace(compared.plan, counts=counts, breaches=()),
            serial=services.store.next_serial(job.name),
            at=services.clock.now(),
            awaiting_approval=False,
        )
        run = replace(run, reason=f"assumed to be delivered: {reason}")
        baseline = baseline_before(context, services)
        if counts.outcomes[RowOutcome.ASSUMED]:
            baseline = services.data.assume(compared, baseline)
        with services.shield():
            services.store.start_run(run, (), services.data.invalid(compared), baseline=baseline)
        shutil.rmtree(compared.folder, ignore_errors=True)
    return run
