"""The vendors' side of the story: mocks of asynchronous file-batch vendors over real HTTP.

They know nothing of lading and are usable without it:

    with lading_mocks.serve(["motorweb-bdp"], profile="flaky", seed=7) as mock:
        ...  # talk to mock.url with mock.credentials("motorweb-bdp")
        mock.advance(900)
        print(mock.ledger("motorweb-bdp"))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lading_mocks.books import assert_books_balance
    from lading_mocks.clock import Clock
    from lading_mocks.faults import Fault
    from lading_mocks.motorweb.switches import MotorwebSwitches
    from lading_mocks.running import Running, VendorMock
    from lading_mocks.serving import VENDORS, serve
    from lading_mocks.sitecore.switches import SitecoreSwitches

_HOMES = {
    "VENDORS": "serving",
    "Clock": "clock",
    "Fault": "faults",
    "MotorwebSwitches": "motorweb.switches",
    "Running": "running",
    "SitecoreSwitches": "sitecore.switches",
    "VendorMock": "running",
    "assert_books_balance": "books",
    "serve": "serving",
}
__all__ = [
    "VENDORS",
    "Clock",
    "Fault",
    "MotorwebSwitches",
    "Running",
    "SitecoreSwitches",
    "VendorMock",
    "assert_books_balance",
    "serve",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that the pytest plugin costs nothing to who does not use it."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
