"""End a batch whose job is declared no more, where all its rows ended the same: nobody is asked for anything.

It does not know how the batch came to its verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.errors import StateError
from lading.reconcile import collected
from lading.reconcile.deliver import deliver
from lading.reconcile.perform import collect
from lading.reconcile.sweep import sweep

if TYPE_CHECKING:
    from lading.reconcile.context import World


def close(batch: Batch, world: World) -> Batch:
    """Balance the books, move the baseline, and return the batch as it is delivered. Needs the job's lease.

    Raises:
        UsageError: when there are answers, and so a job is needed to say where they go.
        StateError: when what was collected before is damaged.
    """
    with world.shield():
        if batch.phase is Phase.SETTLED:
            batch = world.memory.record(batch, collect(batch, None, world))
        try:
            delivery = deliver(batch, None, world)
        except collected.AnswersGoneError as gone:
            hint = f'put job "{batch.job}" back into the jobs file and run `lading resume {batch.job}`'
            raise StateError(str(gone), hint=hint) from None
        after = world.memory.deliver(batch, delivery.event, baseline=delivery.baseline, rejects=delivery.rejects)
    sweep(batch.job, world)
    return after
