"""Do one step and say what happened: a step goes in, an event comes out.

The only file that asks a vendor for anything about a batch. It does not choose the step and remembers nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core import decide, events, steps, tickets
from lading.core.batch import VERDICTS_WITH_ROW_LOG, Batch, BatchFile, Slot, Verb, Verdict
from lading.errors import DidNotHappen, EnvironmentProblem, Permanent, SlotGone, StateError, Unclear
from lading.ports import Downloads, Empty, Finished
from lading.reconcile import collected
from lading.reconcile.deliver import Delivery, deliver

if TYPE_CHECKING:
    from datetime import datetime

    from lading.reconcile.context import JobContext, World

_CHUNK = 1 << 20
_NO_URL = "the vendor knows the slot and gives no URL for it"
_UNSENT = "its rows were not sent; restore the state folder, or `lading cancel` the batch and sync again"


def perform(step: steps.Step, batch: Batch, context: JobContext, world: World) -> events.Event | Delivery:
    """Do the step for this batch and return what happened.

    Raises:
        LadingError: when our own disk or a sink fails; nothing is known to have changed and the step can be repeated.
    """
    # Only a step that puts a verb to the vendor can be refused by it, so that each of these has one.
    try:
        return _ask(step, batch, context, world)
    except DidNotHappen as refusal:
        return _did_not_happen(refusal, steps.VERB_OF[type(step)], batch, context, world)
    except Unclear as silence:
        now = world.clock.now()
        when = decide.look_again(batch, context.policy, now, silence.retry_at)
        verb = steps.VERB_OF[type(step)]
        return events.Unanswered(at=now, verb=verb, reason=silence.reason, look_again_at=when)
    except SlotGone as gone:
        # The URL is of no use any more. What an earlier request with it did, only the slot's status tells.
        now, verb = world.clock.now(), steps.VERB_OF[type(step)]
        when = decide.look_again(batch, context.policy, now)
        return events.Unanswered(at=now, verb=verb, reason=gone.reason, look_again_at=when, expired=True)
    except Permanent as refusal:
        return events.GaveUp(at=world.clock.now(), reason=refusal.reason, verb=steps.VERB_OF[type(step)])
    except collected.AnswersGoneError as gone:
        now = world.clock.now()
        return events.AnswersLost(at=now, reason=str(gone), look_again_at=decide.look_again(batch, context.policy, now))


def _ask(step: steps.Step, batch: Batch, context: JobContext, world: World) -> events.Event | Delivery:  # noqa: C901, PLR0911, PLR0912 - one arm for each step
    """Do the step; vendor failures are the caller's."""
    clock, vendor = world.clock, context.vendor
    ticket = tickets.ticket(batch.job, batch.file.digest, batch.attempt)
    match step:
        case steps.Allocate():
            slot = vendor.allocate(ticket, batch.file, batch.target)
            return events.Allocated(at=clock.now(), slot=slot)
        case steps.FindSlot():
            found = vendor.find(ticket, batch.target)
            if found is None:
                return _not_there(Verb.ALLOCATE, "the vendor knows no such batch", clock.now())
            return _look_into(found, _NO_URL, context, world, verb=Verb.ALLOCATE)
        case steps.RenewSlot():
            found = vendor.find(ticket, batch.target)
            if found is None:
                raise Unclear("the vendor does not know a slot that it gave, so that nothing is known of what is in it")
            return _look_into(found, _NO_URL, context, world)
        case steps.DropSlot(reason=reason, verb=verb):
            if batch.slot is None:
                return events.SlotLost(at=clock.now(), reason=reason, verb=verb)
            return _look_into(replace(batch.slot, url=None), reason, context, world, verb=verb)
        case steps.Upload():
            vendor.upload(_slot(batch), batch.file)
            return events.Uploaded(at=clock.now())
        case steps.FindFile():
            return _find_file(batch, context, world)
        case steps.Poll():
            return _poll(batch, context, world)
        case steps.Collect():
            return collect(batch, context, world)
        case steps.Deliver():
            return deliver(batch, context, world)
        case steps.GiveUp(reason=reason):
            return events.GaveUp(at=clock.now(), reason=reason)
        case _:
            message = f"{type(step).__name__} is not to be performed"
            raise AssertionError(message)


