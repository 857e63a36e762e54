"""Names of events, as NDJSON and log lines give them, and what an event is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.ports import (
    BatchChanged,
    ClockDiffers,
    CommandStarted,
    GuardTripped,
    JobFinished,
    JobsReloaded,
    JobsReloadFailed,
    LimitReached,
    NeedsAttention,
    OriginChecked,
    PartialRead,
    Progress,
    RunFinished,
    RunStarted,
    TickSkipped,
    VendorCalled,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.ports import RunEvent

#: Name of each kind of event.
EVENT_NAMES: Mapping[type[RunEvent], str] = {
    CommandStarted: "started",
    Progress: "stage",
    PartialRead: "partial_read",
    RunStarted: "run_started",
    GuardTripped: "guard_tripped",
    BatchChanged: "batch_changed",
    NeedsAttention: "needs_attention",
    VendorCalled: "vendor_called",
    ClockDiffers: "clock_differs",
    Waiting: "waiting",
    TickSkipped: "tick_skipped",
    LimitReached: "limit_reached",
    RunFinished: "run_finished",
    JobFinished: "job_finished",
    JobsReloaded: "jobs_reloaded",
    JobsReloadFailed: "jobs_reload_failed",
    OriginChecked: "origin_checked",
}


def subject_of(event: RunEvent) -> tuple[str, str, str]:
    """Return the job, run and batch that an event is about; each is empty if it is about none."""
    match event:
        case BatchChanged(batch=batch) | NeedsAttention(batch=batch):
            return batch.job, batch.run, batch.id
        case VendorCalled():
            return event.job, event.run, event.batch
        case RunStarted() | GuardTripped() | RunFinished():
            return event.job, event.run, ""
        case LimitReached():
            return event.job, "", event.batch
        case Progress() | PartialRead() | ClockDiffers() | TickSkipped() | JobFinished() | JobsReloadFailed():
            return event.job, "", ""
        case CommandStarted() | Waiting() | JobsReloaded() | OriginChecked():
            return "", "", ""
