"""The row log is asked for after a success, too, and one that is named is not passed over when it cannot be read."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from vendor_kit import GUESTS, GUESTS_ONE_BAD, SITECORE, seal

from lading.core.batch import Verdict
from lading.core.tickets import ticket
from lading.errors import DidNotHappen, Permanent, Unclear, VendorFailure
from lading.ports import Downloads, Finished
from lading.spec.vendor_spec import load_vendor
from lading_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import lading_mocks
    from lading.core.batch import Slot
    from lading.vendors.client import HttpVendor

    Open = Callable[..., HttpVendor]


def said_success(vendor: HttpVendor, mocks: lading_mocks.Running, folder: Path, text: str) -> Slot:
    """Return the slot of a batch of guests that the vendor calls a success, whatever became of them."""
    mocks.switch(SITECORE, liar=True)
    file = seal(folder, "batch", text, load_vendor(SITECORE))
    slot = vendor.allocate(ticket("a-job", file.digest, 1), file, {})
    vendor.upload(slot, file)
    mocks.advance(900)
    assert vendor.poll(slot) == Finished(Verdict.PROCESSED, "success")
    return slot


def test_the_log_behind_a_success_is_brought(open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE)
    slot = said_success(vendor, mocks, tmp_path, GUESTS_ONE_BAD)
    downloads = vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected")
    assert downloads.errors is not None
    log = gzip.decompress(downloads.errors.read_bytes())
    assert [json.loads(line)["code"] for line in log.splitlines()] == ["400"]
    assert not downloads.errors_missing


def test_a_success_that_names_no_log_is_a_success(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    vendor = open_vendor(SITECORE)
    slot = said_success(vendor, mocks, tmp_path, GUESTS)
    assert vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected") == Downloads()


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(kind="status", vendor=SITECORE, method="GET", path="_storage", status=403, times=0), Permanent),
        (Fault(kind="status", vendor=SITECORE, method="GET", path="_storage", status=404), Permanent),
        (Fault(kind="status", vendor=SITECORE, method="GET", path="_storage", status=503), DidNotHappen),
        (Fault(kind="cut", vendor=SITECORE, method="GET", path="_storage"), Unclear),
        (Fault(kind="status", vendor=SITECORE, method="GET", path="/inspect/", status=404), DidNotHappen),
    ],
)
def test_a_log_that_is_named_and_cannot_be_read_is_no_silence(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path, fault: Fault, failure: type[VendorFailure]
) -> None:
    vendor = open_vendor(SITECORE)
    slot = said_success(vendor, mocks, tmp_path, GUESTS_ONE_BAD)
    mocks.arm(fault)
    with pytest.raises(failure):
        vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected")
