"""Mocks of asynchronous file-batch vendors, served over real HTTP.

They are usable without batchsync:

with batchsync_mocks.serve(["motorweb-bdp"], profile="flaky", seed=7) as mock:
    ...  # send requests to mock.url with mock.credentials("motorweb-bdp")
    mock.advance(900)
    print(mock.ledger("motorweb-bdp"))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchsync_mocks.clock import Clock
    from batchsync_mocks.faults import Fault
    from batchsync_mocks.generic.switches import GenericSwitches
    from batchsync_mocks.ledger_check import assert_matches_ledger
    from batchsync_mocks.motorweb.switches import MotorwebSwitches
    from batchsync_mocks.running import Running, VendorMock
    from batchsync_mocks.serving import VENDORS, serve
    from batchsync_mocks.sitecore.switches import SitecoreSwitches

_MODULES = {
    "VENDORS": "serving",
    "Clock": "clock",
    "Fault": "faults",
    "GenericSwitches": "generic.switches",
    "MotorwebSwitches": "motorweb.switches",
    "Running": "running",
    "SitecoreSwitches": "sitecore.switches",
    "VendorMock": "running",
    "assert_matches_ledger": "ledger_check",
    "serve": "serving",
}
__all__ = [
    "VENDORS",
    "Clock",
    "Fault",
    "GenericSwitches",
    "MotorwebSwitches",
    "Running",
    "SitecoreSwitches",
    "VendorMock",
    "assert_matches_ledger",
    "serve",
]


def __getattr__(name: str) -> Any:
    """Return a public name, imported on first access, so that loading the pytest plugin stays fast.

    Raises:
        AttributeError: If there is no such name.
    """
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
