"""Ask what should happen next, do it, remember it, and ask again, until everything is at rest.

The loop decides nothing: `core.decide` does. It does not know vendors, files or SQLite.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.core.decide import admit, announces, asks_vendor, decide, takes_place
from lading.core.events import Announced
from lading.core.steps import Allocate, Collect, Deliver, Rest, Step, Upload, Wait
from lading.errors import LadingError
from lading.reconcile import collected
from lading.reconcile.accounts import another_account, is_ours
from lading.reconcile.deliver import Delivery
from lading.reconcile.perform import make_sure, perform

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from lading.reconcile.context import JobContext, World
    from lading.reconcile.preparation import Preparation

_AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the loop may wait.

    Without `wait` it does only what can be done now; `until` is the last moment that it waits for.
    """

    wait: bool = True
    until: datetime | None = None


def settle_all(
    contexts: Mapping[str, JobContext], world: World, patience: Patience, beside: Iterable[JobContext] = ()
) -> dict[str, LadingError]:
    """Bring every open batch of these jobs as far as it can go; return why some of the jobs had to stop."""
    loop = Loop(contexts, world, beside)
    loop.settle(patience)
    return loop.failed


class Loop:
    """The open batches of some jobs, and the jobs that had to stop. Needs the leases of the jobs.

    A job is in `failed` when our own disk or a sink failed it, or a batch of it belongs to another account than its
    connection names now. Its batches are where they were, and nothing more is done about them here. Jobs that are
    followed `beside` these take places that a vendor grants, too.
    """

    def __init__(self, contexts: Mapping[str, JobContext], world: World, beside: Iterable[JobContext] = ()) -> None:
        """Begin with what the journal says is open."""
        self.failed: dict[str, LadingError] = {}
        self._contexts, self._world = contexts, world
        self._beside = {one.job.name: one for one in beside if one.job.name not in contexts}
        self._live = {one.id: one for job in contexts for one in world.memory.open_batches(job)}

    def settle(self, patience: Patience) -> None:
        """Go on until all batches are at rest, or until the next thing is due later than the patience lasts."""
        self._go_on(patience)
        for batch in self._live.values():
            context = self._contexts[batch.job]
            if not is_ours(batch, context) and asks_vendor(batch) and batch.phase is not Phase.STUCK:
                self.failed.setdefault(batch.job, another_account(batch, context))

    def _go_on(self, patience: Patience) -> None:
        clock = self._world.clock
        while True:
            moved, until = self._pass()
            if moved:
                continue
            if until is None or not patience.wait:
                return
            if patience.until is not None and until > patience.until:
                return
            self._world.watcher.waiting(until)
            clock.sleep(until - clock.now())

    def take_in(self, preparation: Preparation) -> None:
        """Go on while a run is being prepared: each of its batches may go on its way as soon as it is remembered.

        Returns with the last of them, wherever the others are.

        Raises:
            LadingError: when the next batch cannot be prepared.
        """
        clock = self._world.clock
        within: timedelta | None = _AT_ONCE
        while preparation.more:
            batch = preparation.take(within)
            while batch is not None:
                # What is sealed is remembered at once: a crash during the next call must not lose the work.
                self._live[batch.id] = batch
                batch = preparation.take(_AT_ONCE)
            moved, until = self._pass()
            within = _AT_ONCE if moved else None
            if not moved and until is not None:
                within = until - clock.now()

    def _pass(self) -> tuple[bool, datetime | None]:
        """Take a step with each batch that may go on; say whether one moved, and when the first that waits is due.

        What the vendor is asked for comes first: it works on one batch while we settle another.
        """
        waits: list[datetime] = []
        ours: list[tuple[Step, Batch]] = []
        moved = False
        for batch in admitted(self._in_sight(), self._beside | dict(self._contexts), self.failed):
            if batch.job in self.failed or batch.job in self._beside:
                continue
            match self._decided(batch):
                case Rest():
                    continue
                case Wait(until=until):
                    waits.append(until)
                case Collect() | Deliver() as step:
                    ours.append((step, batch))
                case step:
                    self._take(step, batch)
                    moved = True
        for step, batch in ours:
            if batch.job not in self.failed:
                self._take(step, batch)
                moved = True
        return moved, min(waits, default=None)

    def _in_sight(self) -> Iterator[Batch]:
        """Yield our batches, and those of jobs beside that have a place or may have one."""
        yield from self._live.values()
        for job in self._beside:
            yield from (one for one in self._world.memory.open_batches(job) if takes_place(one))

    def _decided(self, batch: Batch) -> Step:
        return decide(batch, self._contexts[batch.job].policy, self._world.clock.now())

    def _take(self, step: Step, batch: Batch) -> None:
        """Take a step with a batch. A slot is filled as soon as it is there: its URL does not last."""
        context = self._contexts[batch.job]
        try:
            after = self._keep(tick(step, batch, context, self._world))
            if isinstance(step, Allocate) and isinstance(upload := self._decided(after), Upload):
                self._keep(tick(upload, after, context, self._world))
        except LadingError as error:
            self.failed[batch.job] = error

    def _keep(self, batch: Batch) -> Batch:
        """Hold the batch in memory (a slot's URL is nowhere else), or let it and its files go when it is delivered."""
        if batch.phase is not Phase.DELIVERED:
            self._live[batch.id] = batch
        else:
            del self._live[batch.id]
            collected.remove(self._world.folders.collected(batch))
        return batch


def tick(step: Step, batch: Batch, context: JobContext, world: World) -> Batch:
    """Announce the step if its repetition could hurt, do it, remember what happened, and return the batch after it.

    Nothing interrupts between an answer and its being remembered: the shield delays a signal until both are done.
    """
    make_sure(step, batch, world)
    with world.shield():
        if verb := announces(step, context.policy):
            batch = world.memory.record(batch, Announced(at=world.clock.now(), verb=verb))
        outcome = perform(step, batch, context, world)
        if isinstance(outcome, Delivery):
            after = world.memory.deliver(batch, outcome.event, baseline=outcome.baseline, rejects=outcome.rejects)
        else:
            after = world.memory.record(batch, outcome)
        world.watcher.moved(after)
        return after


def admitted(
    batches: Iterable[Batch], contexts: Mapping[str, JobContext], failed: Collection[str] = ()
) -> Iterator[Batch]:
    """Yield the batches that may go on, connection by connection."""
    by_connection: dict[str, list[Batch]] = defaultdict(list)
    for one in batches:
        by_connection[contexts[one.job].job.connection].append(one)
    identities = {job: context.identity for job, context in contexts.items()}
    for group in by_connection.values():
        yield from admit(group, contexts[group[0].job].policy, identities, failed)
