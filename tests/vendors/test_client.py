"""The port over real HTTP, held against the bundled mocks of both vendors."""

from __future__ import annotations

import csv
import gzip
import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from vendor_kit import (
    GUESTS,
    GUESTS_ONE_BAD,
    MOTORWEB,
    SITECORE,
    VEHICLES,
    VEHICLES_ONE_BAD,
    MockedClock,
    ScriptedServer,
    answering,
    seal,
)

import lading_mocks
from lading.core.batch import BatchFile, Slot, Ticket, Verdict
from lading.core.tickets import ticket
from lading.errors import DidNotHappen, EnvironmentProblem, Permanent, SlotGone, Unclear, UsageError
from lading.ports import Downloads, Empty, Finished, Running, Vendor
from lading.spec.vendor_spec import load_vendor
from lading.vendors.client import HttpVendor, connect
from lading_mocks import Fault

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from vendor_kit import Script

    from lading_mocks.faults import Kind

    Open = Callable[..., HttpVendor]

TARGETS = {MOTORWEB: {"service": "vehicle id wovr BATCH"}, SITECORE: {"schema": "guest"}}
GOOD = {MOTORWEB: VEHICLES, SITECORE: GUESTS}
BOTH = pytest.mark.parametrize("name", [MOTORWEB, SITECORE])


class Delivery:
    """One batch on its way to one vendor."""

    def __init__(self, vendor: Vendor, name: str, folder: Path, text: str | None = None, attempt: int = 1) -> None:
        self.vendor = vendor
        self.folder = folder
        self.file: BatchFile = seal(folder, "batch", text or GOOD[name], load_vendor(name))
        self.ticket: Ticket = ticket("a-job", self.file.digest, attempt)
        self.params: Mapping[str, str] = vendor.describe(TARGETS[name]).params

    def allocated(self) -> Slot:
        return self.vendor.allocate(self.ticket, self.file, self.params)

    def uploaded(self) -> Slot:
        slot = self.allocated()
        self.vendor.upload(slot, self.file)
        return slot

    def followed(self, slot: Slot, mocks: lading_mocks.Running) -> Verdict:
        for _ in range(20):
            match self.vendor.poll(slot):
                case Finished(verdict, _):
                    return verdict
                case Running() | Empty():
                    mocks.advance(900)
        raise AssertionError("never finished")

    def collected(self, mocks: lading_mocks.Running) -> Downloads:
        slot = self.uploaded()
        return self.vendor.collect(slot, self.followed(slot, mocks), self.folder / "collected")


def asked(mocks: lading_mocks.Running, fragment: str) -> list[str]:
    """Return the requests whose path holds the fragment."""
    return [f"{one['method']} {one['path']}" for one in mocks.requests() if fragment in one["path"]]


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def test_a_lookup_goes_all_the_way(open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path) -> None:
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
    assert [one["inputs"]["vin"] for one in refused] == ["ABCDE"]
    assert [one["delivery"] for one in mocks.ledger(MOTORWEB)] == [1, 1]


def test_the_errors_are_asked_for_whatever_the_counters_say(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    downloads = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path).collected(mocks)
    assert downloads.results is not None
    assert not downloads.errors_missing
    assert len(asked(mocks, "/errors")) == 1


def test_guests_go_all_the_way(open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE)
    delivery = Delivery(vendor, SITECORE, tmp_path)
    slot = delivery.uploaded()
    assert slot.id == delivery.ticket
    assert isinstance(vendor.poll(slot), Running)
    assert delivery.followed(slot, mocks) is Verdict.PROCESSED
    assert vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected") == Downloads()
    assert [one["delivery"] for one in mocks.ledger(SITECORE)] == [1]


