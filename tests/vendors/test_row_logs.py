"""The row log is asked for after a success, too, and one that is named is not passed over when it cannot be read."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from vendor_kit import GUESTS, GUESTS_ONE_BAD, SITECORE, seal

from batchsync.core.batch import Verdict
from batchsync.core.naming import idempotency_key
from batchsync.errors import AmbiguousOutcomeError, PermanentError, RetryableError, VendorError
from batchsync.ports import Downloads, Finished
from batchsync.spec.vendor_spec import load_vendor
from batchsync_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import batchsync_mocks
    from batchsync.core.batch import Allocation
    from batchsync.vendors.client import HttpVendor

    Open = Callable[..., HttpVendor]


def said_success(vendor: HttpVendor, mocks: batchsync_mocks.Running, folder: Path, text: str) -> Allocation:
    """Return the slot of a batch of guests that the vendor calls a success, whatever became of them."""
    mocks.switch(SITECORE, false_success=True)
    file = seal(folder, "batch", text, load_vendor(SITECORE))
    slot = vendor.allocate(idempotency_key("a-job", file.digest, 1), file, {})
    vendor.upload(slot, file)
    mocks.advance(900)
    assert vendor.poll(slot) == Finished(Verdict.PROCESSED, "success")
    return slot


def test_the_log_behind_a_success_is_brought(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE)
    slot = said_success(vendor, mocks, tmp_path, GUESTS_ONE_BAD)
    downloads = vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected")
    assert downloads.errors is not None
    log = gzip.decompress(downloads.errors.read_bytes())
    assert [json.loads(line)["code"] for line in log.splitlines()] == ["400"]
    assert not downloads.errors_missing


def test_a_success_that_names_no_log_is_a_success(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    vendor = open_vendor(SITECORE)
    slot = said_success(vendor, mocks, tmp_path, GUESTS)
    assert vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected") == Downloads()


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(kind="status", vendor=SITECORE, method="GET", path="_storage", status=403, times=0), PermanentError),
        (Fault(kind="status", vendor=SITECORE, method="GET", path="_storage", status=404), PermanentError),
        (Fault(kind="status", vendor=SITECORE, method="GET", path="_storage", status=503), RetryableError),
        (Fault(kind="cut", vendor=SITECORE, method="GET", path="_storage"), AmbiguousOutcomeError),
        (Fault(kind="status", vendor=SITECORE, method="GET", path="/inspect/", status=404), RetryableError),
        (Fault(kind="rewind", vendor=SITECORE, method="GET", path="/inspect/", seconds=890), RetryableError),
    ],
)
def test_a_log_that_is_named_and_cannot_be_read_is_no_silence(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path, fault: Fault, failure: type[VendorError]
) -> None:
    vendor = open_vendor(SITECORE)
    slot = said_success(vendor, mocks, tmp_path, GUESTS_ONE_BAD)
    mocks.arm(fault)
    with pytest.raises(failure):
        vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected")
