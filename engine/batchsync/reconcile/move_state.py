"""Move the state of a job to another name, or remove it, on a person's word. No vendor is called."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import RunId
from batchsync.core.run import Run, RunState
from batchsync.errors import UsageError
from batchsync.reconcile.renames import copy_segments
from batchsync.reconcile.sweep import sweep

if TYPE_CHECKING:
    from batchsync.ports import BaselineEntry
    from batchsync.reconcile.services import Services

#: Spec hash of runs that record a removed state: no spec has it, so that no watermark of an earlier run is used.
REMOVED = "state removed"


def move_state(former: str, job: str, services: Services) -> tuple[BaselineEntry, ...]:
    """Give the baselines of a job to another name, as `renamed_from` does; takes the leases of both.

    Args:
        former: Present name of the state.
        job: New name, which has no baseline at the same accounts.
        services: Object store and journal.

    Returns:
        The baselines under their new name.

    Raises:
        UsageError: If there is nothing to move, a batch is open, or the new name holds a baseline already.
        LockedError: If one of the jobs is running.
    """
    store = services.store
    first, second = sorted((former, job))
    with services.lease(first), services.lease(second):
        _refuse_open(former, services)
        entries = store.baselines(former)
        if not entries:
            raise UsageError(f'job "{former}" has no baseline; nothing was moved', hint="`batchsync state list`")
        if any(store.baseline(job, entry.account_id) for entry in entries):
            raise UsageError(
                f'job "{job}" has a baseline at the same account already; nothing was moved',
                hint=f"`batchsync state show {job}` shows it, `batchsync state rm {job}` removes it",
            )
        copy_segments(entries, job, services)
        moved = tuple(replace(entry, job=job) for entry in entries)
        with services.shield():
            store.take_over(former, job, moved, services.clock.now())
        sweep(former, services)
    return moved


def remove_state(job: str, services: Services, reason: str) -> tuple[Run, ...]:
    """Forget what the targets of a job hold; takes its lease.

    Each baseline is replaced by an empty one in a run of its own, which keeps the reason. The history, its rejects and
    used idempotency keys stay.

    Args:
        job: Name of the job.
        services: Object store and journal.
        reason: The person's reason.

    Returns:
        The runs that record the removal, one for each account.

    Raises:
        UsageError: If the job has no baseline, or an open batch.
        LockedError: If the job is running.
    """
    store, runs = services.store, []
    with services.lease(job):
        _refuse_open(job, services)
        entries = store.baselines(job)
        if not entries:
            raise UsageError(f'job "{job}" has no baseline; nothing was removed', hint="`batchsync state list`")
        for entry in entries:
            serial, now = store.next_serial(job), services.clock.now()
            run = Run(
                id=RunId(f"{job}-{serial}"),
                job=job,
                serial=serial,
                spec_hash=REMOVED,
                account_id=entry.account_id,
                state=RunState.SETTLED,
                created_at=now,
                settled_at=now,
                counts=PlanCounts(),
                plan="",
                reason=f"state removed: {reason}",
            )
            with services.shield():
                store.start_run(run, (), (), baseline=replace(entry, segments=()))
            runs.append(run)
        sweep(job, services)
    return tuple(runs)


def _refuse_open(job: str, services: Services) -> None:
    """Refuse a job with batches in flight or a run that is being prepared.

    Raises:
        UsageError: If it has any.
    """
    store = services.store
    if store.open_batches(job) or store.preparing_runs(job):
        raise UsageError(
            f'job "{job}" has open batches; its state stays as it is',
            hint=f"`batchsync resume {job}` completes them, `batchsync cancel {job}` cancels what can be cancelled",
        )
