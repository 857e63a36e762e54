"""Give a batch up on a person's word: locally when its file was never sent, at the vendor when it was.

It does not follow the batch to its end; the loop does, and accounts for every row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core import tickets
from lading.core.batch import Batch, Phase, Verb
from lading.core.decide import asks_vendor, may_be_there
from lading.core.events import Reopened, Withdrawn
from lading.core.policy import InDoubt
from lading.errors import EnvironmentProblem, UsageError, VendorFailure
from lading.reconcile.accounts import another_account, in_words, is_ours, undeclared
from lading.reconcile.close import close
from lading.reconcile.perform import is_empty

if TYPE_CHECKING:
    from lading.reconcile.context import JobContext, World

_REASON = "cancelled by hand"


def cancel(batch: Batch, context: JobContext | None, world: World) -> Batch:
    """Cancel the batch and return it as it is then. Needs the job's lease.

    Without a context the job is declared no more: what can be given up here is brought to its end at once. A slot that
    the vendor gave, or may have given, is left only when the vendor says that it is empty.

    Raises:
        UsageError: when the batch can no longer be cancelled.
        EnvironmentProblem: when the vendor does not cancel it, cannot be reached, or does not have it.
    """
    if (context and is_ours(batch, context) and _is_left_empty(batch, context)) or not may_be_there(batch):
        batch = world.memory.record(_reopened(batch, world), Withdrawn(at=world.clock.now(), reason=_REASON))
        return batch if context else close(batch, world)
    if context is None:
        if asks_vendor(batch):
            raise undeclared(batch, "only its vendor could cancel it")
        return close(batch, world)
    if asks_vendor(batch) and not is_ours(batch, context):
        raise another_account(batch, context)
    if (batch.stuck_from or batch.phase) is not Phase.SUBMITTED or batch.slot is None:
        raise _too_late(batch, context)
    try:
        context.vendor.cancel(batch.slot)
    except VendorFailure as failure:
        raise EnvironmentProblem(
            f"the vendor did not cancel batch {batch.id}: {failure.reason}", hint=_further(batch, context)
        ) from None
    return _reopened(batch, world)


def _is_left_empty(batch: Batch, context: JobContext) -> bool:
    """Whether the vendor says that nothing is in the batch's slot, or that it has no slot for it.

    Where this journal knows of no call at all, a vendor that does not answer is no obstacle: False.

    Raises:
        UsageError: when the file is there.
        EnvironmentProblem: when the vendor does not say.
    """
    phase = batch.stuck_from or batch.phase
    by_ticket = phase is Phase.PREPARED and context.policy.allocation_in_doubt is InDoubt.ASK
    if batch.doubt is Verb.UPLOAD or not (by_ticket or phase is Phase.ALLOCATED):
        return False
    try:
        ticket = tickets.ticket(batch.job, batch.file.digest, batch.attempt)
        slot = context.vendor.find(ticket, batch.target) if by_ticket else batch.slot
        empty = slot is None or is_empty(slot, context)
    except VendorFailure as failure:
        if by_ticket and batch.doubt is None:
            return False
        raise EnvironmentProblem(
            f"batch {batch.id} is not cancelled: its vendor does not say whether it has the file: {failure.reason}",
            hint=_further(batch, context),
        ) from None
    if empty:
        return True
    raise UsageError(
        f"batch {batch.id} is {batch.phase}, and its vendor has the file: too late to cancel it here",
        hint=f"`lading resume {batch.job}` goes on with it; then `lading cancel {batch.id}` asks its vendor",
    )


def _too_late(batch: Batch, context: JobContext) -> UsageError:
    doubt = " with an upload in doubt" if batch.doubt else ""
    return UsageError(f"batch {batch.id} is {batch.phase}{doubt}: too late to cancel it", hint=_further(batch, context))


def _further(batch: Batch, context: JobContext) -> str:
    """Return how a batch that cannot be cancelled comes to its end. Only a stuck one ends on a person's word."""
    follows = f"`lading resume {batch.job}` follows it to its end"
    if batch.phase is Phase.STUCK and batch.books is None:
        return f"{follows}; when the vendor says no more of it: {in_words(batch, context)}"
    return follows


def _reopened(batch: Batch, world: World) -> Batch:
    """Let a stuck batch go on, now that its cancelling has succeeded: one that was refused leaves it as it stands."""
    if batch.phase is not Phase.STUCK:
        return batch
    return world.memory.record(batch, Reopened(at=world.clock.now(), reason=_REASON))
