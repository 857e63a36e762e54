"""What a person should type about batches that wait for them. It does not know what the batches are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.accounting import unresolved
from lading.core.batch import Batch, Phase, Verb
from lading.report.words import noun, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def stuck_steps(batches: Sequence[Batch]) -> Iterator[str]:
    """Yield what to type about the stuck batches of one job; nothing when there are none.

    `resume` always may help. A batch that never reached the vendor can be given up; one that may have reached it ends
    by the word of a person who asked the vendor.
    """
    stuck = [one for one in batches if one.phase is Phase.STUCK]
    if not stuck:
        return
    again = f"`lading resume {visible(stuck[0].job)}` when the reason is gone"
    given_up = next((said for one in stuck if (said := _giving_up(one))), "")
    yield f"{again}, or {given_up}" if given_up else again
    if reached := [one.id for one in stuck if unresolved(one)]:
        yield f"if that does not help, {ask_step(reached)}"


def ask_step(batches: Sequence[str]) -> str:
    """Return how what is unknown of these batches ends."""
    first = visible(batches[0])
    more = f"; then {noun(len(batches) - 1, 'more batch', 'more batches')} in the same way" if len(batches) > 1 else ""
    return (
        f"ask the vendor what became of batch {first}, then `lading resolve {first} --delivered` if it has the rows "
        f"and no answers are awaited, else `lading resolve {first} --resend`{more}"
    )


def _giving_up(batch: Batch) -> str:
    """Return how a stuck batch is given up; nothing when it is too late for that."""
    if batch.stuck_from in (Phase.PREPARED, Phase.ALLOCATED) and batch.doubt is not Verb.UPLOAD:
        return f"`lading cancel {batch.id}` to give the batch up"
    if batch.stuck_from is Phase.SUBMITTED:
        return f"`lading cancel {batch.id}` if the vendor can still give the batch up"
    return ""
