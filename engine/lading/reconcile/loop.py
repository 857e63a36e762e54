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
from lading.errors import EnvironmentProblem, LadingError
from lading.reconcile import collected
from lading.reconcile.deliver import Delivery
from lading.reconcile.perform import perform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from lading.reconcile.context import JobContext, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the loop may wait.

    Without `wait` it does only what can be done now; `until` is the last moment that it waits for.
    """

    wait: bool = True
    until: datetime | None = None


def settle_all(contexts: Mapping[str, JobContext], world: World, patience: Patience) -> dict[str, LadingError]:
    """Bring every open batch of these jobs as far as it can go.

    Returns when all are at rest, or when the next thing is due later than the patience lasts; with the jobs that had to
    stop because our own disk, a sink or the connection's account failed them. Their batches are where they were.
    """
    live = {one.id: one for job in contexts for one in world.memory.open_batches(job)}
    failed: dict[str, LadingError] = {}
    while True:
        waits: list[datetime] = []
        moved = False
        for batch in _admitted(live.values(), contexts):
            context = contexts[batch.job]
            if batch.job in failed:
                continue
            match decide(batch, context.policy, world.clock.now()):
                case Rest():
                    continue
                case Wait(until=until):
                    waits.append(until)
                case step:
                    try:
                        _check_account(batch, context)
                        _keep(live, tick(step, batch, context, world), world)
                    except LadingError as error:
                        failed[batch.job] = error
                    moved = True
        if moved:
            continue
        if not waits or not patience.wait:
            return failed
        until = min(waits)
        if patience.until is not None and until > patience.until:
            return failed
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


def _check_account(batch: Batch, context: JobContext) -> None:
    """Raise EnvironmentProblem when the batch belongs to another account than the job's connection names now."""
    if batch.identity != context.identity:
        raise EnvironmentProblem(
            f'batch {batch.id} belongs to another account than connection "{context.job.connection}" names now',
            hint=f"set base_url, credentials and target back and run `lading resume {batch.job}`, "
            f"or give the batch up with `lading cancel {batch.id}`",
        )


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
