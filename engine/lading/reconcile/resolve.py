"""End an unknown outcome on a person's word: the vendor has the rows, or they are to be sent again.

It guesses nothing. What the person said is journaled and stands in the batch's history for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.core.events import Resolved
from lading.errors import UsageError
from lading.reconcile.deliver import baseline_entry, baseline_of

if TYPE_CHECKING:
    from lading.reconcile.context import JobContext, World


def resolve(batch: Batch, context: JobContext, world: World, *, delivered: bool, reason: str) -> Batch:
    """Record how the unknown rows of a batch ended and return the batch as it is then. Needs the job's lease.

    A stuck batch goes on from there: the loop accounts for its rows. The unknown rows of a delivered batch move in its
    books and in the baseline, in one transaction.

    Raises:
        UsageError: when nothing about the batch is unknown.
    """
    event = Resolved(at=world.clock.now(), delivered=delivered, reason=reason)
    if batch.phase is Phase.STUCK and batch.books is None:
        return world.memory.record(batch, event)
    if batch.phase is not Phase.DELIVERED or batch.books is None or not batch.books.unknown:
        raise UsageError(
            f"batch {batch.id} is {batch.phase}, and nothing about it is unknown",
            hint="`lading status` shows which batches wait for somebody",
        )
    folder = world.folders.baselines(batch.job)
    keys = world.memory.unknown_keys(batch.id)
    after = world.data.resolve(baseline_of(batch.job, batch.identity, world), keys, folder, delivered=delivered)
    return world.memory.resolve(batch, event, baseline=baseline_entry(batch, after))
