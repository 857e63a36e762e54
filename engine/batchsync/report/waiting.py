"""Next commands for batches that need attention or have rows of unknown outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.accounting import unresolved
from batchsync.core.batch import Batch, Phase
from batchsync.core.lifecycle import is_stopped_unprocessed
from batchsync.report.text_format import escape_controls, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def attention_steps(batches: Sequence[Batch]) -> Iterator[str]:
    """Yield the next commands for the batches of one job that need attention.

    `resume` is always possible. A batch that never reached the vendor can be cancelled; one that may have reached it
    is resolved manually after asking the vendor.
    """
    parked = [batch for batch in batches if batch.phase is Phase.NEEDS_ATTENTION]
    if not parked:
        return
    again = f"`batchsync resume {escape_controls(parked[0].job)}` when the cause is fixed"
    cancel = next((hint for batch in parked if (hint := _cancel_hint(batch))), "")
    yield f"{again}, or {cancel}" if cancel else again
    if reached := [batch.id for batch in parked if unresolved(batch)]:
        yield f"if that does not help, {resolve_hint(reached)}"


def resolve_hint(batches: Sequence[str]) -> str:
    """Return how to resolve the unknown outcomes of these batches, given by ID."""
    first = escape_controls(batches[0])
    more = f"; then {pluralize(len(batches) - 1, 'more batch', 'more batches')} likewise" if len(batches) > 1 else ""
    return (
        f"ask the vendor about batch {first}, then `batchsync resolve {first} --delivered` if it has the rows "
        f"and no results are expected, else `batchsync resolve {first} --resend`{more}"
    )


def unknown_hint(batches: Sequence[str]) -> str:
    """Return how to learn the unknown outcomes of these delivered batches, given by ID: ask again, then resolve."""
    first = escape_controls(batches[0])
    return f"`batchsync collect {first}` asks the vendor again; if that does not help, {resolve_hint(batches)}"


def _cancel_hint(batch: Batch) -> str:
    """Return how to cancel a batch that needs attention; empty if the vendor may have it, as not every one cancels."""
    return f"`batchsync cancel {batch.id}` to cancel the batch" if is_stopped_unprocessed(batch) else ""
