"""Checks of a run and its batches before they are journaled first, and the rows of its rejects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core import accounting
from batchsync.core.batch import Batch, Phase
from batchsync.core.run import Run, RunState, settlement_of, with_finalized
from batchsync.journal import codec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from batchsync.core.batch import BatchId
    from batchsync.journal.codec import Row
    from batchsync.ports import Reject


def check_new(run: Run, batches: Sequence[Batch]) -> Run:
    """Return the run as it is journaled: without batches it is settled at once, unless it awaits approval.

    Args:
        run: The run.
        batches: Its newly prepared batches: all, or the first while it is preparing.

    Raises:
        ValueError: If a batch is not a newly prepared one of this run, or a run in another state has batches.
        UnbalancedError: If the batches and the counts of the plan do not balance.
    """
    check_newly_prepared(run, batches)
    check_balance(run, batches)
    if batches or run.state is RunState.AWAITING_APPROVAL:
        return run
    return replace(run, state=RunState.SETTLED, settled_at=run.settled_at or run.created_at)


def reject_row(run: Run, batch: BatchId | None, item: Reject, at: datetime) -> Row:
    """Return the row of a reject.

    Args:
        run: Its run.
        batch: Its batch; None for a row that is in none.
        item: The reject.
        at: When it was recorded.
    """
    return {
        "run": run.id,
        "batch": batch,
        "job": run.job,
        "kind": item.kind,
        "key": codec.lossless_text(item.key),
        "code": codec.lossless_text(item.code),
        "field": codec.lossless_text(item.field),
        "reason": codec.clean(item.reason),
        "line": item.line,
        "row": item.row,
        "retry": int(item.retry),
        "at": codec.to_iso(at),
    }


def check_newly_prepared(run: Run, batches: Sequence[Batch]) -> None:
    """Refuse batches that are not newly prepared for this run.

    Raises:
        ValueError: If one is not.
    """
    if batches and run.state not in (RunState.PREPARED, RunState.PREPARING):
        message = f"run {run.id} is {run.state} and comes with {len(batches)} batches"
        raise ValueError(message)
    for batch in batches:
        expected = Batch(
            id=batch.id,
            run=run.id,
            job=run.job,
            seq=batch.seq,
            file=batch.file,
            phase=Phase.PREPARED,
            prepared_at=batch.prepared_at,
            account_id=batch.account_id,
            target=batch.target,
            attempt=batch.attempt,
        )
        if batch != expected:
            message = f"batch {batch.id} is not a newly prepared batch of run {run.id}"
            raise ValueError(message)


def check_balance(run: Run, batches: Sequence[Batch]) -> None:
    """Refuse a run whose batches do not contain the records counted by its plan: all, or the first while preparing.

    Raises:
        UnbalancedError: If they do not.
    """
    settlement_of(run, batches)
    if run.state is RunState.AWAITING_APPROVAL:
        return
    finalized = sum(batch.file.rows for batch in batches)
    complete = with_finalized(run, finalized).state is RunState.PREPARED
    preparing = run.state is RunState.PREPARING
    if complete is preparing or (preparing and not batches):
        message = f"run {run.id} is {run.state} for {run.counts.to_send} records, and its batches contain {finalized}"
        raise accounting.UnbalancedError(message)
