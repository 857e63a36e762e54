"""What the reconcile loop asks of the world: one Protocol for each thing outside. It knows no adapter.

Implementations raise the three kinds of `lading.errors.VendorFailure` for vendors, and a `LadingError` elsewhere.
"""

from __future__ import annotations

from lading.ports.memory import BaselineEntry, Memory, SegmentEntry
from lading.ports.rows import (
    Baseline,
    CompareContext,
    Comparison,
    DataPath,
    Excerpt,
    InvalidGroup,
    KnownKey,
    Named,
    Reject,
    RowVerdicts,
    Segment,
    Sink,
)
from lading.ports.vendor import Clock, Connect, Downloads, Empty, Finished, Running, Status, TargetFacts, Vendor
from lading.ports.watcher import Size, Watcher

__all__ = [
    "Baseline",
    "BaselineEntry",
    "Clock",
    "CompareContext",
    "Comparison",
    "Connect",
    "DataPath",
    "Downloads",
    "Empty",
    "Excerpt",
    "Finished",
    "InvalidGroup",
    "KnownKey",
    "Memory",
    "Named",
    "Reject",
    "RowVerdicts",
    "Running",
    "Segment",
    "SegmentEntry",
    "Sink",
    "Size",
    "Status",
    "TargetFacts",
    "Vendor",
    "Watcher",
]
