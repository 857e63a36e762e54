"""Row logs of successful batches: downloaded if available, an error if unreadable."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from vendor_kit import GUESTS, GUESTS_WITH_INVALID, SITECORE, write_batch_file

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


def allocation_with_false_success(
    vendor: HttpVendor, mocks: batchsync_mocks.Running, folder: Path, text: str
) -> Allocation:
    """Return the allocation of a batch of guests that has vendor status `success` in any case."""
    mocks.switch(SITECORE, false_success=True)
    file = write_batch_file(folder, "batch", text, load_vendor(SITECORE))
    allocation = vendor.allocate(idempotency_key("a-job", file.digest, 1), file, {})
    vendor.upload(allocation, file)
    mocks.advance(900)
    assert vendor.poll(allocation) == Finished(Verdict.PROCESSED, "success")
    return allocation


def test_row_log_is_downloaded_after_success(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE)
    allocation = allocation_with_false_success(vendor, mocks, tmp_path, GUESTS_WITH_INVALID)
    downloads = vendor.collect(allocation, Verdict.PROCESSED, tmp_path / "collected")
    assert downloads.errors is not None
    log = gzip.decompress(downloads.errors.read_bytes())
    assert [json.loads(line)["code"] for line in log.splitlines()] == ["400"]
    assert not downloads.errors_missing


def test_success_without_row_log_has_no_errors(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    vendor = open_vendor(SITECORE)
    allocation = allocation_with_false_success(vendor, mocks, tmp_path, GUESTS)
    assert vendor.collect(allocation, Verdict.PROCESSED, tmp_path / "collected") == Downloads()


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
def test_unreadable_row_log_is_an_error(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path, fault: Fault, failure: type[VendorError]
) -> None:
    vendor = open_vendor(SITECORE)
    allocation = allocation_with_false_success(vendor, mocks, tmp_path, GUESTS_WITH_INVALID)
    mocks.arm(fault)
    with pytest.raises(failure):
        vendor.collect(allocation, Verdict.PROCESSED, tmp_path / "collected")