def test_the_log_of_refused_guests_is_brought_as_it_is(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    downloads = Delivery(open_vendor(SITECORE), SITECORE, tmp_path, GUESTS_ONE_BAD).collected(mocks)
    assert downloads.errors is not None
    log = gzip.decompress(downloads.errors.read_bytes())
    assert [json.loads(line)["code"] for line in log.splitlines()] == ["400"]
    assert not downloads.errors_missing


def test_failed_rows_without_a_log_are_reported_as_such(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(SITECORE), SITECORE, tmp_path)
    slot = delivery.uploaded()
    delivery.followed(slot, mocks)
    found = delivery.vendor.collect(slot, Verdict.MIXED, tmp_path / "collected")
    assert found == Downloads(errors_missing=True)


@BOTH
def test_after_a_verdict_without_row_log_nothing_is_asked(name: str, open_vendor: Open, tmp_path: Path) -> None:
    vendor = open_vendor(name)
    for verdict in (Verdict.REFUSED, Verdict.CANCELLED, Verdict.EXPIRED, Verdict.LOST):
        assert vendor.collect(Slot(id="no-such-batch"), verdict, tmp_path) == Downloads()


@BOTH
def test_a_refused_allocation_did_not_happen_and_says_when_to_come_again(
    name: str, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind="refuse", vendor=name, path="/batches", retry_after=120))
    with pytest.raises(DidNotHappen) as raised:
        delivery.allocated()
    assert raised.value.retry_at == MockedClock().now() + timedelta(seconds=120)
    assert delivery.allocated().url


