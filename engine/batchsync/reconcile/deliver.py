"""Bring the answers of a collected batch to its sink, and prepare the baseline that the journal will point to.

Doing it twice leaves the same sinks and the same segments. It does not write the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core import events
from lading.ports import Baseline, BaselineEntry, SegmentEntry
from lading.reconcile import collected
from lading.reconcile.accounts import undeclared

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lading.core.batch import Batch
    from lading.ports import Reject
    from lading.reconcile.context import JobContext, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the journal must remember together with the event that a batch was delivered."""

    event: events.Delivered
    baseline: BaselineEntry
    rejects: Iterable[Sequence[Reject]]


def deliver(batch: Batch, context: JobContext | None, world: World) -> Delivery:
    """Deliver the batch's answers and return what the journal must remember in one transaction.

    Without a context the job is declared no more, and there must be no answers.
    """
    verdicts = collected.read(world.folders.collected(batch), batch)
    if verdicts.answers is not None:
        _to_sink(verdicts.answers, verdicts.key, batch, context, world)
    before = baseline_of(batch.job, batch.identity, world)
    after = world.data.advance(before, [verdicts.path], world.folders.baselines(batch.job))
    return Delivery(
        event=events.Delivered(at=world.clock.now()),
        baseline=baseline_entry(batch, after),
        rejects=world.data.rejects(verdicts),
    )


def _to_sink(answers: Path, key: tuple[str, ...], batch: Batch, context: JobContext | None, world: World) -> None:
    """Deliver answers, by the key columns that they came with: the job's may have another name today."""
    if context is None:
        raise undeclared(batch, "where its answers go is not known")
    if context.job.results is not None:
        world.sinks.deliver(answers, context.job.results, key)


def baseline_of(job: str, identity: str, world: World) -> Baseline:
    """Return what an account is known to hold for a job: the one that a batch was for need not be the one of today."""
    entry = world.memory.baseline(job, identity)
    return world.folders.baseline(entry) if entry is not None else Baseline()


def baseline_entry(batch: Batch, baseline: Baseline) -> BaselineEntry:
    """Return how the journal points to the baseline: by the names of the files, which carry their digests."""
    segments = tuple(
        SegmentEntry(file=one.path.name, digest=one.path.name.split(".")[0], rows=one.rows) for one in baseline.segments
    )
    return BaselineEntry(job=batch.job, identity=batch.identity, segments=segments)
