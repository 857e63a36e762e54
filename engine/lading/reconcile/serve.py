"""Run due jobs in the foreground, each schedule slot once, and follow batches in flight when they are due.

It does not know cron; it is told which slot is due. A crash between two slots loses none: the journal holds them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lading.core.decide import decide
from lading.core.steps import Rest, Wait
from lading.errors import LockedError, SourceError
from lading.reconcile.loop import Patience, settle_all
from lading.reconcile.preparation import cut_short
from lading.reconcile.sync import JobOutcome, cause, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from lading.core.job import Schedule
    from lading.reconcile.context import JobContext, World

#: The longest sleep: a jobs file that a person waits for, or a clock that jumped, is noticed within it.
_LONGEST = timedelta(minutes=5)


class Slots(Protocol):
    """Which schedule slots there are, as far as `serve` needs to know."""

    def due(self, schedule: Schedule, last_done: datetime, now: datetime) -> datetime | None:
        """Return the latest slot after `last_done` that is not after `now`, or None."""
        ...

    def upcoming(self, schedule: Schedule, after: datetime) -> datetime | None:
        """Return the first slot after a moment, or None if there is none."""
        ...


def serve(
    contexts: Sequence[JobContext],
    world: World,
    slots: Slots,
    *,
    told: Callable[[JobOutcome], None],
    once: bool = False,
) -> None:
    """Run until interrupted; with `once`, do what is due now and return. `told` hears how each run came out."""
    while True:
        for context, slot in _due(contexts, world, slots):
            for outcome in sync([context], world, Patience(wait=False), slot=slot):
                told(outcome)
                if isinstance(outcome.error, SourceError):
                    # The next slot has its own source; a vendor that is down is asked again for this one.
                    world.memory.claim_slot(context.job.name, slot)
        _follow(contexts, world)
        if once:
            return
        until = _wake(contexts, world, slots)
        world.watcher.waiting(until)
        world.clock.sleep(until - world.clock.now())


def _due(contexts: Sequence[JobContext], world: World, slots: Slots) -> Iterator[tuple[JobContext, datetime]]:
    """Yield the jobs whose slot has come and whose upstream jobs have nothing in flight, in dependency order."""
    for context in contexts:
        schedule = context.job.schedule
        if schedule is None:
            continue
        # A job is watched from when it is first seen, whatever keeps it from running and whoever sees it next.
        last = world.memory.watch(context.job.name, world.clock.now())
        if any(world.memory.open_batches(name) for name in context.job.depends_on):
            continue
        slot = slots.due(schedule, last, world.clock.now())
        if slot is not None:
            yield context, slot


def _follow(contexts: Sequence[JobContext], world: World) -> None:
    """Bring what is in flight as far as it can go now. A job that somebody else runs is left to them."""
    for context in contexts:
        name = context.job.name
        if not world.memory.open_batches(name):
            continue
        try:
            with world.lease(name):
                cut_short(name, world)
                failed = settle_all({name: context}, world, Patience(wait=False))
                if name in failed:
                    raise cause(failed[name], name, world)
        except LockedError:
            continue


def _wake(contexts: Sequence[JobContext], world: World, slots: Slots) -> datetime:
    """Return when something is due next."""
    now = world.clock.now()
    moments = [now + _LONGEST]
    for context in contexts:
        if context.job.schedule is not None and (slot := slots.upcoming(context.job.schedule, now)):
            moments.append(slot)
        for batch in world.memory.open_batches(context.job.name):
            match decide(batch, context.policy, now):
                case Wait(until=until):
                    moments.append(until)
                case Rest():
                    pass
                case _:
                    moments.append(now + timedelta(seconds=1))
    return max(min(moments), now + timedelta(seconds=1))
