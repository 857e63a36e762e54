"""Sample values for the tests of the core: a batch in each phase, an event of each kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from batchsync.core.batch import Allocation, Batch, BatchFile, BatchId, Phase, RunId, Verb, Verdict
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    Cancelled,
    Collected,
    CollectedAgain,
    Committed,
    Delivered,
    Event,
    FileMissing,
    IntentRecorded,
    NotApplied,
    OutcomeUnknown,
    Parked,
    Reopened,
    Resolved,
    ResultsLost,
    StillRunning,
    Stored,
    Uploaded,
    VendorFinished,
)
from batchsync.core.row_outcome import OutcomeCounts

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
ROWS = 10
ALLOCATION = Allocation(
    id="allocation-1", url="https://storage.example/allocation-1?signature=secret", expires_at=NOW + timedelta(hours=1)
)


def a_batch(phase: Phase = Phase.PREPARED, **changes: object) -> Batch:
    """Return a batch that is consistent with its phase."""
    after_allocation = phase not in (Phase.PREPARED, Phase.NEEDS_ATTENTION)
    after_upload = after_allocation and phase not in (Phase.ALLOCATED, Phase.UPLOADED)
    batch = Batch(
        id=BatchId("guests-000000000001"),
        run=RunId("guests-1"),
        job="guests",
        seq=1,
        file=BatchFile(path="a.gz", row_manifest="a.parquet", digest="d" * 64, md5="e" * 32, size=100, rows=ROWS),
        phase=phase,
        prepared_at=NOW,
        allocation=ALLOCATION
        if phase is Phase.ALLOCATED
        else (Allocation(id="allocation-1") if after_allocation else None),
        submitted_at=NOW if after_upload else None,
        verdict=Verdict.PROCESSED if phase in (Phase.FINISHED, Phase.COLLECTED, Phase.DELIVERED) else None,
        counts=OutcomeCounts.of(accepted=ROWS - 1, unknown=1) if phase in (Phase.COLLECTED, Phase.DELIVERED) else None,
        parked_from=Phase.PREPARED if phase is Phase.NEEDS_ATTENTION else None,
    )
    return replace(batch, **changes)  # type: ignore[arg-type]  # the tests name real members


def events_for(phase: Phase) -> dict[type[Event], Event]:
    """Return an event of each kind, with the verb whose intent is recorded in the phase."""
    verb = {Phase.ALLOCATED: Verb.UPLOAD, Phase.UPLOADED: Verb.COMMIT}.get(phase, Verb.ALLOCATE)
    samples: tuple[Event, ...] = (
        IntentRecorded(at=NOW, verb=verb),
        Allocated(at=NOW, allocation=ALLOCATION),
        Uploaded(at=NOW, allocation=ALLOCATION if phase is Phase.PREPARED else None),
        Stored(at=NOW),
        Committed(at=NOW, allocation=Allocation(id="import-1")),
        StillRunning(at=NOW, vendor_status="Running", retry_at=LATER),
        FileMissing(at=NOW, reason="still empty"),
        VendorFinished(at=NOW, verdict=Verdict.MIXED, vendor_status="Completed"),
        Collected(at=NOW, counts=OutcomeCounts.of(accepted=7, rejected=2, unknown=1)),
        ResultsLost(at=NOW, reason="the folder is gone", retry_at=LATER),
        Delivered(at=NOW),
        NotApplied(at=NOW, verb=verb, reason="429", retry_at=LATER),
        OutcomeUnknown(at=NOW, verb=verb, reason="read timeout", retry_at=LATER),
        AllocationLost(at=NOW, reason="expired"),
        Cancelled(at=NOW, reason="cancelled manually"),
        Parked(at=NOW, reason="refused"),
        Reopened(at=NOW, reason="resumed manually"),
        Resolved(at=NOW, delivered=True, reason="asked by telephone"),
        CollectedAgain(
            at=NOW,
            counts=OutcomeCounts.of(accepted=ROWS - 1, rejected=1),
            verdict=Verdict.MIXED,
            vendor_status="error",
        ),
    )
    return {type(sample): sample for sample in samples}
