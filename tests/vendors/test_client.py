"""HTTP client of vendors, tested against the bundled mocks over HTTP."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from delivery import BOTH, TARGETS, Delivery, requests_to, rows_of
from vendor_kit import (
    GUESTS,
    GUESTS_WITH_INVALID,
    MOTORWEB,
    SITECORE,
    VEHICLES_WITH_INVALID,
    MockedClock,
    ScriptedServer,
    respond_with,
    write_batch_file,
)

import batchsync_mocks
from batchsync.core.batch import Allocation, IdempotencyKey, Verdict
from batchsync.core.naming import idempotency_key
from batchsync.errors import AllocationExpiredError, AmbiguousOutcomeError, PermanentError, RetryableError
from batchsync.ports import Downloads, Empty, Finished, Running
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.connect import connect
from batchsync_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vendor_kit import Script

    from batchsync.vendors.client import HttpVendor
    from batchsync_mocks.faults import Kind

    Open = Callable[..., HttpVendor]


def test_lookup_batch_is_delivered_and_collected(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    vendor = open_vendor(MOTORWEB)
    facts = vendor.describe({"service": "Vehicle ID WOVR Batch"})
    assert facts.columns == ("vin", "plate", "state")
    delivery = Delivery(vendor, MOTORWEB, tmp_path, VEHICLES_WITH_INVALID)
    allocation = delivery.allocate()
    assert isinstance(vendor.poll(allocation), Empty)
    vendor.upload(allocation, delivery.file)
    assert isinstance(vendor.poll(allocation), Running)
    assert delivery.wait_for_verdict(allocation, mocks) is Verdict.PROCESSED
    downloads = vendor.collect(allocation, Verdict.PROCESSED, tmp_path / "collected")
    assert downloads.results is not None
    assert downloads.errors is not None
    assert [row["vin"] for row in rows_of(downloads.results)] == ["6T1BE42KX8X480001"]
    refused = json.loads(downloads.errors.read_bytes())["batchItemsErrors"]
    assert [item["inputs"]["vin"] for item in refused] == ["ABCDE"]
    assert [item["delivery"] for item in mocks.ledger(MOTORWEB)] == [1, 1]


def test_upsert_batch_is_delivered(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE)
    delivery = Delivery(vendor, SITECORE, tmp_path)
    allocation = delivery.upload()
    assert allocation.id == delivery.idempotency_key
    assert isinstance(vendor.poll(allocation), Running)
    assert delivery.wait_for_verdict(allocation, mocks) is Verdict.PROCESSED
    assert vendor.collect(allocation, Verdict.PROCESSED, tmp_path / "collected") == Downloads()
    assert [item["delivery"] for item in mocks.ledger(SITECORE)] == [1]


@BOTH
@pytest.mark.parametrize("kind", ["refuse", "throttle"])
def test_throttled_allocation_has_unknown_outcome_and_retry_time(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind=kind, vendor=name, path="/batches", retry_after=120))
    with pytest.raises(AmbiguousOutcomeError) as raised:
        delivery.allocate()
    assert raised.value.retry_at == MockedClock().now() + timedelta(seconds=120)
    assert delivery.allocate().url


@BOTH
@pytest.mark.parametrize("kind", ["refuse", "throttle"])
def test_throttled_poll_is_retryable_at_retry_time(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.allocate()
    mocks.arm(Fault(kind=kind, vendor=name, path="/batches", retry_after=120))
    with pytest.raises(RetryableError) as raised:
        delivery.vendor.poll(allocation)
    assert raised.value.retry_at == MockedClock().now() + timedelta(seconds=120)


GATEWAY = [408, 425, 429, 500, 502, 503, 504, 301, 302, 307, 403, 404, 401]


@BOTH
@pytest.mark.parametrize("status", GATEWAY)
def test_gateway_error_after_upload_is_ambiguous_and_poll_finds_the_file(
    name: str, status: int, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.allocate()
    mocks.arm(Fault(kind="replace_answer", status=status, vendor=name, method="PUT", path="_storage"))
    with pytest.raises((AmbiguousOutcomeError, AllocationExpiredError)):
        delivery.vendor.upload(allocation, delivery.file)
    assert isinstance(delivery.vendor.poll(allocation), Running)
    delivery.wait_for_verdict(allocation, mocks)
    assert {item["delivery"] for item in mocks.ledger(name)} == {1}


@BOTH
@pytest.mark.parametrize("status", GATEWAY)
def test_gateway_error_after_allocation_is_ambiguous_and_not_repeated(
    name: str, status: int, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind="replace_answer", status=status, vendor=name, path=r"/batches$|/v2/batches/"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.allocate()
    assert len(mocks.batches(name)) == 1


@BOTH
def test_html_page_with_status_200_is_no_successful_upload(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.allocate()
    mocks.arm(Fault(kind="replace_answer", status=200, vendor=name, method="PUT", path="_storage"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.vendor.upload(allocation, delivery.file)


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (400, "RequestTimeout"), (400, "BadDigest")])
def test_documented_storage_error_is_retryable(
    status: int, code: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(SITECORE), SITECORE, tmp_path)
    allocation = delivery.allocate()
    error = f"<Error><Code>{code}</Code><Message>No.</Message></Error>"
    mocks.arm(Fault(kind="status", status=status, text=error, vendor=SITECORE, method="PUT", path="_storage"))
    with pytest.raises(RetryableError, match=code):
        delivery.vendor.upload(allocation, delivery.file)


@BOTH
def test_storage_refusal_is_permanent(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.allocate()
    error = "<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>"
    mocks.arm(Fault(kind="status", status=403, text=error, vendor=name, method="PUT", path="_storage"))
    with pytest.raises(PermanentError, match="SignatureDoesNotMatch"):
        delivery.vendor.upload(allocation, delivery.file)


@BOTH
@pytest.mark.parametrize("kind", ["lose_answer", "reset_answer", "reset", "cut"])
def test_lost_allocation_response_is_ambiguous(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind=kind, vendor=name, path="/batches"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.allocate()


def test_lost_allocation_is_found_by_idempotency_key(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(SITECORE), SITECORE, tmp_path)
    assert delivery.vendor.find(delivery.idempotency_key, {}) is None
    mocks.arm(Fault(kind="lose_answer", vendor=SITECORE, path="/batches"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.allocate()
    found = delivery.vendor.find(delivery.idempotency_key, {})
    assert found is not None
    delivery.vendor.upload(found, delivery.file)
    assert isinstance(delivery.vendor.poll(found), Running)


def test_find_without_support_is_refused(open_vendor: Open) -> None:
    with pytest.raises(PermanentError, match="cannot find a batch"):
        open_vendor(MOTORWEB).find(IdempotencyKey("3ee694e5-0b77-5d1e-af19-1aa78f500785"), {})


@BOTH
def test_idempotency_key_of_other_content_gets_no_allocation(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    first = Delivery(open_vendor(name), name, tmp_path)
    first.wait_for_verdict(first.upload(), mocks)
    second = Delivery(first.vendor, name, tmp_path, VEHICLES_WITH_INVALID if name == MOTORWEB else GUESTS_WITH_INVALID)
    # Sitecore finds the batch by its idempotency key; for Motorweb a person must look.
    with pytest.raises(PermanentError if name == MOTORWEB else AmbiguousOutcomeError, match="409"):
        first.vendor.allocate(first.idempotency_key, second.file, first.params)


@pytest.mark.parametrize(("status", "refused"), [("uploading", False), ("processing", True), ("success", True)])
def test_allocation_of_batch_whose_file_was_uploaded_is_refused(
    status: str, scripted: Callable[[Script], ScriptedServer], tmp_path: Path, *, refused: bool
) -> None:
    document = {"location": {"href": "https://a.example/b"}, "status": {"code": status}}
    vendor = connect(
        load_vendor(SITECORE),
        base_url=scripted(respond_with("200 OK", json.dumps(document).encode())).url,
        credentials={"client_key": "a", "api_token": "b"},
        ca_bundle=None,
        clock=MockedClock(),
        user_agent="batchsync tests",
    )
    file = write_batch_file(tmp_path, "batch", GUESTS, load_vendor(SITECORE))
    key = idempotency_key("a-job", file.digest, 1)
    if refused:
        with pytest.raises(AmbiguousOutcomeError, match=f"a batch with this reference exists, with status {status}"):
            vendor.allocate(key, file, {})
    else:
        assert vendor.allocate(key, file, {}).id == key


@BOTH
@pytest.mark.parametrize("kind", ["lose_answer", "reset_answer"])
def test_lost_upload_response_is_ambiguous_and_poll_finds_the_file(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.allocate()
    mocks.arm(Fault(kind=kind, vendor=name, method="PUT", path="_storage"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.vendor.upload(allocation, delivery.file)
    assert isinstance(delivery.vendor.poll(allocation), Running)
    delivery.wait_for_verdict(allocation, mocks)
    assert {item["delivery"] for item in mocks.ledger(name)} == {1}


@BOTH
def test_upload_that_never_arrived_is_ambiguous_and_poll_finds_no_file(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.allocate()
    mocks.arm(Fault(kind="reset", vendor=name, method="PUT", path="_storage"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.vendor.upload(allocation, delivery.file)
    assert isinstance(delivery.vendor.poll(allocation), Empty)
    delivery.vendor.upload(allocation, delivery.file)
    assert isinstance(delivery.vendor.poll(allocation), Running)


@BOTH
def test_upload_to_expired_allocation_is_refused(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.allocate()
    assert allocation.url is not None
    mocks.advance(4000)
    with pytest.raises(AllocationExpiredError) as raised:
        delivery.vendor.upload(allocation, delivery.file)
    query = allocation.url.partition("?")[2]
    secrets = [query, *(part.partition("=")[2] for part in query.split("&") if "ignature=" in part)]
    shown = raised.value.reason + repr(raised.value.__context__) + caplog.text + repr(allocation)
    assert not [secret for secret in secrets if secret in shown]
    assert "expired" in raised.value.reason


@BOTH
def test_upload_without_url_is_refused(name: str, open_vendor: Open, tmp_path: Path) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    with pytest.raises(AllocationExpiredError):
        delivery.vendor.upload(Allocation(id="some-id"), delivery.file)


@BOTH
def test_storage_receives_no_credentials(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    # The storage of both mocks responds 400 to a signed URL with an Authorization header.
    rows = VEHICLES_WITH_INVALID if name == MOTORWEB else GUESTS_WITH_INVALID
    downloads = Delivery(open_vendor(name), name, tmp_path, rows).collect(mocks)
    assert downloads.errors is not None
    assert len(requests_to(mocks, "_storage")) == 2, "one upload, one download"


def test_optional_target_keys_are_sent(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(MOTORWEB)
    delivery = Delivery(vendor, MOTORWEB, tmp_path)
    target = {**TARGETS[MOTORWEB], "email": "ops@example.com", "scheduledDate": "2100-01-01T00:00:00Z"}
    delivery.params = vendor.describe(target).params
    allocation = delivery.upload()
    mocks.advance(86_400)
    assert vendor.poll(allocation) == Running("SCHEDULED")


@BOTH
def test_batch_unknown_to_vendor_is_lost(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    allocation = delivery.upload()
    mocks.reset()
    assert delivery.vendor.poll(allocation) == Finished(Verdict.LOST, "HTTP 404")


def test_pending_batch_is_cancelled_and_started_batch_is_not(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path)
    allocation = delivery.allocate()
    delivery.vendor.cancel(allocation)
    assert delivery.vendor.poll(allocation) == Finished(Verdict.CANCELLED, "CANCELLED")
    second = Delivery(delivery.vendor, MOTORWEB, tmp_path, attempt=2)
    started = second.upload()
    second.wait_for_verdict(started, mocks)
    with pytest.raises(PermanentError, match="409"):
        delivery.vendor.cancel(started)


def test_cancel_without_support_is_refused(open_vendor: Open) -> None:
    with pytest.raises(PermanentError, match="no documented call to cancel"):
        open_vendor(SITECORE).cancel(Allocation(id="3ee694e5-0b77-5d1e-af19-1aa78f500785"))


def test_read_timeout_is_ambiguous(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE, read=0.3)
    delivery = Delivery(vendor, SITECORE, tmp_path)
    mocks.arm(Fault(kind="delay", vendor=SITECORE, path="/batches", seconds=0.8))
    with pytest.raises(AmbiguousOutcomeError, match="no response in time"):
        delivery.allocate()
