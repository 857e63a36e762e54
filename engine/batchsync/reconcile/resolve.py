"""End an unknown outcome on a person's word: the vendor has the rows, or they are to be sent again.

It guesses nothing. What the person said is journaled and stands in the batch's history for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.core.decide import asks_vendor, may_be_there
from lading.core.events import GaveUp, Resolved
from lading.errors import UsageError
from lading.reconcile.accounts import is_ours, undeclared
from lading.reconcile.close import close
from lading.reconcile.deliver import baseline_entry, baseline_of

if TYPE_CHECKING:
    from lading.reconcile.context import JobContext, World

_NOBODY = "nobody can be asked about it: its account is not that of its job any more, or its job is gone"


def resolve(batch: Batch, context: JobContext | None, world: World, *, delivered: bool, reason: str) -> Batch:
    """Record how the unknown rows of a batch ended and return the batch as it is then. Needs the job's lease.

    A stuck batch goes on from there: the loop accounts for its rows. So does one that nobody can ask about any more,
    since it is of another account or its job is declared no more (then without a context; it is brought to its end at
    once). The unknown rows of a delivered batch move in its books and in the baseline, in one transaction.

    Raises:
        UsageError: when nothing about the batch is unknown, or when a person's word brings no answers.
    """
    stuck = batch.phase is Phase.STUCK and batch.books is None
    unknown_rows = batch.phase is Phase.DELIVERED and batch.books is not None and batch.books.unknown
    if not (stuck or unknown_rows or _nobody_to_ask(batch, context)):
        raise _nothing_unknown(batch)
    if delivered:
        _check_answers(batch, context)
    event = Resolved(at=world.clock.now(), delivered=delivered, reason=reason)
    if unknown_rows:
        return _rows_resolved(batch, event, world)
    if not stuck:
        batch = world.memory.record(batch, GaveUp(at=event.at, reason=_NOBODY))
    after = world.memory.record(batch, event)
    return after if context else close(after, world)


def _rows_resolved(batch: Batch, event: Resolved, world: World) -> Batch:
    """Move the unknown rows of a delivered batch, in the baseline of the account that it was for."""
    before, keys = baseline_of(batch.job, batch.identity, world), world.memory.unknown_keys(batch.id)
    after = world.data.resolve(before, keys, world.folders.baselines(batch.job), delivered=event.delivered)
    return world.memory.resolve(batch, event, baseline=baseline_entry(batch, after))


def _nobody_to_ask(batch: Batch, context: JobContext | None) -> bool:
    """Whether the vendor may have the batch, and there is no way to ask it."""
    reachable = context is not None and is_ours(batch, context)
    return not reachable and batch.phase is not Phase.STUCK and may_be_there(batch) and asks_vendor(batch)


def _check_answers(batch: Batch, context: JobContext | None) -> None:
    """Raise UsageError where rows are said to be delivered, and it is answers that are wanted, or may be."""
    if context is None:
        raise undeclared(batch, "whether it was to bring answers is not known, so that it cannot be called delivered")
    if context.job.results is not None:
        follow = f"`lading resume {batch.job}` fetches them if the vendor has them, " if batch.books is None else ""
        raise UsageError(
            f"batch {batch.id} is a lookup: its answers are what it is for, and no word brings them",
            hint=f"{follow}`lading resolve {batch.id} --resend` asks for them anew",
        )


def _nothing_unknown(batch: Batch) -> UsageError:
    hint = "`lading status` shows which batches wait for somebody"
    if batch.phase is not Phase.STUCK and not may_be_there(batch):
        hint = f"nothing of it was sent: `lading cancel {batch.id}` gives it up"
    return UsageError(f"batch {batch.id} is {batch.phase}, and nothing about it is unknown", hint=hint)