def make_sure(step: steps.Step, batch: Batch, world: World) -> None:
    """Look at our own disk before a step is announced: what cannot be sent or settled from it leaves no doubt behind.

    Raises:
        LadingError: when the batch's file or its evidence is not what was sealed. Nothing was sent.
    """
    if isinstance(step, steps.Upload):
        check_sealed(batch.file)
        try:
            world.data.check_evidence(batch.file)
        except StateError as error:
            raise StateError(error.message, hint=_UNSENT) from None


def check_sealed(file: BatchFile) -> None:
    """Raise EnvironmentProblem unless the file on disk is, byte for byte, the one that was sealed."""
    path = Path(file.path)
    try:
        with path.open("rb") as handle:
            digest = hashlib.sha256()
            while chunk := handle.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise EnvironmentProblem(
            f"the sealed batch file {path} cannot be read: {error.strerror}", hint=_UNSENT
        ) from None
    if digest.hexdigest() != file.digest:
        raise EnvironmentProblem(f"the sealed batch file {path} is not what was sealed", hint=_UNSENT)


def is_empty(slot: Slot, context: JobContext) -> bool:
    """Whether the vendor says that nothing is in a slot. Any status but that means that the file is there.

    Raises:
        Unclear: when the vendor does not know the slot: that says nothing about the file.
    """
    match context.vendor.poll(slot):
        case Empty():
            return True
        case Finished(verdict=Verdict.LOST, word=word):
            raise Unclear(f"the vendor does not know slot {slot.id}, which it gave ({word})")
        case _:
            return False


def _look_into(
    slot: Slot, reason: str, context: JobContext, world: World, *, verb: Verb | None = None
) -> events.Allocated | events.SlotLost | events.Uploaded:
    """Read the status of a slot that this process did not fill, and return what is true of it.

    Args:
        slot: The slot; without its URL it can take no file.
        reason: Why it is left if it is empty and has no URL.
        context: The job, whose vendor is asked.
        world: The clock.
        verb: The verb whose doubt the answer ends, if any.
    """
    empty = is_empty(slot, context)
    now = world.clock.now()
    if not empty:
        return events.Uploaded(at=now, slot=slot)
    if slot.url is None:
        return events.SlotLost(at=now, reason=reason, verb=verb)
    return events.Allocated(at=now, slot=slot)


def _find_file(batch: Batch, context: JobContext, world: World) -> events.Event:
    """Ask whether the upload in doubt arrived: unless the slot is empty, the vendor took the file."""
    if not is_empty(_slot(batch), context):
        return events.Uploaded(at=world.clock.now())
    return _not_there(Verb.UPLOAD, "the slot is empty: the upload did not arrive", world.clock.now())


def _poll(batch: Batch, context: JobContext, world: World) -> events.Event:
    status = context.vendor.poll(_slot(batch))
    now = world.clock.now()
    if isinstance(status, Finished):
        return events.Settled(at=now, verdict=status.verdict, word=status.word)
    when = decide.next_poll(batch, context.policy, now)
    return events.StillRunning(at=now, word=status.word, look_again_at=when)


def collect(batch: Batch, context: JobContext | None, world: World) -> events.Collected:
    """Fetch what the vendor says about the rows, if its verdict comes with a row log, and balance the books.

    Only for that is the context needed.
    """
    folder = collected.fresh(world.folders.collected(batch))
    verdict = batch.verdict or Verdict.LOST
    downloads = Downloads()
    try:
        if context is not None and verdict in VERDICTS_WITH_ROW_LOG:
            downloads = context.vendor.collect(_slot(batch), verdict, folder)
        verdicts = world.data.settle(batch, context.rules if context else None, downloads, folder)
        collected.write(folder, verdicts)
    except BaseException:
        # Tried again, it will be in another folder.
        collected.remove(folder)
        raise
    return events.Collected(at=world.clock.now(), books=verdicts.books)


def _did_not_happen(
    refusal: DidNotHappen, verb: Verb, batch: Batch, context: JobContext, world: World
) -> events.DidNotHappen:
    now = world.clock.now()
    when = decide.look_again(batch, context.policy, now, refusal.retry_at)
    return events.DidNotHappen(at=now, verb=verb, reason=refusal.reason, look_again_at=when)


def _not_there(verb: Verb, reason: str, now: datetime) -> events.DidNotHappen:
    return events.DidNotHappen(at=now, verb=verb, reason=reason)


def _slot(batch: Batch) -> Slot:
    if batch.slot is None:
        message = f"batch {batch.id} is {batch.phase} without a slot"
        raise AssertionError(message)
    return batch.slot
