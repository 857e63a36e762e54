"""The vendors' side of the story: mocks of asynchronous file-batch vendors over real HTTP.

They know nothing of lading and are usable without it:

    with lading_mocks.serve(["motorweb-bdp"]) as mock:
        ...  # talk to mock.url with mock.credentials("motorweb-bdp")
        mock.advance(900)
        print(mock.ledger("motorweb-bdp"))
"""

from __future__ import annotations

from lading_mocks.clock import Clock
from lading_mocks.faults import Fault
from lading_mocks.serving import VENDORS, Running, serve

__all__ = ["VENDORS", "Clock", "Fault", "Running", "serve"]
