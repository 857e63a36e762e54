"""Ports: the protocols between the reconcile loop and everything outside, and the values that cross them.

Implementations raise `batchsync.errors.VendorError` for vendor calls and `BatchsyncError` otherwise.
"""

from __future__ import annotations

from batchsync.ports.data import (
    BaselineEntry,
    CompareContext,
    Comparison,
    DataEngine,
    InvalidGroup,
    KeyRef,
    KnownKey,
    PlanPreview,
    Reject,
    RowVerdicts,
    SegmentEntry,
    Sink,
)
from batchsync.ports.object_store import ObjectConflictError, ObjectFolder, ObjectInfo, ObjectStore, check_key
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
from batchsync.ports.state_store import StateStore
from batchsync.ports.vendor import Clock, Connect, Downloads, Empty, Finished, Running, Status, TargetFacts, Vendor

__all__ = [
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
    "ObjectConflictError",
    "ObjectFolder",
    "ObjectInfo",
    "ObjectStore",
    "Observer",
    "PlanPreview",
    "Progress",
    "Reject",
    "RowVerdicts",
    "RunEvent",
    "RunFinished",
    "RunStarted",
    "Running",
    "SegmentEntry",
    "Sink",
    "Size",
    "SourceFetcher",
    "StateStore",
    "Status",
    "TargetFacts",
    "Vendor",
    "Waiting",
    "check_key",
]
