"""When a batch may be sent: not in quiet hours. Batches that the vendor may have are followed at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.lifecycle import possibly_delivered
from batchsync.core.steps import Allocate, RenewAllocation, Step, Upload, Wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.core.job import Job
    from batchsync.reconcile.services import JobContext

    #: Returns when the present quiet hours of a job end; None if these are none.
    QuietUntil = Callable[[Job, datetime], datetime | None]


def begins_sending(step: Step, batch: Batch) -> bool:
    """Return whether a step begins to send a batch that the vendor does not have."""
    return isinstance(step, Allocate | RenewAllocation | Upload) and not possibly_delivered(batch)


def not_in_quiet_hours(
    step: Step, batch: Batch, context: JobContext, now: datetime, quiet_until: QuietUntil | None
) -> Step:
    """Return the step, or the wait for the end of quiet hours if it begins to send a batch in them.

    Args:
        step: The decided step.
        batch: The batch.
        context: Its job.
        now: Current time.
        quiet_until: Returns when quiet hours end; None where they do not count.
    """
    if quiet_until is None or not begins_sending(step, batch):
        return step
    until = quiet_until(context.job, now)
    return step if until is None else Wait(until)
