"""Run due jobs in the foreground, each schedule slot once, and follow batches in flight when they are due.

It does not know cron; it is told which slot is due. A crash between two slots loses none: the journal holds them.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lading.core.batch import Phase
from lading.core.decide import decide
from lading.core.run import RunState
from lading.core.steps import Rest, Wait
from lading.errors import LadingError, LockedError, SourceError
from lading.reconcile.loop import Patience, admitted, settle_all
from lading.reconcile.preparation import cut_short
from lading.reconcile.sync import Anew, JobOutcome, cause, obstacle_at, open_runs, outcome_of, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from lading.core.batch import Batch
    from lading.core.job import Schedule
    from lading.reconcile.context import JobContext, World

#: The longest sleep: another jobs file, or a clock that jumped, is noticed within it.
_LONGEST = timedelta(minutes=5)
_AT_ONCE = Patience(wait=False)


class Slots(Protocol):
    """Which schedule slots there are, as far as `serve` needs to know."""

    def due(self, schedule: Schedule, last_done: datetime, now: datetime) -> datetime | None:
        """Return the latest slot after `last_done` that is not after `now`, or None."""
        ...

    def upcoming(self, schedule: Schedule, after: datetime) -> datetime | None:
        """Return the first slot after a moment, or None if there is none."""
        ...


def serve(
    declared: Callable[[], Sequence[JobContext]],
    world: World,
    slots: Slots,
    *,
    told: Callable[[JobOutcome], None],
    once: bool = False,
) -> None:
    """Run until interrupted; with `once`, do what is due now and return. `told` hears how each run came out.

    `declared` is asked before each run which jobs there are.
    A job that has to stop stops no other. It is tried again in every pass, and told of when its trouble is a new one.
    """
    news = _News(told)
    while True:
        contexts, tried = declared(), set[str]()
        while due := next((one for one in _due(contexts, world, slots) if one[0].job.name not in tried), None):
            context, slot = due
            tried.add(context.job.name)
            for outcome in sync([context], world, _AT_ONCE, Anew(slot=slot, beside=contexts)):
                news.tell(outcome)
                if isinstance(outcome.error, SourceError):
                    # The next slot has its own source; a vendor that is down is asked again for this one.
                    world.memory.claim_slot(context.job.name, slot)
            contexts = declared()
        failed = set()
        for outcome in _follow(contexts, world):
            news.tell(outcome)
            if outcome.error:
                failed.add(outcome.job)
        if once:
            return
        until = _wake(contexts, world, slots, failed)
        world.watcher.waiting(until)
        world.clock.sleep(until - world.clock.now())


class _News:
    """Tells how jobs came out, and of a trouble that stands only once."""

    def __init__(self, told: Callable[[JobOutcome], None]) -> None:
        self._told = told
        self._standing: dict[str, JobOutcome] = {}

    def tell(self, outcome: JobOutcome) -> None:
        """Pass the outcome on, unless the job was last told to have this very trouble, or to wait for the same."""
        last = self._standing.get(outcome.job)
        if last is None or not _is_old(outcome, last):
            self._told(outcome)
            self._standing[outcome.job] = outcome


def _is_old(outcome: JobOutcome, last: JobOutcome) -> bool:
    """Whether the outcome is a trouble, the same as the last one, and tells of no other run."""
    if not (trouble := _trouble(outcome)) or trouble != _trouble(last):
        return False
    return {one.run.id for one in outcome.runs} <= {one.run.id for one in last.runs}


def _trouble(outcome: JobOutcome) -> str:
    return outcome.error.message if outcome.error else outcome.skipped


def _due(contexts: Sequence[JobContext], world: World, slots: Slots) -> Iterator[tuple[JobContext, datetime]]:
    """Yield the jobs whose slot has come, in dependency order; not yet when one that is served here too goes first."""
    served = {context.job.name for context in contexts}
    for context in contexts:
        schedule = context.job.schedule
        if schedule is None:
            continue
        # A job is watched from when it is first seen, whatever keeps it from running and whoever sees it next.
        last = world.memory.watch(context.job.name, world.clock.now())
        # What is in flight is followed here and ends soon. Whatever else is in the way, `sync` says.
        upstream = [obstacle_at(name, world) for name in served.intersection(context.job.depends_on)]
        if any(one.passes for one in upstream if one):
            continue
        slot = slots.due(schedule, last, world.clock.now())
        if slot is not None:
            yield context, slot


def _follow(contexts: Sequence[JobContext], world: World) -> list[JobOutcome]:
    """Bring what is in flight as far as it can go now, all jobs side by side, and return what there is to tell.

    That is runs that came to an end, batches that have to wait for a person, and why a job had to stop.
    """
    failed: dict[str, LadingError] = {}
    able: dict[str, JobContext] = {}
    with ExitStack() as leases:
        for context in contexts:
            name = context.job.name
            if not open_runs(name, world):
                continue
            try:
                leases.enter_context(world.lease(name))
                cut_short(name, world)
                able[name] = context
            except LadingError as error:
                failed[name] = error
        runs = {name: open_runs(name, world) for name in able}
        stuck = {name: {one.id for one in _stuck(name, world)} for name in able}
        failed |= settle_all(able, world, _AT_ONCE, contexts)
        causes = {name: cause(error, name, world) for name, error in failed.items()}
    # A job that somebody else runs is left to them.
    failed = {name: error for name, error in causes.items() if not isinstance(error, LockedError)}
    news: list[JobOutcome] = []
    for context in contexts:
        name = context.job.name
        newly = {one.run for one in _stuck(name, world) if one.id not in stuck.get(name, ())}
        ended = [run for run in runs.get(name, ()) if run in newly or _is_settled(run, world)]
        if ended or name in failed:
            news.append(outcome_of(context, world, ended, failed))
    return news


def _stuck(job: str, world: World) -> list[Batch]:
    """Return the batches of a job that wait for a person."""
    return [one for one in world.memory.open_batches(job) if one.phase is Phase.STUCK]


def _is_settled(run: str, world: World) -> bool:
    return world.memory.run(run).state is RunState.SETTLED


def _wake(contexts: Sequence[JobContext], world: World, slots: Slots, failed: Collection[str]) -> datetime:
    """Return when something is due next. What a job that had to stop still has in flight hurries nobody."""
    now = world.clock.now()
    schedules = [context.job.schedule for context in contexts if context.job.schedule is not None]
    moments = [now + _LONGEST, *(slot for one in schedules if (slot := slots.upcoming(one, now)))]
    known = {context.job.name: context for context in contexts}
    for batch in admitted((one for job in known for one in world.memory.open_batches(job)), known, failed):
        match decide(batch, known[batch.job].policy, now):
            case Wait(until=until):
                moments.append(until)
            case Rest():
                pass
            case _:
                moments.append(now + timedelta(seconds=1))
    return max(min(moments), now + timedelta(seconds=1))
