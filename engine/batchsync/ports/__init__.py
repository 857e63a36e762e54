"""Ports: the protocols between the reconcile loop and everything outside, and the values that cross them.

Implementations raise `batchsync.errors.VendorError` for vendor calls and `BatchsyncError` otherwise.
"""

from __future__ import annotations

from batchsync.ports.data import (
    Baseline,
    CompareContext,
    Comparison,
    DataEngine,
    InvalidGroup,
    KeyRef,
    KnownKey,
    PlanPreview,
    Reject,
    RowVerdicts,
    Segment,
    Sink,
)
from batchsync.ports.observer import (
    BatchChanged,
    CommandStarted,
    EventSink,
    GuardTripped,
    JobFinished,
    JobsReloaded,
    JobsReloadFailed,
    NeedsAttention,
    Observer,
    Progress,
    RunEvent,
    RunFinished,
    RunStarted,
    Size,
    Waiting,
)
from batchsync.ports.source import SourceFetcher
from batchsync.ports.state_store import BaselineEntry, SegmentEntry, StateStore
from batchsync.ports.vendor import Clock, Connect, Downloads, Empty, Finished, Running, Status, TargetFacts, Vendor

__all__ = [
    "Baseline",
    "BaselineEntry",
    "BatchChanged",
    "Clock",
    "CommandStarted",
    "CompareContext",
    "Comparison",
    "Connect",
    "DataEngine",
    "Downloads",
    "Empty",
    "EventSink",
    "Finished",
    "GuardTripped",
    "InvalidGroup",
    "JobFinished",
    "JobsReloadFailed",
    "JobsReloaded",
    "KeyRef",
    "KnownKey",
    "NeedsAttention",
    "Observer",
    "PlanPreview",
    "Progress",
    "Reject",
    "RowVerdicts",
    "RunEvent",
    "RunFinished",
    "RunStarted",
    "Running",
    "Segment",
    "SegmentEntry",
    "Sink",
    "Size",
    "SourceFetcher",
    "StateStore",
    "Status",
    "TargetFacts",
    "Vendor",
    "Waiting",
]
