"""Give a batch up on a person's word: locally when its file was never sent, at the vendor when it was.

It does not follow the batch to its end; the loop does, and accounts for every row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase, Verb
from lading.core.events import Reopened, Withdrawn
from lading.errors import EnvironmentProblem, UsageError, VendorFailure

if TYPE_CHECKING:
    from lading.reconcile.context import JobContext, World

_REASON = "cancelled by hand"


def cancel(batch: Batch, context: JobContext, world: World) -> Batch:
    """Cancel the batch and return it as it is then. Needs the job's lease.

    Raises:
        UsageError: when the batch can no longer be cancelled.
        EnvironmentProblem: when the vendor does not cancel it, or cannot be reached.
    """
    stands = batch.stuck_from or batch.phase
    if stands in (Phase.PREPARED, Phase.ALLOCATED) and batch.doubt is not Verb.UPLOAD:
        return world.memory.record(_reopened(batch, world), Withdrawn(at=world.clock.now(), reason=_REASON))
    if stands is Phase.SUBMITTED and batch.slot is not None:
        try:
            context.vendor.cancel(batch.slot)
        except VendorFailure as failure:
            raise EnvironmentProblem(
                f"the vendor did not cancel batch {batch.id}: {failure.reason}",
                hint=f"`lading resume {batch.job}` follows it to its end",
            ) from None
        return _reopened(batch, world)
    raise UsageError(
        f"batch {batch.id} is {batch.phase}{' with an upload in doubt' if batch.doubt else ''}: too late to cancel it",
        hint=f"`lading resume {batch.job}` follows it to its end",
    )


def _reopened(batch: Batch, world: World) -> Batch:
    """Let a stuck batch go on, now that its cancelling has succeeded: one that was refused leaves it as it stands."""
    if batch.phase is not Phase.STUCK:
        return batch
    return world.memory.record(batch, Reopened(at=world.clock.now(), reason=_REASON))
