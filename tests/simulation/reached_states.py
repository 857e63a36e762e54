"""The hard states that a seed came through, by name. Over many seeds each must have been reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase, Verb
from lading.core.events import SlotLost, Uploaded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lading.reconcile.sync import JobOutcome
    from simulation.deployment import Sources
    from simulation.oracle import Slot


def of_the_world(batches: Sequence[Batch], slots: Mapping[str, Slot]) -> Iterator[str]:
    """Yield in which states a process finds its batches when it starts."""
    for batch in batches:
        slot = slots.get(batch.slot.id.lower()) if batch.slot else None
        if batch.phase is Phase.ALLOCATED and batch.doubt is Verb.UPLOAD:
            arrived = slot is not None and slot.uploads
            yield (
                "resumed after the upload, before it was recorded"
                if arrived
                else "resumed in doubt about an upload that did not arrive"
            )
        elif batch.phase is Phase.ALLOCATED:
            yield "resumed with a slot and without its URL"
        elif batch.phase is Phase.PREPARED and batch.doubt is Verb.ALLOCATE:
            yield "resumed in doubt about an allocation"
        elif batch.phase is Phase.SUBMITTED and batch.job == "guests":
            yield "resumed a submitted batch"
        elif batch.phase in (Phase.SETTLED, Phase.COLLECTED, Phase.STUCK, Phase.PREPARED):
            yield f"resumed a batch that is {batch.phase}"


def of_runs(outcome: JobOutcome) -> Iterator[str]:
    """Yield what the runs of a job came through."""
    for run in outcome.runs:
        tally = run.run.tally
        if tally.unsealed:
            yield "a run was cut short"
        if tally.held:
            yield "a newer version waits for an older one in flight"
        if tally.standing_rejected:
            yield "a refused row was not sent again"
        if tally.standing_unknown:
            yield "an unknown row was not sent again"


def of_a_batch(batch: Batch, events: Sequence[object]) -> Iterator[str]:
    """Yield what a batch came through, and how it ended."""
    if any(isinstance(one, SlotLost) for one in events):
        yield "a slot was lost"
    if any(isinstance(one, Uploaded) and one.slot for one in events):
        yield "a file was found in a slot that nobody knew to be filled"
    if batch.verdict:
        yield f"verdict {batch.verdict}"


def of_the_story(landed: Collection[str], slots: Mapping[str, Slot], sources: Sources) -> Iterator[str]:
    """Yield what came late, and what became of refused rows."""
    for what in landed:
        yield f"late arrival landed: {' '.join(what.split()[:2])}"
    rejected = {seen for slot in slots.values() for seen, fate in slot.rows if fate == "rejected"}
    if rejected:
        yield "a row was refused by the vendor"
    for (job, _key), rows in sources.history.items():
        if job == "vehicles" and any((one["vin"], "", "") in rejected for one in rows[:-1]):
            yield "a refused row was sent again after it changed"
