"""Control API of the mocks: clock, ledger, and faults on real connections."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import (
    GOOD_CSV,
    MOTORWEB,
    SITECORE,
    MotorwebClient,
    SitecoreClient,
    announced,
    packed,
    put,
    record,
    upload_headers,
)

from batchsync_mocks import Clock, Fault, serve

if TYPE_CHECKING:
    from batchsync_mocks import Running

GUEST = record("guest", "upsert", email="a@example.com")


def change_clock(mocks: Running, change: object) -> requests.Response:
    return requests.post(f"{mocks.urls[SITECORE]}/_mock/clock", json=change, headers=mocks.control_headers, timeout=10)


def test_clock_is_shared_and_can_be_set_and_advanced(mocks: Running) -> None:
    assert change_clock(mocks, {"set": "2026-05-01T00:00:00+02:00"}).json()["iso"] == "2026-04-30T22:00:00.000Z"
    assert change_clock(mocks, {"advance": 90}).json()["epoch"] == 1_777_586_490
    shown = requests.get(f"{mocks.urls[MOTORWEB]}/_mock/clock", timeout=10).json()
    moment = {"iso": "2026-04-30T22:01:30.000Z", "epoch": 1_777_586_490.0}
    assert shown == {**moment, "frozen": True, "rate": 1.0, "auto": False}
    mocks.advance(-90)
    assert mocks.clock.now() == 1_777_586_400


def test_clock_follows_real_time_unless_frozen_or_given_a_rate(mocks: Running) -> None:
    frozen_at = mocks.clock.now()
    time.sleep(0.02)
    assert mocks.clock.now() == frozen_at
    change_clock(mocks, {"frozen": False, "rate": 1000})
    time.sleep(0.02)
    assert mocks.clock.now() >= frozen_at + 20
    change_clock(mocks, {"frozen": True})
    assert mocks.clock.now() == mocks.clock.now()


@pytest.mark.parametrize(
    "change",
    [{"set": "tomorrow"}, {"set": "2026-01-01"}, {"advance": "1h"}, {"advance": 1e300}, {"jump": 1}, [], {"rate": 0}],
)
def test_invalid_clock_change_gets_400(mocks: Running, change: object) -> None:
    before = mocks.clock.now()
    response = change_clock(mocks, change)
    assert (response.status_code, bool(response.json()["error"])) == (400, True)
    assert mocks.clock.now() == before


def test_ledger_lists_each_row_of_motorweb(mocks: Running, motorweb: MotorwebClient) -> None:
    first = motorweb.send(GOOD_CSV + b",MOCK404,ACT\r\n", "first")
    mocks.advance(600)
    second = motorweb.send(GOOD_CSV, "second")
    ledger = requests.get(f"{motorweb.url}/_mock/ledger", headers=mocks.control_headers, timeout=10).json()
    assert ledger["vendor"] == MOTORWEB
    assert ledger["entries"] == mocks.ledger(MOTORWEB)
    entries = [(e["batch"], e["reference"], e["line"], e["delivery"], e["outcome"]) for e in ledger["entries"]]
    assert entries == [
        (first, "first", 2, 1, "accepted"),
        (first, "first", 3, 1, "accepted"),
        (first, "first", 4, 1, "rejected"),
        (second, "second", 2, 2, "pending"),
        (second, "second", 3, 2, "pending"),
    ]
    assert ledger["entries"][2]["columns"] == {"vin": "", "plate": "MOCK404", "state": "ACT"}
    assert ledger["entries"][2]["errorType"] == "PROCESSING_ERROR"
    summary = requests.get(f"{motorweb.url}/_mock/ledger", params={"summary": "1"}, timeout=10).json()
    del summary["vendor"]
    assert summary == {"delivered": 5, "repeated": 2, "accepted": 2, "rejected": 1, "pending": 2, "unprocessed": 0}


def test_ledger_lists_each_record_of_sitecore(mocks: Running, sitecore: SitecoreClient) -> None:
    bad = record("guest", "delete", email="unknown@example.com")
    ref = sitecore.send(packed(GUEST, bad))
    url, headers = f"{mocks.urls[MOTORWEB]}/_mock/ledger", mocks.control_headers
    pending = requests.get(url, params={"vendor": SITECORE}, headers=headers, timeout=10).json()["entries"]
    assert [(entry["line"], entry["outcome"]) for entry in pending] == [(1, "pending"), (2, "pending")]
    mocks.advance(15)
    again = sitecore.send(packed(GUEST))
    mocks.advance(15)
    params = {"vendor": SITECORE, "values": "1"}
    entries = requests.get(url, params=params, headers=headers, timeout=10).json()["entries"]
    assert [(e["batch"], e["ref"], e["delivery"], e["outcome"]) for e in entries] == [
        (ref, GUEST["ref"], 1, "accepted"),
        (ref, bad["ref"], 1, "rejected"),
        (again, GUEST["ref"], 2, "accepted"),
    ]
    assert entries[1]["message"] == "Guest not found"
    assert entries[0]["value"] == GUEST["value"]
    assert "value" not in mocks.ledger(SITECORE)[0]


def test_control_api_lists_batches_objects_and_requests(mocks: Running, sitecore: SitecoreClient) -> None:
    ref = sitecore.send(packed(GUEST))
    mocks.advance(15)
    base = f"{sitecore.url}/_mock"
    (batch,) = requests.get(f"{base}/batches", timeout=10).json()["batches"]
    assert (batch["ref"], batch["status"], batch["counts"]["processed"]) == (ref, "success", 1)
    headers = mocks.control_headers
    (guest,) = requests.get(f"{base}/store", headers=headers, timeout=10).json()["objects"]
    assert guest["value"]["email"] == "a@example.com"
    seen = requests.get(f"{base}/requests", timeout=10).json()
    assert [item["method"] for item in seen] == ["PUT", "PUT"]
    assert not any("?" in item["path"] for item in seen)
    assert requests.get(f"{base}/nothing", timeout=10).status_code == 404
    assert requests.get(f"{base}/ledger?vendor=acme", headers=headers, timeout=10).status_code == 404


def test_reset_deletes_everything_but_the_clock(mocks: Running, sitecore: SitecoreClient) -> None:
    sitecore.submit(GUEST)
    mocks.arm(Fault(kind="refuse"))
    now = mocks.clock.now()
    reset = requests.post(f"{sitecore.url}/_mock/reset", headers=mocks.control_headers, timeout=10)
    assert reset.status_code == 200
    assert (mocks.ledger(SITECORE), mocks.store(SITECORE), mocks.batches(SITECORE)) == ([], [], [])
    assert (mocks.faults(), mocks.requests(), mocks.clock.now()) == ([], [], now)


def test_refused_request_has_no_effect(mocks: Running, motorweb: MotorwebClient) -> None:
    armed = {"kind": "refuse", "method": "post", "path": "/batches$", "nth": 2, "times": 2, "retry_after": 30}
    url, headers = f"{motorweb.url}/_mock/faults", mocks.control_headers
    assert requests.post(url, json=[armed], headers=headers, timeout=10).status_code == 200
    responses = [motorweb.create(f"batch {n}") for n in range(4)]
    assert [response.status_code for response in responses] == [201, 503, 503, 201]
    assert responses[1].headers["Retry-After"] == "30"
    assert len(mocks.batches(MOTORWEB)) == 2
    (report,) = requests.get(f"{motorweb.url}/_mock/faults", timeout=10).json()
    assert (report["matched"], report["hits"]) == (4, 2)


@pytest.mark.parametrize("kind", ["lose_answer", "reset_answer"])
def test_lost_response_keeps_the_effect(mocks: Running, motorweb: MotorwebClient, kind: Any) -> None:
    mocks.arm(Fault(kind=kind, vendor=MOTORWEB, method="POST", path="/batches"))
    with pytest.raises(requests.ConnectionError):
        motorweb.create("mine")
    assert [batch["userBatchRef"] for batch in mocks.batches(MOTORWEB)] == ["mine"]
    assert motorweb.create("mine").status_code == 409


def test_lost_upload_response_keeps_the_file(mocks: Running, sitecore: SitecoreClient) -> None:
    data, ref = packed(GUEST), str(uuid.uuid4())
    href = sitecore.allocate(ref, announced(data)).json()["location"]["href"]
    mocks.arm(Fault(kind="lose_answer", path="/_storage/"))
    with pytest.raises(requests.ConnectionError):
        put(href, data, **upload_headers(data))
    assert sitecore.get(f"/inspect/{ref}").json()["status"]["code"] == "file_uploaded"


def asked_and_answered(raw: http.client.HTTPConnection, body: str) -> None:
    raw.request("PUT", f"/v2/batches/{uuid.uuid4()}", body=body)
    raw.getresponse()


def test_reset_connection_has_no_effect(mocks: Running, sitecore: SitecoreClient) -> None:
    mocks.arm(Fault(kind="reset", method="PUT"))
    target = urlsplit(sitecore.url)
    # The reset may arrive while the body is being sent, or while the response is awaited.
    with (
        closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)) as raw,
        pytest.raises(ConnectionResetError),
    ):
        asked_and_answered(raw, json.dumps(announced(b"x")))
    assert mocks.batches(SITECORE) == []


def test_cut_response_ends_before_its_content_length(mocks: Running, motorweb: MotorwebClient) -> None:
    batch = motorweb.send(GOOD_CSV)
    mocks.advance(600)
    url = motorweb.call("GET", f"/batches/{batch}/reports").json()["url"]
    mocks.arm(Fault(kind="cut", path="/_storage/"), Fault(kind="cut", path="/_storage/", nth=2, after=10))
    for kept in (None, 10):
        with (
            requests.get(url, stream=True, timeout=10) as response,
            pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead") as broken,
        ):
            assert response.content
        assert kept is None or f"{kept} bytes read" in str(broken.value)
    assert requests.get(url, timeout=10).status_code == 200


def test_armed_faults_add_up(mocks: Running, motorweb: MotorwebClient) -> None:
    mocks.arm(
        Fault(kind="delay", path="/batch-services", seconds=0.05),
        Fault(kind="status", path="/batch-services", status=429),
    )
    began = time.monotonic()
    assert motorweb.call("GET", "/batch-services").status_code == 429
    assert time.monotonic() - began >= 0.05
    assert motorweb.call("GET", "/batch-services").status_code == 200


def test_fault_with_times_zero_lasts_until_disarmed(mocks: Running, motorweb: MotorwebClient) -> None:
    mocks.arm(Fault(kind="status", status=500, vendor=MOTORWEB, path="/batches$", times=0))
    assert {motorweb.create().status_code for _ in range(3)} == {500}
    url, headers = f"{motorweb.url}/_mock/faults", mocks.control_headers
    assert requests.delete(url, headers=headers, timeout=10).json() == []
    assert motorweb.create().status_code == 201


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "explode"},
        {"kind": "status", "status": 42},
        {"kind": "refuse", "nth": 0},
        {"kind": "refuse", "nth": "2"},
        {"kind": "refuse", "path": "("},
        {"kind": "refuse", "when": "now"},
        {"kind": "delay", "seconds": 1e9},
        {"kind": "cut", "after": -1},
        {"kind": "cut", "after": "x"},
        {"kind": "refuse", "retry_after": "x"},
        {"kind": "refuse", "method": 7},
        "refuse",
    ],
)
def test_invalid_fault_is_refused_when_armed(mocks: Running, fault: object) -> None:
    response = requests.post(f"{mocks.url}/_mock/faults", json=fault, headers=mocks.control_headers, timeout=10)
    assert (response.status_code, mocks.faults()) == (400, [])


def test_ids_are_equal_with_a_seed_and_differ_without() -> None:
    def first_id(seed: int | None) -> str:
        with serve([MOTORWEB], seed=seed, clock=Clock("2026-03-01T12:00:00Z", frozen=True)) as running:
            return str(MotorwebClient(running).create().json()["batchId"])

    assert first_id(7) == first_id(7) != first_id(8)
    assert first_id(None) != first_id(None)


def test_unknown_vendor_is_refused() -> None:
    for wrong in (["acme"], []):
        with pytest.raises(ValueError, match="motorweb-bdp, sitecore-cdp"):
            serve(wrong)
