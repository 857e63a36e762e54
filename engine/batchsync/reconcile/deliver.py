"""Deliver the results of a collected batch to its sink and write the baseline that the journal will refer to.

Both are idempotent: after a crash the delivery is repeated with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core import events
from batchsync.core.naming import row_manifest_key
from batchsync.ports import BaselineEntry
from batchsync.reconcile import collected
from batchsync.reconcile.accounts import undeclared_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.ports import Reject, StateStore
    from batchsync.reconcile.services import JobContext, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery to journal: the event, the new baseline and the rejects, which are written in one transaction.

    `erasing` are the operations of accepted rows whose keys are to be forgotten.
    """

    event: events.Delivered
    baseline: BaselineEntry
    rejects: Iterable[Sequence[Reject]]
    erasing: tuple[str, ...] = ()


def deliver(batch: Batch, context: JobContext | None, services: Services) -> Delivery:
    """Deliver the batch's lookup results to the sink of its job and write the new baseline segments.

    Args:
        batch: A COLLECTED batch.
        context: The batch's job; None if it is no longer in jobs.yaml; the batch must have no lookup results then.
        services: Data engine, sinks and paths to use.

    Returns:
        What the journal must record in one transaction.

    Raises:
        ResultsMissingError: If the collected results are missing or damaged.
        UsageError: If there are lookup results and no context.
    """
    verdicts = collected.read(services.paths.collected(batch), batch)
    if verdicts.answers is not None:
        _deliver_answers(verdicts.answers, verdicts.key, batch, context, services)
    erasing = erasing_ops(context)
    before = baseline_of(batch.job, batch.account_id, services.store)
    after = services.data.apply_verdicts(before, [verdicts.path], [row_manifest_key(batch.job, batch.file)])
    return Delivery(
        event=events.Delivered(at=services.clock.now()),
        baseline=after,
        rejects=services.data.rejects(verdicts),
        erasing=erasing if erasing and services.data.accepts(verdicts, erasing) else (),
    )


def erasing_ops(context: JobContext | None) -> tuple[str, ...]:
    """Return the operations of rows that erase their keys for good, as the job is now: of add, change and remove."""
    if context is None:
        return ()
    job, erases = context.job, context.rules.erases
    ops: tuple[str, ...] = ("add", "change") if job.mode in erases else ()
    return (*ops, "remove") if job.removal is not None and job.removal.mode in erases else ops


def _deliver_answers(
    answers: Path, key: tuple[str, ...], batch: Batch, context: JobContext | None, services: Services
) -> None:
    """Deliver lookup results by their key columns at collection, which may have been renamed in the job since."""
    if context is None:
        raise undeclared_error(batch, "the destination of its results is unknown")
    if context.job.results is not None:
        services.sinks.deliver(answers, context.job.results, key)


def baseline_of(job: str, account_id: str, store: StateStore) -> BaselineEntry:
    """Return the baseline of a job for an account, which need not be the account that the job uses now."""
    return store.baseline(job, account_id) or BaselineEntry(job=job, account_id=account_id)
