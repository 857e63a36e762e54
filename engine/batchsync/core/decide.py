"""What should happen next to a batch, as one pure ladder of early returns, and which batches may go on at all.

It does not know how a step is done, nor what is true after it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lading.core import backoff
from lading.core.batch import VERDICTS_WITH_ROW_LOG, Batch, Phase, Verb
from lading.core.policy import InDoubt, Policy
from lading.core.steps import (
    Allocate,
    Collect,
    Deliver,
    DropSlot,
    FindFile,
    FindSlot,
    GiveUp,
    Poll,
    RenewSlot,
    Rest,
    Step,
    Upload,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

#: Phases in which a batch takes one of the places that a vendor grants.
IN_FLIGHT = frozenset({Phase.ALLOCATED, Phase.SUBMITTED})
#: Phases in which nothing was sent, unless an upload is in doubt or another process had the slot's URL.
_UNSENT = frozenset({Phase.PREPARED, Phase.ALLOCATED})
#: Phases in which nothing more happens by itself.
AT_REST = frozenset({Phase.DELIVERED, Phase.STUCK})
#: A slot with less time left than this is treated as run out: the upload might not end in time.
SLOT_RESERVE = timedelta(seconds=30)


def decide(batch: Batch, policy: Policy, now: datetime) -> Step:  # noqa: PLR0911 - a ladder has many rungs
    """Return what should happen next to this batch."""
    if batch.phase in AT_REST:
        return Rest()
    if batch.failures > policy.failures_max:
        return GiveUp(f"failed {batch.failures} times in a row; last: {batch.reason}")
    if batch.lost >= policy.attempts_max:
        return GiveUp(f"lost {batch.lost} slots; last: {batch.reason}")
    if batch.not_before is not None and now < batch.not_before:
        return Wait(batch.not_before)
    if batch.doubt is not None:
        return _settle_doubt(batch, policy, now)
    match batch.phase:
        case Phase.PREPARED:
            return Allocate()
        case Phase.ALLOCATED:
            return _fill_slot(batch, policy, now)
        case Phase.SUBMITTED:
            return _follow(batch, policy, now)
        case Phase.SETTLED:
            return Collect()
        case _:
            return Deliver()


def announces(step: Step, policy: Policy) -> Verb | None:
    """Return the verb to announce before the step, if repeating the step could hurt."""
    match step:
        case Allocate() if not policy.allocate_repeatable:
            return Verb.ALLOCATE
        case Upload():
            return Verb.UPLOAD
        case _:
            return None


def look_again(batch: Batch, policy: Policy, now: datetime, asked_for: datetime | None = None) -> datetime:
    """Return when to try again after a failure: when the vendor asked for it, but never before our own back-off."""
    ours = now + backoff.delay(batch.failures + 1, batch.id, first=policy.backoff_first, most=policy.backoff_most)
    return max(ours, asked_for) if asked_for else ours


def next_poll(batch: Batch, policy: Policy, now: datetime) -> datetime:
    """Return when to poll again: from `poll_first`, growing at each poll, to `poll_most`."""
    most = policy.poll_most.total_seconds()
    try:
        grown = policy.poll_first.total_seconds() * policy.poll_growth**batch.polls
    except OverflowError:
        # What no float can hold is surely above the longest wait.
        grown = most
    # Compared as seconds: what has grown freely may be more than a timedelta can hold.
    return now + timedelta(seconds=min(grown, most))


def admit(
    batches: Iterable[Batch], policy: Policy, identities: Mapping[str, str], failed: Collection[str]
) -> tuple[Batch, ...]:
    """Return the batches of one connection that may go on, in order, within the vendor's limit of batches in flight.

    One whose file the vendor may have always does, and takes a place; those that have begun come next, fresh ones last.
    A batch of another account than its job has now (`identities`, by job) takes no place, and goes on only where nobody
    is asked. No batch of a job that `failed` goes on, and none waits for what was not sent of it.
    """
    ordered = sorted(batches, key=lambda one: (one.prepared_at, one.job, one.seq))
    ours = {one.id for one in ordered if one.identity == identities[one.job]}
    taken = sum(one.id in ours and one.phase in IN_FLIGHT and may_be_there(one) for one in ordered)
    able = [one for one in ordered if one.job not in failed and (one.id in ours or not asks_vendor(one))]
    unsent = [one for one in able if one.phase in _UNSENT and not may_be_there(one)]
    begun_first = sorted(unsent, key=lambda one: one.phase is Phase.PREPARED and one.doubt is None)
    waiting = {one.id for one in begun_first[max(policy.in_flight_max - taken, 0) :]}
    return tuple(one for one in able if one.id not in waiting)


def takes_place(batch: Batch) -> bool:
    """Whether the batch has a slot, or may have one."""
    return batch.phase in IN_FLIGHT or (batch.phase is Phase.PREPARED and batch.doubt is not None)


def asks_vendor(batch: Batch) -> bool:
    """Whether going on with a batch asks its vendor: not where all rows ended the same, nor to deliver answers."""
    if batch.phase is Phase.SETTLED:
        return batch.verdict in VERDICTS_WITH_ROW_LOG
    return batch.phase not in (Phase.COLLECTED, Phase.DELIVERED)


def may_be_there(batch: Batch) -> bool:
    """Whether the vendor may have the batch's file. As long as it surely has not, giving the batch up harms nobody.

    A slot whose URL is not known here was given to another process, which may have filled it if this journal was
    restored from a backup that is older than the upload.
    """
    phase = batch.stuck_from or batch.phase
    foreign = phase is Phase.ALLOCATED and batch.slot is not None and batch.slot.url is None
    return batch.doubt is Verb.UPLOAD or phase not in _UNSENT or foreign


def _settle_doubt(batch: Batch, policy: Policy, now: datetime) -> Step:
    """Ask before repeating: the request may even still be under way, so the first question waits."""
    if batch.doubt_since is not None and now < (ask_at := batch.doubt_since + policy.ask_after):
        return Wait(ask_at)
    if batch.doubt is Verb.UPLOAD:
        return FindFile()
    match policy.allocation_in_doubt:
        case InDoubt.ASK:
            return FindSlot()
        case InDoubt.TAKE_ANOTHER:
            return DropSlot("nobody knows whether the allocation arrived; an empty slot harms nobody", Verb.ALLOCATE)
        case _:
            return GiveUp("nobody knows whether the allocation arrived, and this vendor cannot be asked")


def _fill_slot(batch: Batch, policy: Policy, now: datetime) -> Step:
    """Upload, unless the slot has run out or its URL is no longer known (it is never journaled).

    Before a slot is left or its URL is asked for again, its status is read: the file may be there.
    """
    slot = batch.slot
    if slot is not None and slot.until is not None and now >= slot.until - SLOT_RESERVE:
        return DropSlot("the slot ran out")
    if slot is None or slot.url is None:
        if policy.allocation_in_doubt is InDoubt.ASK:
            return RenewSlot()
        return DropSlot("the upload URL went with the process that knew it")
    return Upload()


def _follow(batch: Batch, policy: Policy, now: datetime) -> Step:
    """Poll until the deadline, and once more after a person reopened the batch behind it."""
    late = batch.submitted_at is not None and now > batch.submitted_at + policy.deadline
    if late and batch.polls > 0:
        return GiveUp(f"no verdict {policy.deadline} after the upload; last status: {batch.word or 'none'}")
    return Poll()
