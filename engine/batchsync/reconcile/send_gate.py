"""When a batch may be sent: not in quiet hours, and within the limits of its account.

Batches that the vendor may have are followed at any time, as far as calls are left.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.account_limits import InFlight
from batchsync.core.lifecycle import possibly_delivered
from batchsync.core.steps import Allocate, Deliver, NoOp, Park, RenewAllocation, Step, Upload, Wait
from batchsync.ports import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.core.job import Job
    from batchsync.reconcile.services import JobContext, Services

    #: Returns when the present quiet hours of a job end; None if these are none.
    QuietUntil = Callable[[Job, datetime], datetime | None]

#: Time of an upload where the vendor spec has none.
_UPLOAD = timedelta(minutes=30)
#: A call that may be made so soon is waited for when it is made.
_SOON = timedelta(minutes=2)


def begins_sending(step: Step, batch: Batch) -> bool:
    """Return whether a step begins to send a batch that the vendor does not have."""
    return isinstance(step, Allocate | RenewAllocation | Upload) and not possibly_delivered(batch)


def permitted(
    step: Step, batch: Batch, context: JobContext, services: Services, quiet_until: QuietUntil | None
) -> Step:
    """Return the step, or a wait where the batch may not be sent, or the vendor not be called, now.

    Args:
        step: The decided step.
        batch: The batch.
        context: Its job.
        services: Clock and journal.
        quiet_until: Returns when quiet hours end; None where they do not count.
    """
    now, limits = services.clock.now(), context.policy.account
    if limits.calls_per_day is not None and not isinstance(step, Wait | NoOp | Park | Deliver):
        until = services.store.calls_free_at(context.account, limits, now)
        if until is not None and until > now + _SOON:
            _report(batch, f"{limits.calls_per_day:,} calls a day", until, services)
            return Wait(until)
    if not begins_sending(step, batch):
        return step
    until = quiet_until(context.job, now) if quiet_until is not None else None
    if until is None and batch.id in services.limited:
        until = services.limited[batch.id][0]
    return step if until is None or until <= now else Wait(until)


def reserved(step: Step, batch: Batch, context: JobContext, services: Services, own: Mapping[str, JobContext]) -> Step:
    """Reserve what sending a batch uses.

    A batch that waits for one of another job, which no process follows, has nothing to do.

    Args:
        step: The permitted step.
        batch: The batch.
        context: Its job.
        services: Clock and journal.
        own: The jobs of this process, by name.

    Returns:
        The step, or a wait if a limit of the account is reached.

    Raises:
        BatchsyncError: If the journal cannot be written.
    """
    if not context.account or not begins_sending(step, batch):
        return step
    now, dialect, policy = services.clock.now(), context.rules.dialect, context.policy
    counted_at = now + (dialect.limits.whole if dialect is not None else _UPLOAD)
    accounts = {name: item.account_id for name, item in own.items()}
    in_flight = InFlight(limit=policy.in_flight_max, own=accounts)
    found = services.store.reserve_batch(batch, context.account, policy.account, in_flight, now, counted_at)
    if found.until is None:
        services.limited.pop(batch.id, None)
        return step
    text = f"{found.limit} (job {found.held_by})" if found.held_by else found.limit
    _report(batch, text, found.until, services, followed=found.followed)
    return Wait(found.until) if found.followed else NoOp()


def note_sent(step: Step, batch: Batch, context: JobContext, services: Services) -> None:
    """Record the end of an upload, from which on a batch counts against the limits of a day."""
    if isinstance(step, Upload) and context.policy.account.limits_batches:
        services.store.note_sent(batch, services.clock.now())


def _report(batch: Batch, limit: str, until: datetime, services: Services, *, followed: bool = True) -> None:
    """Remember that a batch waits, so that the state is not asked at each look, and say so once."""
    known = services.limited.get(batch.id)
    services.limited[batch.id] = until, limit
    if known is None or known[1] != limit:
        shown = until if followed else None
        services.events.emit(LimitReached(job=batch.job, batch=batch.id, limit=limit, until=shown))
