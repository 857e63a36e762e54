"""Checks of a run and its batches before they are journaled first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core import accounting
from batchsync.core.batch import Batch, Phase
from batchsync.core.run import Run, RunState, settlement_of, with_finalized

if TYPE_CHECKING:
    from collections.abc import Sequence


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
