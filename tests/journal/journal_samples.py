"""Sample values for the journal tests: runs, batches, events of a whole delivery."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import Allocation, Batch, BatchFile, BatchId, Phase, RunId, Verb, Verdict
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    Collected,
    Committed,
    Delivered,
    Event,
    IntentRecorded,
    NotApplied,
    OutcomeUnknown,
    Parked,
    Reopened,
    ResultsLost,
    StillRunning,
    Stored,
    VendorFinished,
)
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import Run, RunState
from batchsync.ports import BaselineEntry, Reject, SegmentEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batchsync.journal import Journal

NOW = datetime(2026, 11, 22, 2, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ROWS = 10
URL = "https://storage.example/allocation-1?X-Signature=topsecret"
ALLOCATION = Allocation(id="allocation-1", url=URL, expires_at=NOW + timedelta(hours=1))


def make_batch(run: Run, seq: int = 1, **changes: object) -> Batch:
    """Return a newly prepared batch of the run."""
    batch = Batch(
        id=BatchId(f"{run.id}-batch-{seq}"),
        run=run.id,
        job=run.job,
        seq=seq,
        file=BatchFile(
            path=f"/staging/{run.id}-{seq}.gz",
            row_manifest=f"/staging/{run.id}-{seq}.parquet",
            digest=f"{seq:064x}",
            md5="e" * 32,
            size=1234,
            rows=ROWS,
        ),
        phase=Phase.PREPARED,
        prepared_at=NOW,
        account_id=run.account_id,
        target={"service": "Vehicle ID", "a": "b"},
    )
    return replace(batch, **changes)  # type: ignore[arg-type]  # tests use existing fields


def make_run(job: str = "guests", serial: int = 1, batches: int = 1, **changes: object) -> Run:
    """Return a run whose plan fills this number of batches."""
    to_send = batches * ROWS
    run = Run(
        id=RunId(f"{job}-{serial}"),
        job=job,
        serial=serial,
        spec_hash="f" * 64,
        account_id="motorweb:acme",
        state=RunState.PREPARED,
        created_at=NOW,
        counts=PlanCounts(
            source_rows=to_send + 5,
            selected=to_send + 5,
            added=to_send,
            outcomes=OutcomeCounts.of(unchanged=3, invalid=2),
        ),
        plan="p" * 64,
        warnings={"email": 3},
    )
    return replace(run, **changes)  # type: ignore[arg-type]  # tests use existing fields


def start_run(journal: Journal, job: str = "guests", serial: int = 1, batches: int = 1) -> list[Batch]:
    """Store a run and return its batches."""
    run = make_run(job, serial, batches)
    prepared = [make_batch(run, seq) for seq in range(1, batches + 1)]
    journal.start_run(run, prepared, ())
    return prepared


#: Every kind of event that can precede a delivery.
EVENTS: tuple[Event, ...] = (
    IntentRecorded(at=NOW, verb=Verb.ALLOCATE),
    OutcomeUnknown(at=NOW, verb=Verb.ALLOCATE, reason="read timeout", retry_at=LATER),
    NotApplied(at=NOW, verb=Verb.ALLOCATE, reason="no such batch", retry_at=None),
    IntentRecorded(at=NOW, verb=Verb.ALLOCATE),
    Allocated(at=NOW, allocation=ALLOCATION),
    AllocationLost(at=NOW, reason="expired"),
    Allocated(at=NOW, allocation=replace(ALLOCATION, id="allocation-2", expires_at=None)),
    IntentRecorded(at=NOW, verb=Verb.UPLOAD),
    Parked(at=NOW, reason="needs a person: übel ✓", verb=None),
    Reopened(at=NOW, reason="resumed by hand"),
    Stored(at=NOW),
    IntentRecorded(at=NOW, verb=Verb.COMMIT),
    Committed(at=LATER, allocation=Allocation(id="import-2")),
    NotApplied(at=LATER, verb=Verb.POLL, reason="429", retry_at=LATER),
    StillRunning(at=LATER, vendor_status="Validating", retry_at=LATER),
    VendorFinished(at=LATER, verdict=Verdict.MIXED, vendor_status="Completed with errors"),
    Collected(at=LATER, counts=OutcomeCounts.of(accepted=6, rejected=3, unknown=1)),
    ResultsLost(at=LATER, reason="gone from the disk", retry_at=LATER),
    Collected(at=LATER, counts=OutcomeCounts.of(accepted=7, rejected=2, unknown=1)),
)
DELIVERED = Delivered(at=LATER)


def record_all(journal: Journal, batch: Batch, events: Sequence[Event] = EVENTS) -> Batch:
    """Record the events in order and return the resulting batch."""
    for event in events:
        batch = journal.record(batch, event)
    return batch


def make_baseline(batch: Batch, digest: str = "b" * 64) -> BaselineEntry:
    """Return a baseline for the batch's job and account."""
    segment = SegmentEntry(file=f"{digest[:12]}.parquet", digest=digest, rows=77)
    return BaselineEntry(job=batch.job, account_id=batch.account_id, segments=(segment,))


def rejects(count: int, kind: str = "rejected", chunk: int = 1000) -> Iterator[Sequence[Reject]]:
    """Yield `count` rejects in chunks."""
    for start in range(0, count, chunk):
        yield [
            Reject(
                kind=kind,
                key=f"key-{number:07d}",
                reason=f"email {number % 3}: 'a***' is not an address",
                code="E1",
                field="email",
                line=number + 1,
                row=number + 2,
                retry=number % 2 == 0,
            )
            for number in range(start, min(start + chunk, count))
        ]


def run_until_killed(work: Callable[[], None]) -> bool:
    """Run `work` in a forked process; return whether it ended by SIGKILL. Any other failure is an error."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the fork must never return into pytest
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.WEXITSTATUS(status) == 0, "the forked process failed"
    return False


def snapshot(journal: Journal, run: str = "guests-1") -> tuple[object, ...]:
    """Return the content of the journal, for comparisons."""
    batches = journal.batches(run)
    return (
        journal.history(limit=100),
        batches,
        tuple(journal.events(batch.id) for batch in batches),
        tuple(journal.rejects()),
        journal.baseline("guests", "motorweb:acme"),
        journal.watermark("guests", "motorweb:acme", "ab" * 32),
        journal.chain_head(),
        journal.serial,
    )
