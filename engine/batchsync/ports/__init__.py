"""Ports: the protocols between the reconcile loop and everything outside, and the values that cross them.

Implementations raise `batchsync.errors.VendorError` for vendor calls and `BatchsyncError` otherwise. Public names are
imported lazily, so that a command creates only the classes that it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchsync.ports.data import (
        BaselineEntry,
        CompareContext,
        Comparison,
        DataEngine,
        KnownKey,
        Reject,
        RowVerdicts,
        SegmentEntry,
        Suppression,
    )
    from batchsync.ports.erasure import Erasure, Expired
    from batchsync.ports.executor import ExecutorSettings, OpenExecutor
    from batchsync.ports.inspection import (
        InvalidGroup,
        KeyRef,
        ManifestRow,
        PlanPreview,
        PlanRecords,
        Sample,
        SampledRecord,
        ShownRecord,
        Violation,
    )
    from batchsync.ports.network import Network, Proxy, StorageMemory
    from batchsync.ports.object_store import (
        ObjectConflictError,
        ObjectFolder,
        ObjectInfo,
        ObjectStore,
        check_key,
        is_damaged,
    )
    from batchsync.ports.observer import (
        BatchChanged,
        ClockDiffers,
        CommandStarted,
        EventSink,
        GuardTripped,
        JobFinished,
        JobsReloaded,
        JobsReloadFailed,
        LimitReached,
        NeedsAttention,
        Observer,
        OriginChecked,
        PartialRead,
        Progress,
        RunEvent,
        RunFinished,
        RunStarted,
        Size,
        TickSkipped,
        VendorCalled,
        Waiting,
    )
    from batchsync.ports.plan_rows import MovedKeys, PinnedRows, PlanRows
    from batchsync.ports.sink import Sink
    from batchsync.ports.source import (
        AccessOf,
        FetchSource,
        Logins,
        SourceFetcher,
        StorageAccess,
    )
    from batchsync.ports.state_store import StateStore
    from batchsync.ports.suppression import SuppressionLists
    from batchsync.ports.vendor import (
        Clock,
        Connect,
        Downloads,
        Empty,
        Finished,
        InputTemplate,
        ObservableVendor,
        Running,
        Status,
        TargetFacts,
        TargetOption,
        Vendor,
        VendorCatalog,
    )

__all__ = [
    "AccessOf",
    "BaselineEntry",
    "BatchChanged",
    "Clock",
    "ClockDiffers",
    "CommandStarted",
    "CompareContext",
    "Comparison",
    "Connect",
    "DataEngine",
    "Downloads",
    "Empty",
    "Erasure",
    "EventSink",
    "ExecutorSettings",
    "Expired",
    "FetchSource",
    "Finished",
    "GuardTripped",
    "InputTemplate",
    "InvalidGroup",
    "JobFinished",
    "JobsReloadFailed",
    "JobsReloaded",
    "KeyRef",
    "KnownKey",
    "LimitReached",
    "Logins",
    "ManifestRow",
    "MovedKeys",
    "NeedsAttention",
    "Network",
    "ObjectConflictError",
    "ObjectFolder",
    "ObjectInfo",
    "ObjectStore",
    "ObservableVendor",
    "Observer",
    "OpenExecutor",
    "OriginChecked",
    "PartialRead",
    "PinnedRows",
    "PlanPreview",
    "PlanRecords",
    "PlanRows",
    "Progress",
    "Proxy",
    "Reject",
    "RowVerdicts",
    "RunEvent",
    "RunFinished",
    "RunStarted",
    "Running",
    "Sample",
    "SampledRecord",
    "SegmentEntry",
    "ShownRecord",
    "Sink",
    "Size",
    "SourceFetcher",
    "StateStore",
    "Status",
    "StorageAccess",
    "StorageMemory",
    "Suppression",
    "SuppressionLists",
    "TargetFacts",
    "TargetOption",
    "TickSkipped",
    "Vendor",
    "VendorCalled",
    "VendorCatalog",
    "Violation",
    "Waiting",
    "check_key",
    "is_damaged",
]

_MODULES = {
    "data": {
        "BaselineEntry",
        "CompareContext",
        "Comparison",
        "DataEngine",
        "KnownKey",
        "Reject",
        "RowVerdicts",
        "SegmentEntry",
        "Suppression",
    },
    "inspection": {
        "InvalidGroup",
        "KeyRef",
        "ManifestRow",
        "PlanPreview",
        "PlanRecords",
        "Sample",
        "SampledRecord",
        "ShownRecord",
        "Violation",
    },
    "network": {"Network", "Proxy", "StorageMemory"},
    "erasure": {"Erasure", "Expired"},
    "executor": {"ExecutorSettings", "OpenExecutor"},
    "object_store": {"ObjectConflictError", "ObjectFolder", "ObjectInfo", "ObjectStore", "check_key", "is_damaged"},
    "observer": {
        "BatchChanged",
        "ClockDiffers",
        "CommandStarted",
        "EventSink",
        "GuardTripped",
        "JobFinished",
        "JobsReloadFailed",
        "JobsReloaded",
        "LimitReached",
        "NeedsAttention",
        "Observer",
        "OriginChecked",
        "PartialRead",
        "Progress",
        "RunEvent",
        "RunFinished",
        "RunStarted",
        "Size",
        "TickSkipped",
        "VendorCalled",
        "Waiting",
    },
    "plan_rows": {"MovedKeys", "PinnedRows", "PlanRows"},
    "sink": {"Sink"},
    "source": {"AccessOf", "FetchSource", "Logins", "SourceFetcher", "StorageAccess"},
    "state_store": {"StateStore"},
    "suppression": {"SuppressionLists"},
    "vendor": {
        "Clock",
        "Connect",
        "Downloads",
        "Empty",
        "Finished",
        "InputTemplate",
        "ObservableVendor",
        "Running",
        "Status",
        "TargetFacts",
        "TargetOption",
        "Vendor",
        "VendorCatalog",
    },
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Return a public name of this package, importing its module on first use.

    Raises:
        AttributeError: If the package has no such name.
    """
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
