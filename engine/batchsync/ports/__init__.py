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
from batchsync.ports.observer import Observer, Size
from batchsync.ports.state_store import BaselineEntry, SegmentEntry, StateStore
from batchsync.ports.vendor import Clock, Connect, Downloads, Empty, Finished, Running, Status, TargetFacts, Vendor

__all__ = [
    "Baseline",
    "BaselineEntry",
    "Clock",
    "CompareContext",
    "Comparison",
    "Connect",
    "DataEngine",
    "Downloads",
    "Empty",
    "Finished",
    "InvalidGroup",
    "KeyRef",
    "KnownKey",
    "Observer",
    "PlanPreview",
    "Reject",
    "RowVerdicts",
    "Running",
    "Segment",
    "SegmentEntry",
    "Sink",
    "Size",
    "StateStore",
    "Status",
    "TargetFacts",
    "Vendor",
]
