"""Batches in a few words, and which changes of a batch are worth a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.row_outcome import BATCH_OUTCOMES
from batchsync.report.settlement import phase_name
from batchsync.report.text_format import escape_controls, moment, pluralize, size

if TYPE_CHECKING:
    from batchsync.core.batch import Batch


class ChangeDeduplicator:
    """Filter for batch updates that change nothing but the poll count."""

    def __init__(self) -> None:
        """Create an empty filter."""
        self._last_seen: dict[str, tuple[object, ...]] = {}

    def is_new(self, batch: Batch) -> bool:
        """Return whether anything but the poll count changed."""
        failing = batch.failures, batch.reason if batch.phase is Phase.FINISHED else ""
        now = (batch.phase, batch.pending_intent, batch.vendor_status, batch.verdict, failing, batch.attempt)
        if self._last_seen.get(batch.id) == now:
            return False
        self._last_seen[batch.id] = now
        return True


def describe_batch(batch: Batch) -> str:  # noqa: PLR0911 - a case for each phase
    """Return the state of a batch in a few words."""
    phase_text = phase_name(batch.phase).replace("_", " ")
    if batch.failures and batch.reason and batch.phase is not Phase.NEEDS_ATTENTION:
        when = f", again at {moment(batch.not_before)}" if batch.not_before else ""
        return f"{phase_text}, failure {batch.failures}: {escape_controls(batch.reason)}{when}"
    match batch.phase:
        case Phase.PREPARED if batch.attempt > 1 and batch.reason:
            return f"allocation lost, next attempt {batch.attempt}: {escape_controls(batch.reason)}"
        case Phase.PREPARED:
            return f"prepared, {pluralize(batch.file.rows, 'record')}, {size(batch.file.size)}"
        case Phase.SUBMITTED if batch.vendor_status:
            return f'submitted, vendor status "{escape_controls(batch.vendor_status)}"'
        case Phase.FINISHED if batch.reason:
            again = f", again at {moment(batch.not_before)}" if batch.not_before else ""
            return f"finished, verdict {batch.verdict}: {escape_controls(batch.reason)}{again}"
        case Phase.FINISHED:
            status = f" ({escape_controls(batch.vendor_status)})" if batch.vendor_status else ""
            return f"finished, verdict {batch.verdict}{status}"
        case Phase.COLLECTED | Phase.DELIVERED if batch.counts:
            return ", ".join([phase_text, *(f"{outcome} {batch.counts[outcome]:,}" for outcome in BATCH_OUTCOMES)])
        case Phase.NEEDS_ATTENTION:
            return f"needs attention: {escape_controls(batch.reason)}"
        case _:
            return phase_text
