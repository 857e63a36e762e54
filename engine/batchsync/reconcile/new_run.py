"""Begin the new run of a job: plan it and send while preparing, or apply a plan file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.reconcile.apply_plan import apply_plan
from batchsync.reconcile.plan import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from batchsync.ports import TargetFacts
    from batchsync.reconcile.loop import Loop
    from batchsync.reconcile.plan_file import OpenedPlanFile
    from batchsync.reconcile.prepare import Preparation
    from batchsync.reconcile.services import JobContext, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRunRequest:
    """Request for new runs: the schedule tick they are for (None: started manually), and the other jobs of the process.

    Batches of `peers` count against the vendor's limit of batches in flight. The runs apply the plans of `plan_file`.
    """

    tick: datetime | None = None
    peers: Sequence[JobContext] = ()
    plan_file: OpenedPlanFile | None = None


def begin_new_run(
    context: JobContext, services: Services, target: TargetFacts, wanted: NewRunRequest, loop: Loop, runs: list[str]
) -> None:
    """Begin a new run of a job: apply its plan, or plan and send while preparing.

    Args:
        context: The job. The caller holds its lease.
        services: Where it runs.
        target: The vendor's description of the target.
        wanted: What the run is for.
        loop: Sends the batches.
        runs: The runs of the job that were open before; receives the id of the run, if it was journaled.

    Raises:
        BatchsyncError: If the run cannot begin, or a batch cannot be prepared.
    """
    if wanted.plan_file is None:
        _send_while_preparing(prepare(context, services, target, wanted.tick), loop, runs)
        return
    if services.store.applied_run(wanted.plan_file.content.id, context.job.name) in runs:
        # An earlier process began it, and died; this one has followed its batches.
        return
    applied = apply_plan(context, services, target, wanted.plan_file)
    runs.append(applied.run.id)
    loop.follow(applied.batches)


def _send_while_preparing(preparation: Preparation, loop: Loop, runs: list[str]) -> None:
    """Send batches of a run while others are prepared; the run is added to `runs` if it was journaled."""
    with preparation:
        try:
            loop.run_while_preparing(preparation)
        finally:
            if preparation.journaled:
                runs.append(preparation.run.id)
