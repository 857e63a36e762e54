"""What comes back from the vendors: results, errors and logs, brought over real HTTP from the bundled mocks."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from delivery import BOTH, Delivery, asked, rows_of
from vendor_kit import GUESTS_ONE_BAD, MOTORWEB, SITECORE, VEHICLES_ONE_BAD, MockedClock, ScriptedServer, answering

import lading_mocks
from lading.core.batch import Slot, Verdict
from lading.errors import DidNotHappen, Permanent, Unclear
from lading.ports import Downloads
from lading.spec.vendor_spec import load_vendor
from lading.vendors.client import HttpVendor, connect
from lading_mocks import Fault

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from vendor_kit import Script

    Open = Callable[..., HttpVendor]


def test_the_errors_are_asked_for_whatever_the_counters_say(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    downloads = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path).collected(mocks)
    assert downloads.results is not None
    assert not downloads.errors_missing
    assert len(asked(mocks, "/errors")) == 1


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
