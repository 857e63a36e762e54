"""Names of the states that are hard to reach; over many seeds each must have been reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase, Verb
from batchsync.core.events import AllocationLost, Uploaded
from batchsync.core.row_outcome import RowOutcome
from batchsync.journal import Journal
from simulation.deployment import logical

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from batchsync.reconcile.sync import JobOutcome
    from simulation.deployment import Sources
    from simulation.oracle import VendorBatch


def of_journal(state: Path, sources: Sources) -> Iterator[str]:
    """Yield whether a run in the journal is still being prepared."""
    if not (state / "journal.db").exists():
        return
    with Journal.open(state) as journal:
        if any(journal.preparing_runs(name) for name in sources.journal_names):
            yield "resumed a run that was being prepared"


def at_start(batches: Sequence[Batch], at_vendors: Mapping[str, VendorBatch]) -> Iterator[str]:
    """Yield the states of the batches that a starting process finds."""
    for batch in batches:
        at_vendor = at_vendors.get(batch.allocation.id.lower()) if batch.allocation else None
        if batch.phase is Phase.ALLOCATED and batch.pending_intent is Verb.UPLOAD:
            arrived = at_vendor is not None and at_vendor.uploads
            yield (
                "resumed after an upload that was not journaled"
                if arrived
                else "resumed in doubt about an upload that did not arrive"
            )
        elif batch.phase is Phase.ALLOCATED:
            yield "resumed with an allocation without its URL"
        elif batch.phase is Phase.PREPARED and batch.pending_intent is Verb.ALLOCATE:
            yield "resumed in doubt about an allocation"
        elif batch.phase is Phase.SUBMITTED and logical(batch.job) == "guests":
            yield "resumed a submitted batch"
        elif batch.phase in (Phase.FINISHED, Phase.COLLECTED, Phase.NEEDS_ATTENTION, Phase.PREPARED):
            yield f"resumed a batch in phase {batch.phase}"


def of_runs(outcome: JobOutcome) -> Iterator[str]:
    """Yield the states of the runs of a job."""
    for run in outcome.runs:
        counts = run.run.counts
        if counts.unstaged:
            yield "a preparation was aborted"
        if counts.outcomes[RowOutcome.DEFERRED]:
            yield "a newer version of a row was deferred behind an older version in flight"
        if counts.outcomes[RowOutcome.REJECTED]:
            yield "a rejected row was not sent again"
        if counts.outcomes[RowOutcome.UNKNOWN]:
            yield "an unknown row was not sent again"


def of_batch(batch: Batch, events: Sequence[object]) -> Iterator[str]:
    """Yield the states that a batch went through, and its verdict."""
    if any(isinstance(event, AllocationLost) for event in events):
        yield "an allocation was lost"
    if any(isinstance(event, Uploaded) and event.allocation for event in events):
        yield "a file was found in an allocation that counted as empty"
    if batch.verdict:
        yield f"verdict {batch.verdict}"


def at_end(arrived: Collection[str], at_vendors: Mapping[str, VendorBatch], sources: Sources) -> Iterator[str]:
    """Yield the late requests that arrived, and the outcomes of rejected rows."""
    for name in arrived:
        yield f"late request arrived: {' '.join(name.split()[:2])}"
    rejected = {
        version for batch in at_vendors.values() for version, row_outcome in batch.rows if row_outcome == "rejected"
    }
    if rejected:
        yield "a row was rejected by the vendor"
    for (job, _key), rows in sources.history.items():
        if job == "vehicles" and any((row["vin"], "", "") in rejected for row in rows[:-1]):
            yield "a rejected row was sent again after a change"
