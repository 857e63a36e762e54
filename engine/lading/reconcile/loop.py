"""Ask what should happen next, do it, remember it, and ask again, until everything is at rest.

The loop decides nothing: `core.decide` does. It does not know vendors, files or SQLite.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.batch import Batch, BatchId, Phase
from lading.core.decide import admit, announces, decide
from lading.core.events import Announced
from lading.core.steps import Rest, Step, Wait
from lading.reconcile import collected
from lading.reconcile.deliver import Delivery
from lading.reconcile.perform import perform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from lading.reconcile.context import JobContext, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the loop may wait. Without `wait` it does what can be done now; `until` is the last moment to wait for."""

    wait: bool = True
    until: datetime | None = None


def settle_all(contexts: Mapping[str, JobContext], world: World, patience: Patience) -> None:
    """Bring every open batch of these jobs as far as it can go.

    Returns when all are at rest, or when the next thing is due later than the patience lasts.
    """
    live = {one.id: one for job in contexts for one in world.memory.open_batches(job)}
    while True:
        waits: list[datetime] = []
        moved = False
        for batch in _admitted(live.values(), contexts):
            context = contexts[batch.job]
            match decide(batch, context.policy, world.clock.now()):
                case Rest():
                    continue
                case Wait(until=until):
                    waits.append(until)
                case step:
                    _keep(live, tick(step, batch, context, world), world)
                    moved = True
        if moved:
            continue
        if not waits or not patience.wait:
            return
        until = min(waits)
        if patience.until is not None and until > patience.until:
            return
        world.watcher.waiting(until)
        world.clock.sleep(until - world.clock.now())


def tick(step: Step, batch: Batch, context: JobContext, world: World) -> Batch:
    """Announce the step if its repetition could hurt, do it, remember what happened, and return the batch after it.

    Nothing interrupts between an answer and its being remembered: the shield delays a signal until both are done.
    """
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


def _admitted(batches: Iterable[Batch], contexts: Mapping[str, JobContext]) -> Sequence[Batch]:
    """Return the batches that may go on, connection by connection."""
    by_connection: dict[str, list[Batch]] = defaultdict(list)
    for one in batches:
        by_connection[contexts[one.job].job.connection].append(one)
    return [one for group in by_connection.values() for one in admit(group, contexts[group[0].job].policy)]


def _keep(live: dict[BatchId, Batch], batch: Batch, world: World) -> None:
    """Hold the batch in memory (a slot's URL is nowhere else), or let it and its files go when it is delivered."""
    if batch.phase is not Phase.DELIVERED:
        live[batch.id] = batch
        return
    del live[batch.id]
    collected.remove(world.folders.collected(batch))
