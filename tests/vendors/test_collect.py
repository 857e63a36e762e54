"""Download of results, errors and row logs from the bundled mocks over HTTP."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from delivery import BOTH, Delivery, requests_to, rows_of
from vendor_kit import (
    GUESTS_WITH_INVALID,
    MOTORWEB,
    SITECORE,
    VEHICLES_WITH_INVALID,
    MockedClock,
    ScriptedServer,
    respond_with,
)

import batchsync_mocks
from batchsync.core.batch import Allocation, Verdict
from batchsync.errors import AmbiguousOutcomeError, PermanentError, RetryableError
from batchsync.ports import Downloads
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.connect import connect
from batchsync_mocks import Fault

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from vendor_kit import Script

    from batchsync.vendors.client import HttpVendor

    Open = Callable[..., HttpVendor]


def test_errors_are_requested_whatever_the_counters(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    downloads = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path).collect(mocks)
    assert downloads.results is not None
    assert not downloads.errors_missing
    assert len(requests_to(mocks, "/errors")) == 1


def test_row_log_is_saved_unchanged(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    downloads = Delivery(open_vendor(SITECORE), SITECORE, tmp_path, GUESTS_WITH_INVALID).collect(mocks)
    assert downloads.errors is not None
    log = gzip.decompress(downloads.errors.read_bytes())
    assert [json.loads(line)["code"] for line in log.splitlines()] == ["400"]
    assert not downloads.errors_missing


def test_failed_rows_without_row_log_are_reported(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(SITECORE), SITECORE, tmp_path)
    allocation = delivery.upload()
    delivery.wait_for_verdict(allocation, mocks)
    found = delivery.vendor.collect(allocation, Verdict.MIXED, tmp_path / "collected")
    assert found == Downloads(errors_missing=True)


@BOTH
def test_verdict_without_row_log_downloads_nothing(name: str, open_vendor: Open, tmp_path: Path) -> None:
    vendor = open_vendor(name)
    for verdict in (Verdict.REFUSED, Verdict.CANCELLED, Verdict.EXPIRED, Verdict.LOST):
        assert vendor.collect(Allocation(id="no-such-batch"), verdict, tmp_path) == Downloads()


@BOTH
@pytest.mark.parametrize("status", [400, 403])
def test_expired_download_url_is_located_once_more(
    name: str, status: int, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    rows = VEHICLES_WITH_INVALID if name == MOTORWEB else GUESTS_WITH_INVALID
    delivery = Delivery(open_vendor(name), name, tmp_path, rows)
    allocation = delivery.upload()
    verdict = delivery.wait_for_verdict(allocation, mocks)
    mocks.arm(Fault(kind="status", vendor=name, method="GET", path="_storage", status=status))
    if status == 400:
        # A 400 without an error code does not prove an expired URL: no second attempt.
        with pytest.raises(PermanentError):
            delivery.vendor.collect(allocation, verdict, tmp_path / "collected")
    else:
        assert delivery.vendor.collect(allocation, verdict, tmp_path / "collected").errors is not None
        mocks.arm(Fault(kind="status", vendor=name, method="GET", path="_storage", status=403, times=0))
        with pytest.raises(PermanentError):
            delivery.vendor.collect(allocation, verdict, tmp_path / "again")


@BOTH
def test_broken_download_can_be_repeated(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    rows = VEHICLES_WITH_INVALID if name == MOTORWEB else GUESTS_WITH_INVALID
    delivery = Delivery(open_vendor(name), name, tmp_path, rows)
    allocation = delivery.upload()
    verdict = delivery.wait_for_verdict(allocation, mocks)
    mocks.arm(Fault(kind="cut", vendor=name, method="GET", path="_storage"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.vendor.collect(allocation, verdict, tmp_path / "collected")
    broken = [path.name for path in (tmp_path / "collected").iterdir()]
    downloads = delivery.vendor.collect(allocation, verdict, tmp_path / "collected")
    assert downloads.errors is not None
    assert not [item for item in broken if item.endswith(".part")]


@pytest.mark.parametrize(("status_by", "wait"), [("batch", timedelta(minutes=1)), ("reports", None)])
def test_results_not_ready_are_retryable(
    open_vendor: Open, tmp_path: Path, status_by: str, wait: timedelta | None
) -> None:
    """A report without a URL says "not ready" beside a verdict, and "older than the verdict" beside another status."""
    delivery = Delivery(open_vendor(MOTORWEB, settings={"status_by": status_by}), MOTORWEB, tmp_path)
    allocation = delivery.upload()
    with pytest.raises(RetryableError) as raised:
        delivery.vendor.collect(allocation, Verdict.PROCESSED, tmp_path / "collected")
    assert raised.value.retry_at == (None if wait is None else MockedClock().now() + wait)


@pytest.mark.parametrize(("counted", "waits"), [(0, False), (1, True), (None, True)])
def test_results_are_not_awaited_when_count_is_zero(
    counted: int | None, scripted: Callable[[Script], ScriptedServer], tmp_path: Path, *, waits: bool
) -> None:
    documents = {
        b"/token": {"access_token": "a-token", "expires_in": 3599},
        b"/reports": {"status": "COMPLETED", "url": None},
        b"/errors": {"batchItemsErrors": []},
        b"/batches/": {"status": "COMPLETED", "rowsProcessed": counted, "validationErrors": 2, "processingErrors": 0},
    }

    def script(connection: socket.socket, head: bytes) -> None:
        document = next(item for part, item in documents.items() if part in head.split(b" ")[1])
        respond_with("200 OK", json.dumps(document).encode())(connection, head)

    vendor = connect(
        load_vendor(MOTORWEB),
        base_url=scripted(script).url,
        credentials={"client_id": "a", "client_secret": "b"},
        ca_bundle=None,
        clock=MockedClock(),
        user_agent="batchsync tests",
    )
    if waits:
        with pytest.raises(RetryableError, match="results cannot be downloaded yet"):
            vendor.collect(Allocation(id="a-batch"), Verdict.PROCESSED, tmp_path)
    else:
        downloads = vendor.collect(Allocation(id="a-batch"), Verdict.PROCESSED, tmp_path)
        assert (downloads.results, downloads.errors) == (None, tmp_path / "errors.json")


def test_refused_json_errors_are_requested_as_csv(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path, VEHICLES_WITH_INVALID)
    allocation = delivery.upload()
    verdict = delivery.wait_for_verdict(allocation, mocks)
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/errors$", status=400))
    downloads = delivery.vendor.collect(allocation, verdict, tmp_path / "collected")
    assert downloads.errors is not None
    assert downloads.errors.name == "errors.csv"
    assert [row["errorType"] for row in rows_of(downloads.errors)] == ["VALIDATION_ERROR"]
