"""The port over real HTTP, held against the bundled mocks of both vendors."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from delivery import BOTH, TARGETS, Delivery, asked, rows_of
from vendor_kit import GUESTS_ONE_BAD, MOTORWEB, SITECORE, VEHICLES_ONE_BAD, MockedClock

import batchsync_mocks
from batchsync.core.batch import Allocation, IdempotencyKey, Verdict
from batchsync.errors import AllocationExpiredError, AmbiguousOutcomeError, PermanentError, RetryableError
from batchsync.ports import Downloads, Empty, Finished, Running
from batchsync_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.vendors.client import HttpVendor
    from batchsync_mocks.faults import Kind

    Open = Callable[..., HttpVendor]


def test_a_lookup_goes_all_the_way(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(MOTORWEB)
    facts = vendor.describe({"service": "Vehicle ID WOVR Batch"})
    assert facts.columns == ("vin", "plate", "state")
    delivery = Delivery(vendor, MOTORWEB, tmp_path, VEHICLES_ONE_BAD)
    slot = delivery.allocated()
    assert isinstance(vendor.poll(slot), Empty)
    vendor.upload(slot, delivery.file)
    assert isinstance(vendor.poll(slot), Running)
    assert delivery.followed(slot, mocks) is Verdict.PROCESSED
    downloads = vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected")
    assert downloads.results is not None
    assert downloads.errors is not None
    assert [row["vin"] for row in rows_of(downloads.results)] == ["6T1BE42KX8X480001"]
    refused = json.loads(downloads.errors.read_bytes())["batchItemsErrors"]
    assert [item["inputs"]["vin"] for item in refused] == ["ABCDE"]
    assert [item["delivery"] for item in mocks.ledger(MOTORWEB)] == [1, 1]


def test_guests_go_all_the_way(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE)
    delivery = Delivery(vendor, SITECORE, tmp_path)
    slot = delivery.uploaded()
    assert slot.id == delivery.ticket
    assert isinstance(vendor.poll(slot), Running)
    assert delivery.followed(slot, mocks) is Verdict.PROCESSED
    assert vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected") == Downloads()
    assert [item["delivery"] for item in mocks.ledger(SITECORE)] == [1]


@BOTH
@pytest.mark.parametrize("kind", ["refuse", "throttle"])
def test_throttled_allocation_is_unclear_and_keeps_the_named_moment(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind=kind, vendor=name, path="/batches", retry_after=120))
    with pytest.raises(AmbiguousOutcomeError) as raised:
        delivery.allocated()
    assert raised.value.retry_at == MockedClock().now() + timedelta(seconds=120)
    assert delivery.allocated().url


@BOTH
@pytest.mark.parametrize("kind", ["refuse", "throttle"])
def test_throttled_question_did_not_happen_and_keeps_the_named_moment(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    mocks.arm(Fault(kind=kind, vendor=name, path="/batches", retry_after=120))
    with pytest.raises(RetryableError) as raised:
        delivery.vendor.poll(slot)
    assert raised.value.retry_at == MockedClock().now() + timedelta(seconds=120)


GATEWAY = [408, 425, 429, 500, 502, 503, 504, 301, 302, 307, 403, 404, 401]


@BOTH
@pytest.mark.parametrize("status", GATEWAY)
def test_gateway_answer_after_an_upload_is_unclear_or_expired_and_the_poll_knows(
    name: str, status: int, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    mocks.arm(Fault(kind="replace_answer", status=status, vendor=name, method="PUT", path="_storage"))
    with pytest.raises((AmbiguousOutcomeError, AllocationExpiredError)):
        delivery.vendor.upload(slot, delivery.file)
    assert isinstance(delivery.vendor.poll(slot), Running)
    delivery.followed(slot, mocks)
    assert {item["delivery"] for item in mocks.ledger(name)} == {1}


@BOTH
@pytest.mark.parametrize("status", GATEWAY)
def test_gateway_answer_after_an_allocation_is_unclear_and_is_sent_once(
    name: str, status: int, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind="replace_answer", status=status, vendor=name, path=r"/batches$|/v2/batches/"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.allocated()
    assert len(mocks.batches(name)) == 1


@BOTH
def test_page_for_people_with_a_good_status_is_no_upload(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    mocks.arm(Fault(kind="replace_answer", status=200, vendor=name, method="PUT", path="_storage"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.vendor.upload(slot, delivery.file)


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (400, "RequestTimeout"), (400, "BadDigest")])
def test_storage_error_that_is_documented_proves_that_nothing_was_stored(
    status: int, code: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(SITECORE), SITECORE, tmp_path)
    slot = delivery.allocated()
    said = f"<Error><Code>{code}</Code><Message>No.</Message></Error>"
    mocks.arm(Fault(kind="status", status=status, text=said, vendor=SITECORE, method="PUT", path="_storage"))
    with pytest.raises(RetryableError, match=code):
        delivery.vendor.upload(slot, delivery.file)


@BOTH
def test_refusal_in_the_form_of_the_storage_is_permanent(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    said = "<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>"
    mocks.arm(Fault(kind="status", status=403, text=said, vendor=name, method="PUT", path="_storage"))
    with pytest.raises(PermanentError, match="SignatureDoesNotMatch"):
        delivery.vendor.upload(slot, delivery.file)


@BOTH
@pytest.mark.parametrize("kind", ["lose_answer", "reset_answer", "reset", "cut"])
def test_a_lost_allocation_answer_is_unclear(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind=kind, vendor=name, path="/batches"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.allocated()


def test_a_lost_allocation_is_found_again_by_our_ticket(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(SITECORE), SITECORE, tmp_path)
    assert delivery.vendor.find(delivery.ticket, {}) is None
    mocks.arm(Fault(kind="lose_answer", vendor=SITECORE, path="/batches"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.allocated()
    found = delivery.vendor.find(delivery.ticket, {})
    assert found is not None
    delivery.vendor.upload(found, delivery.file)
    assert isinstance(delivery.vendor.poll(found), Running)


def test_a_vendor_that_cannot_be_asked_by_ticket_says_so(open_vendor: Open) -> None:
    with pytest.raises(PermanentError, match="cannot be asked"):
        open_vendor(MOTORWEB).find(IdempotencyKey("3ee694e5-0b77-5d1e-af19-1aa78f500785"), {})


@BOTH
def test_ticket_of_a_batch_with_other_content_gives_no_slot(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    first = Delivery(open_vendor(name), name, tmp_path)
    first.followed(first.uploaded(), mocks)
    second = Delivery(first.vendor, name, tmp_path, VEHICLES_ONE_BAD if name == MOTORWEB else GUESTS_ONE_BAD)
    # At Sitecore the batch can be asked about by its ticket; at Motorweb a person must look.
    with pytest.raises(PermanentError if name == MOTORWEB else AmbiguousOutcomeError, match="409"):
        first.vendor.allocate(first.ticket, second.file, first.params)


@BOTH
@pytest.mark.parametrize("kind", ["lose_answer", "reset_answer"])
def test_a_lost_upload_answer_is_unclear_and_the_poll_knows(
    name: str, kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    mocks.arm(Fault(kind=kind, vendor=name, method="PUT", path="_storage"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.vendor.upload(slot, delivery.file)
    assert isinstance(delivery.vendor.poll(slot), Running)
    delivery.followed(slot, mocks)
    assert {item["delivery"] for item in mocks.ledger(name)} == {1}


@BOTH
def test_an_upload_that_broke_before_it_arrived_is_unclear_and_the_poll_knows(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    mocks.arm(Fault(kind="reset", vendor=name, method="PUT", path="_storage"))
    with pytest.raises(AmbiguousOutcomeError):
        delivery.vendor.upload(slot, delivery.file)
    assert isinstance(delivery.vendor.poll(slot), Empty)
    delivery.vendor.upload(slot, delivery.file)
    assert isinstance(delivery.vendor.poll(slot), Running)


@BOTH
def test_an_expired_slot_is_gone(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    assert slot.url is not None
    mocks.advance(4000)
    with pytest.raises(AllocationExpiredError) as raised:
        delivery.vendor.upload(slot, delivery.file)
    query = slot.url.partition("?")[2]
    secrets = [query, *(part.partition("=")[2] for part in query.split("&") if "ignature=" in part)]
    shown = raised.value.reason + repr(raised.value.__context__) + caplog.text + repr(slot)
    assert not [secret for secret in secrets if secret in shown]
    assert "expired" in raised.value.reason


@BOTH
def test_a_slot_whose_url_is_forgotten_is_gone(name: str, open_vendor: Open, tmp_path: Path) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    with pytest.raises(AllocationExpiredError):
        delivery.vendor.upload(Allocation(id="some-id"), delivery.file)


@BOTH
def test_our_authentication_never_reaches_the_storage(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    # The storage of both mocks answers 400 to a signed URL with an Authorization header beside it.
    bad = VEHICLES_ONE_BAD if name == MOTORWEB else GUESTS_ONE_BAD
    downloads = Delivery(open_vendor(name), name, tmp_path, bad).collected(mocks)
    assert downloads.errors is not None
    assert len(asked(mocks, "_storage")) == 2, "one upload, one download"


def test_email_and_date_of_a_target_reach_the_vendor(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    vendor = open_vendor(MOTORWEB)
    delivery = Delivery(vendor, MOTORWEB, tmp_path)
    target = {**TARGETS[MOTORWEB], "email": "ops@example.com", "scheduledDate": "2100-01-01T00:00:00Z"}
    delivery.params = vendor.describe(target).params
    slot = delivery.uploaded()
    mocks.advance(86_400)
    assert vendor.poll(slot) == Running("SCHEDULED")


@BOTH
def test_a_batch_that_the_vendor_forgets_is_lost_after_a_few_polls(
    name: str, open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.uploaded()
    mocks.reset()
    for _ in range(2):
        with pytest.raises(RetryableError, match="may not show it yet"):
            delivery.vendor.poll(slot)
    assert delivery.vendor.poll(slot) == Finished(Verdict.LOST, "HTTP 404")


def test_a_pending_batch_is_cancelled_and_a_begun_one_is_not(
    open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path)
    slot = delivery.allocated()
    delivery.vendor.cancel(slot)
    assert delivery.vendor.poll(slot) == Finished(Verdict.CANCELLED, "CANCELLED")
    second = Delivery(delivery.vendor, MOTORWEB, tmp_path, attempt=2)
    begun = second.uploaded()
    second.followed(begun, mocks)
    with pytest.raises(PermanentError, match="409"):
        delivery.vendor.cancel(begun)


def test_a_vendor_without_cancellation_says_so(open_vendor: Open) -> None:
    with pytest.raises(PermanentError, match="no way to cancel"):
        open_vendor(SITECORE).cancel(Allocation(id="3ee694e5-0b77-5d1e-af19-1aa78f500785"))


def test_a_hanging_vendor_is_unclear(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE, read=0.3)
    delivery = Delivery(vendor, SITECORE, tmp_path)
    mocks.arm(Fault(kind="delay", vendor=SITECORE, path="/batches", seconds=0.8))
    with pytest.raises(AmbiguousOutcomeError, match="no answer in time"):
        delivery.allocated()