@BOTH
@pytest.mark.parametrize("kind", ["lose_answer", "reset_answer", "reset", "cut"])
def test_a_lost_allocation_answer_is_unclear(
    name: str, kind: Kind, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    mocks.arm(Fault(kind=kind, vendor=name, path="/batches"))
    with pytest.raises(Unclear):
        delivery.allocated()


def test_a_lost_allocation_is_found_again_by_our_ticket(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(SITECORE), SITECORE, tmp_path)
    assert delivery.vendor.find(delivery.ticket, {}) is None
    mocks.arm(Fault(kind="lose_answer", vendor=SITECORE, path="/batches"))
    with pytest.raises(Unclear):
        delivery.allocated()
    found = delivery.vendor.find(delivery.ticket, {})
    assert found is not None
    delivery.vendor.upload(found, delivery.file)
    assert isinstance(delivery.vendor.poll(found), Running)


def test_a_vendor_that_cannot_be_asked_by_ticket_says_so(open_vendor: Open) -> None:
    with pytest.raises(Permanent, match="cannot be asked"):
        open_vendor(MOTORWEB).find(Ticket("3ee694e5-0b77-5d1e-af19-1aa78f500785"), {})


@BOTH
def test_the_same_ticket_under_another_content_is_refused_for_good(
    name: str, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    first = Delivery(open_vendor(name), name, tmp_path)
    first.followed(first.uploaded(), mocks)
    second = Delivery(first.vendor, name, tmp_path, VEHICLES_ONE_BAD if name == MOTORWEB else GUESTS_ONE_BAD)
    with pytest.raises(Permanent, match="409"):
        first.vendor.allocate(first.ticket, second.file, first.params)


@BOTH
@pytest.mark.parametrize("kind", ["lose_answer", "reset_answer"])
def test_a_lost_upload_answer_is_unclear_and_the_poll_knows(
    name: str, kind: Kind, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    mocks.arm(Fault(kind=kind, vendor=name, method="PUT", path="_storage"))
    with pytest.raises(Unclear):
        delivery.vendor.upload(slot, delivery.file)
    assert isinstance(delivery.vendor.poll(slot), Running)
    delivery.followed(slot, mocks)
    assert {one["delivery"] for one in mocks.ledger(name)} == {1}


@BOTH
def test_an_upload_that_broke_before_it_arrived_is_unclear_and_the_poll_knows(
    name: str, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    mocks.arm(Fault(kind="reset", vendor=name, method="PUT", path="_storage"))
    with pytest.raises(Unclear):
        delivery.vendor.upload(slot, delivery.file)
    assert isinstance(delivery.vendor.poll(slot), Empty)
    delivery.vendor.upload(slot, delivery.file)
    assert isinstance(delivery.vendor.poll(slot), Running)


@BOTH
def test_an_expired_slot_is_gone(
    name: str, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.allocated()
    assert slot.url is not None
    mocks.advance(4000)
    with pytest.raises(SlotGone) as raised:
        delivery.vendor.upload(slot, delivery.file)
    query = slot.url.partition("?")[2]
    secrets = [query, *(part.partition("=")[2] for part in query.split("&") if "ignature=" in part)]
    shown = raised.value.reason + repr(raised.value.__context__) + caplog.text + repr(slot)
    assert not [one for one in secrets if one in shown]
    assert "expired" in raised.value.reason


@BOTH
def test_a_slot_whose_url_is_forgotten_is_gone(name: str, open_vendor: Open, tmp_path: Path) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    with pytest.raises(SlotGone):
        delivery.vendor.upload(Slot(id="some-id"), delivery.file)


@BOTH
def test_our_authentication_never_reaches_the_storage(
    name: str, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    # The storage of both mocks answers 400 to a signed URL with an Authorization header beside it.
    bad = VEHICLES_ONE_BAD if name == MOTORWEB else GUESTS_ONE_BAD
    downloads = Delivery(open_vendor(name), name, tmp_path, bad).collected(mocks)
    assert downloads.errors is not None
    assert len(asked(mocks, "_storage")) == 2, "one upload, one download"


def test_a_revoked_token_is_renewed_once_in_the_middle_of_a_run(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path)
    slot = delivery.uploaded()
    before = len(asked(mocks, "/token"))
    mocks.revoke_tokens(MOTORWEB)
    assert isinstance(delivery.vendor.poll(slot), Running)
    assert isinstance(delivery.vendor.poll(slot), Running)
    assert (before, len(asked(mocks, "/token"))) == (1, 2)


def test_a_vendor_that_refuses_fresh_tokens_is_not_asked_for_ever(
    open_vendor: Open, mocks: lading_mocks.Running
) -> None:
    vendor = open_vendor(MOTORWEB)
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/batch-services", status=401, times=0))
    with pytest.raises(Permanent, match="credentials"):
        vendor.describe(TARGETS[MOTORWEB])
    assert len(asked(mocks, "/batch-services")) == 2


@pytest.mark.parametrize("kind", ["lose_answer", "reset", "cut", "refuse"])
def test_without_a_token_the_request_did_not_happen(kind: Kind, open_vendor: Open, mocks: lading_mocks.Running) -> None:
    vendor = open_vendor(MOTORWEB)
    mocks.arm(Fault(kind=kind, vendor=MOTORWEB, path="/token"))
    with pytest.raises(DidNotHappen):
        vendor.describe(TARGETS[MOTORWEB])
    assert asked(mocks, "/batch-services") == []


@BOTH
def test_wrong_credentials_are_refused_before_anything_is_prepared(name: str, open_vendor: Open) -> None:
    wrong = dict.fromkeys(load_vendor(name).credentials, "not-the-right-words")
    with pytest.raises(Permanent) as raised:
        open_vendor(name, wrong).describe(TARGETS[name])
    assert "401" in raised.value.reason
    assert "not-the-right-words" not in raised.value.reason


def test_an_unknown_service_is_refused_with_what_there_is(open_vendor: Open) -> None:
    with pytest.raises(Permanent, match=r"It offers: .*Vehicle ID WOVR Batch"):
        open_vendor(MOTORWEB).describe({"service": "Boat Check"})


def test_a_service_is_also_known_by_its_id(open_vendor: Open) -> None:
    vendor = open_vendor(MOTORWEB)
    by_name = vendor.describe(TARGETS[MOTORWEB]).params["service_id"]
    assert vendor.describe({"service": by_name.upper()}).params["service_id"] == by_name


@pytest.mark.parametrize("status", [403, 404, 405])
def test_a_template_that_is_not_offered_is_no_trouble(
    status: int, open_vendor: Open, mocks: lading_mocks.Running
) -> None:
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/template", status=status))
    facts = open_vendor(MOTORWEB).describe(TARGETS[MOTORWEB])
    assert facts.columns is None
    assert facts.params["service_id"]


def test_email_and_date_of_a_target_reach_the_vendor(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
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
    name: str, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(name), name, tmp_path)
    slot = delivery.uploaded()
    mocks.reset()
    for _ in range(2):
        with pytest.raises(DidNotHappen, match="may not show it yet"):
            delivery.vendor.poll(slot)
    assert delivery.vendor.poll(slot) == Finished(Verdict.LOST, "HTTP 404")


@BOTH
@pytest.mark.parametrize("status", [400, 403])
def test_an_expired_download_is_located_once_more(
    name: str, status: int, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    bad = VEHICLES_ONE_BAD if name == MOTORWEB else GUESTS_ONE_BAD
    delivery = Delivery(open_vendor(name), name, tmp_path, bad)
    slot = delivery.uploaded()
    verdict = delivery.followed(slot, mocks)
    mocks.arm(Fault(kind="status", vendor=name, method="GET", path="_storage", status=status))
    if status == 400:
        # A bare 400 does not say that the URL ran out, so it is not asked for again.
        with pytest.raises(Permanent):
            delivery.vendor.collect(slot, verdict, tmp_path / "collected")
    else:
        assert delivery.vendor.collect(slot, verdict, tmp_path / "collected").errors is not None
        mocks.arm(Fault(kind="status", vendor=name, method="GET", path="_storage", status=403, times=0))
        with pytest.raises(Permanent):
            delivery.vendor.collect(slot, verdict, tmp_path / "again")


@BOTH
def test_a_download_that_breaks_can_be_had_again_whole(
    name: str, open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    bad = VEHICLES_ONE_BAD if name == MOTORWEB else GUESTS_ONE_BAD
    delivery = Delivery(open_vendor(name), name, tmp_path, bad)
    slot = delivery.uploaded()
    verdict = delivery.followed(slot, mocks)
    mocks.arm(Fault(kind="cut", vendor=name, method="GET", path="_storage"))
    with pytest.raises(Unclear):
        delivery.vendor.collect(slot, verdict, tmp_path / "collected")
    broken = [one.name for one in (tmp_path / "collected").iterdir()]
    downloads = delivery.vendor.collect(slot, verdict, tmp_path / "collected")
    assert downloads.errors is not None
    assert not [one for one in broken if one.endswith(".part")]


def test_results_that_are_not_ready_did_not_happen_yet(open_vendor: Open, tmp_path: Path) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path)
    slot = delivery.uploaded()
    with pytest.raises(DidNotHappen) as raised:
        delivery.vendor.collect(slot, Verdict.PROCESSED, tmp_path / "collected")
    assert raised.value.retry_at == MockedClock().now() + timedelta(minutes=1)


@pytest.mark.parametrize(("counted", "waits"), [(0, False), (1, True), (None, True)])
def test_results_are_not_waited_for_when_no_row_has_any(
    counted: int | None, scripted: Callable[[Script], ScriptedServer], tmp_path: Path, *, waits: bool
) -> None:
    answers = {
        b"/token": {"access_token": "a-token", "expires_in": 3599},
        b"/reports": {"status": "COMPLETED", "url": None},
        b"/errors": {"batchItemsErrors": []},
        b"/batches/": {"status": "COMPLETED", "rowsProcessed": counted, "validationErrors": 2, "processingErrors": 0},
    }

    def script(connection: socket.socket, head: bytes) -> None:
        said = next(one for part, one in answers.items() if part in head.split(b" ")[1])
        answering("200 OK", json.dumps(said).encode())(connection, head)

    vendor = connect(
        load_vendor(MOTORWEB),
        base_url=scripted(script).url,
        credentials={"client_id": "a", "client_secret": "b"},
        ca_bundle=None,
        clock=MockedClock(),
        user_agent="lading tests",
    )
    if waits:
        with pytest.raises(DidNotHappen, match="no results"):
            vendor.collect(Slot(id="a-batch"), Verdict.PROCESSED, tmp_path)
    else:
        downloads = vendor.collect(Slot(id="a-batch"), Verdict.PROCESSED, tmp_path)
        assert (downloads.results, downloads.errors) == (None, tmp_path / "errors.json")


def test_refused_errors_are_asked_for_as_csv_instead(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path, VEHICLES_ONE_BAD)
    slot = delivery.uploaded()
    verdict = delivery.followed(slot, mocks)
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/errors$", status=400))
    downloads = delivery.vendor.collect(slot, verdict, tmp_path / "collected")
    assert downloads.errors is not None
    assert downloads.errors.name == "errors.csv"
    assert [row["errorType"] for row in rows_of(downloads.errors)] == ["VALIDATION_ERROR"]


def test_a_pending_batch_is_cancelled_and_a_begun_one_is_not(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path)
    slot = delivery.allocated()
    delivery.vendor.cancel(slot)
    assert delivery.vendor.poll(slot) == Finished(Verdict.CANCELLED, "CANCELLED")
    second = Delivery(delivery.vendor, MOTORWEB, tmp_path, attempt=2)
    begun = second.uploaded()
    second.followed(begun, mocks)
    with pytest.raises(Permanent, match="409"):
        delivery.vendor.cancel(begun)


def test_a_vendor_without_cancellation_says_so(open_vendor: Open) -> None:
    with pytest.raises(Permanent, match="no way to cancel"):
        open_vendor(SITECORE).cancel(Slot(id="3ee694e5-0b77-5d1e-af19-1aa78f500785"))


def test_a_hanging_vendor_is_unclear(open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path) -> None:
    vendor = open_vendor(SITECORE, read=0.3)
    delivery = Delivery(vendor, SITECORE, tmp_path)
    mocks.arm(Fault(kind="delay", vendor=SITECORE, path="/batches", seconds=0.8))
    with pytest.raises(Unclear, match="no answer in time"):
        delivery.allocated()


def test_https_needs_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    with lading_mocks.serve([SITECORE], state_dir=tmp_path / "mocks", https=True) as mocks:
        opened = [
            connect(
                load_vendor(SITECORE),
                base_url=mocks.urls[SITECORE],
                credentials=mocks.credentials(SITECORE),
                ca_bundle=bundle,
                clock=MockedClock(),
                user_agent="lading tests",
            )
            for bundle in (None, str(mocks.ca))
        ]
        with pytest.raises(DidNotHappen, match="certificate"):
            opened[0].describe(TARGETS[SITECORE])
        Delivery(opened[1], SITECORE, tmp_path).uploaded()


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example",
        "http://api-engage-eu.sitecorecloud.io",
        "api-engage-eu.sitecorecloud.io",
        "",
        "https://a?b",
    ],
)
def test_a_base_url_that_is_not_the_vendors_is_refused(base_url: str) -> None:
    with pytest.raises(UsageError, match="base_url"):
        connect(
            load_vendor(SITECORE),
            base_url=base_url,
            credentials={"client_key": "a", "api_token": "b"},
            ca_bundle=None,
            clock=MockedClock(),
            user_agent="lading tests",
        )


def test_a_missing_credential_is_named() -> None:
    with pytest.raises(EnvironmentProblem, match="api_token"):
        connect(
            load_vendor(SITECORE),
            base_url="https://api-engage-eu.sitecorecloud.io",
            credentials={"client_key": "a", "api_token": ""},
            ca_bundle=None,
            clock=MockedClock(),
            user_agent="lading tests",
        )
