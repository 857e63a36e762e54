"""Each switch changes the documented behaviour, and nothing else."""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from mock_clients import (
    GOOD_CSV,
    MOTORWEB,
    SITECORE,
    MotorwebClient,
    SitecoreClient,
    announced,
    named,
    order,
    packed,
    put,
    read_log,
    record,
    upload_headers,
)

import batchsync_mocks
from batchsync_mocks import MotorwebSwitches, SitecoreSwitches

if TYPE_CHECKING:
    from batchsync_mocks import Running

GUEST = {"identifiers": named("1")}


def set_switches(mocks: Running, vendor: str, **given: Any) -> None:
    mocks.switch(vendor, **given)


def finished(motorweb: MotorwebClient, body: bytes = GOOD_CSV, reference: str = "cars") -> str:
    batch = motorweb.send(body, reference)
    motorweb.running.advance(600)
    return batch


def test_sitecore_allocates_with_201_and_refuses_a_repetition(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, allocate_status=201, repeat_allocate="refuse", url_lifetime=60)
    ref, body = str(uuid.uuid4()), announced(packed())
    made = sitecore.allocate(ref, body)
    assert made.status_code == 201
    assert sitecore.allocate(ref, body).status_code == 409
    mocks.advance(61)
    assert put(made.json()["location"]["href"], packed(), **upload_headers(packed())).status_code == 403


def test_sitecore_size_checks_follow_the_switches(mocks: Running, sitecore: SitecoreClient) -> None:
    body = announced(packed())
    text = body | {"size": str(body["size"])}
    assert sitecore.allocate(str(uuid.uuid4()), text).json()["size"] == body["size"]
    set_switches(mocks, SITECORE, size_as_string=False, largest=50_000_000)
    assert sitecore.allocate(str(uuid.uuid4()), text).status_code == 400
    assert sitecore.allocate(str(uuid.uuid4()), body | {"size": 50_000_001}).status_code == 400
    set_switches(mocks, SITECORE, late_size_check=True)
    assert sitecore.allocate(str(uuid.uuid4()), body | {"size": 50_000_001}).status_code == 200


@pytest.mark.parametrize("value", ["uploading", "processing", "file_uploaded"])
def test_plain_endpoint_status_of_a_queued_file_follows_the_switch(
    mocks: Running, sitecore: SitecoreClient, value: str
) -> None:
    set_switches(mocks, SITECORE, plain_while_queued=value)
    ref = sitecore.send(packed(record("guest", "upsert", **GUEST)))
    assert sitecore.get(f"/{ref}").json()["status"]["code"] == value
    assert sitecore.get(f"/inspect/{ref}").json()["status"]["code"] == "file_uploaded"


def test_sitecore_storage_strictness_follows_the_switches(mocks: Running, sitecore: SitecoreClient) -> None:
    data = packed(record("guest", "upsert", **GUEST))
    href = sitecore.allocate(str(uuid.uuid4()), announced(data)).json()["location"]["href"]
    headers = upload_headers(data)
    set_switches(mocks, SITECORE, strict_content_type=True)
    assert put(href, data, **headers).status_code == 403
    assert put(href, data, **headers, **{"Content-Type": "application/gzip"}).status_code == 200
    set_switches(mocks, SITECORE, strict_content_type=False)
    bare = {"x-amz-server-side-encryption": "AES256"}
    assert put(href, data, **bare).status_code == 403
    set_switches(mocks, SITECORE, strict_md5=False, strict_encryption=False)
    assert put(href, data).status_code == 200


def test_form_of_signed_urls_follows_the_switch(mocks: Running, sitecore: SitecoreClient) -> None:
    data, ref = packed(record("guest", "upsert", **GUEST)), str(uuid.uuid4())
    announcement = announced(data) | {"checksum": "0" * 32}
    assert "X-Amz-Signature=" in sitecore.allocate(ref, announcement).json()["location"]["href"]
    set_switches(mocks, SITECORE, signature="v2")
    href = sitecore.allocate(ref, announcement).json()["location"]["href"]
    assert sorted(parse_qs(urlsplit(href).query)) == ["AWSAccessKeyId", "Expires", "Signature"]
    bare = {"x-amz-server-side-encryption": "AES256"}
    assert put(href, data, **bare).status_code == 400
    set_switches(mocks, SITECORE, strict_md5=False)
    # Such a signature does not cover the MD5, so that another file than announced can be uploaded.
    assert put(href, data, **bare).status_code == 200
    assert sitecore.get(f"/inspect/{ref}").json()["status"]["code"] == "corrupted"


def test_sitecore_accepts_an_upper_case_checksum(mocks: Running, sitecore: SitecoreClient) -> None:
    data, ref = packed(record("guest", "upsert", **GUEST)), str(uuid.uuid4())
    body = announced(data)
    href = sitecore.allocate(ref, body | {"checksum": body["checksum"].upper()}).json()["location"]["href"]
    put(href, data, **upload_headers(data))
    assert sitecore.get(f"/inspect/{ref}").json()["status"]["code"] == "corrupted"
    set_switches(mocks, SITECORE, upper_checksum="accepted")
    mocks.advance(15)
    assert sitecore.get(f"/inspect/{ref}").json()["status"]["code"] == "success"


FLIGHT = {"id": "1", "origin": "DUB", "destination": "LAS", "flightNumber": "1", "fareClass": "Cheap"}
FLIGHT |= {"departureDateTime": "2025-08-23T16:17Z", "arrivalDateTime": "2025-08-23T18:17Z"}


@pytest.mark.parametrize(
    ("switch", "refused"),
    [
        ("strict_attributes", record("guest", "upsert", **GUEST, shoeSize=44)),
        ("strict_attributes", record("order", "insert", **order(shoeSize=44))),
        ("closed_lists", record("guest", "upsert", **GUEST, title="Captain")),
        ("closed_lists", record("order", "insert", **order(paymentType="Shells"))),
        ("closed_lists", record("order", "upsert", **order(orderItems=[{"flightSegments": [FLIGHT]}]))),
        ("strict_items", record("order", "upsert", **order(orderItems=[{"name": "flight"}]))),
        ("guest_type_required", record("guest", "upsert", **GUEST)),
    ],
)
def test_strict_switch_rejects_a_record(
    mocks: Running, sitecore: SitecoreClient, switch: str, refused: dict[str, Any]
) -> None:
    assert sitecore.submit(refused) == []
    set_switches(mocks, SITECORE, **{switch: True})
    assert [entry["message"] for entry in sitecore.submit(refused)] == ["Validation error"]


def test_undocumented_modes_can_be_enabled(mocks: Running, sitecore: SitecoreClient) -> None:
    made = record("guest", "create", identifiers=named("9"))
    assert [entry["code"] for entry in sitecore.submit(made)] == ["402"]
    set_switches(mocks, SITECORE, other_modes=True)
    assert sitecore.submit(made, record("guest", "merge", identifiers=named("9"), firstName="A")) == []
    assert [entry["code"] for entry in sitecore.submit(made)] == ["409"]


def test_tracking_can_be_disabled(mocks: Running, sitecore: SitecoreClient) -> None:
    event = {"serviceIdentifier": "X", "occurredAt": "2015-03-07T14:15:00.000Z", "channel": "EMAIL", "type": "SENT"}
    sent = record("tracking", "insert", **event, uotr="c56a4180-65aa-42ec-a945-5fd21dec0538|0")
    assert sitecore.submit(sent) == []
    set_switches(mocks, SITECORE, tracking=False)
    assert [entry["message"] for entry in sitecore.submit(sent)] == ["Unsupported mode"]


def test_delete_takes_orders_switch_removes_orders(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, delete_takes_orders=True)
    assert sitecore.submit(record("order", "insert", **order()), record("guest", "delete", **GUEST)) == []
    assert mocks.store(SITECORE) == []


def test_empty_files_and_blank_lines_can_be_errors(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, empty_file="error", blank_lines="error")
    ref = sitecore.send(gzip.compress(b""))
    mocks.advance(15)
    assert sitecore.get(f"/inspect/{ref}").json()["status"] == {"code": "error"}
    line = json.dumps(record("guest", "upsert", **GUEST)).encode()
    ref = sitecore.send(gzip.compress(b"\n" + line + b"\n"))
    mocks.advance(15)
    status = sitecore.get(f"/inspect/{ref}").json()["status"]
    assert [entry["ref"] for entry in read_log(status["log"])] == ["null"]
    assert [entry["value"] for entry in mocks.ledger(SITECORE, values=True)] == [None, GUEST]


def test_log_format_follows_the_switches(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, log_successes=True, log_code="integer", log_name="errorLog", log_lifetime=60)
    good, bad = record("guest", "upsert", **GUEST), record("guest", "delete", identifiers=named("none"))
    gone = record("guest", "delete", **GUEST)
    ref = sitecore.send(packed(good, bad, gone))
    mocks.advance(15)
    log = sitecore.get(f"/inspect/{ref}").json()["status"]["log"]
    assert [entry["code"] for entry in read_log(log)] == [200, 404, 200]
    assert read_log(log)[2]["message"] == "Guest and associated entities deleted"
    (item,) = sitecore.get("/inspect").json()["items"]
    assert "errorLog" in item
    set_switches(mocks, SITECORE, log_gzip=False)
    plain = requests.get(sitecore.get(f"/inspect/{ref}").json()["status"]["log"], timeout=10)
    assert [json.loads(line)["code"] for line in plain.text.splitlines()] == [200, 404, 200]
    mocks.advance(61)
    assert requests.get(log, timeout=10).status_code == 403


def test_statistics_and_list_follow_the_switches(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, stats=True, page=10, list_order="oldest", queue=0, processing=1)
    refs = [sitecore.send(packed(record("guest", "upsert", **GUEST))) for _ in range(11)]
    mocks.advance(1)
    stats = sitecore.get(f"/inspect/{refs[0]}").json()["mockStats"]
    assert stats == {"mockRunMillis": 1000, "mockRead": 1, "mockProcessed": 1, "mockFailed": 0}
    listed = sitecore.get("/inspect", limit="50").json()
    assert (listed["totalCount"], listed["limit"], [item["ref"] for item in listed["items"]]) == (11, 10, refs[:10])


def test_forget_old_hides_old_batches(mocks: Running, sitecore: SitecoreClient) -> None:
    ref = sitecore.send(packed())
    mocks.advance(31 * 86_400)
    assert sitecore.get(f"/inspect/{ref}").status_code == 200
    set_switches(mocks, SITECORE, forget_old=True)
    assert sitecore.get(f"/inspect/{ref}").status_code == 404


def test_sitecore_error_bodies_follow_the_switch(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, error_body="more_info_url")
    assert sitecore.get(f"/{uuid.uuid4()}").json()["moreInfoUrl"] == ""
    assert requests.get(f"{sitecore.url}/v2/batches/inspect", timeout=10).json()["status"] == "401"
    set_switches(mocks, SITECORE, error_body="html")
    assert sitecore.get(f"/{uuid.uuid4()}").text.startswith("<html>")
    set_switches(mocks, SITECORE, error_body="empty")
    assert sitecore.get(f"/{uuid.uuid4()}").text == ""


def test_sitecore_false_success_keeps_its_log(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, false_success=True)
    ref = sitecore.send(packed(record("guest", "delete", identifiers=named("none"))))
    mocks.advance(15)
    status = sitecore.get(f"/inspect/{ref}").json()["status"]
    assert status["code"] == "success"
    assert len(read_log(status["log"])) == 1


def test_switches_are_set_at_start_and_over_http() -> None:
    with batchsync_mocks.serve([MOTORWEB], switches={MOTORWEB: {"create_status": 200}}) as mocks:
        assert MotorwebClient(mocks).create().status_code == 200
        page, headers = f"{mocks.url}/_mock/switches", mocks.control_headers
        assert requests.post(page, json={"create_status": 201}, headers=headers, timeout=10).status_code == 200
        assert requests.get(page, timeout=10).json()["switches"]["create_status"] == 201
        assert requests.post(page, json={"create_status": 418}, headers=headers, timeout=10).status_code == 400


@pytest.mark.parametrize(
    "given",
    [
        {"no_such": 1},
        {"create_status": True},
        {"done_status": "READY"},
        {"false_success": 1},
        {"max_rows": 0},
        {"processing": -1},
    ],
)
def test_invalid_switch_error_lists_accepted_values(mocks: Running, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="switch"):
        mocks.switch(MOTORWEB, **given)
    with pytest.raises(ValueError, match="switch"):
        batchsync_mocks.serve(switches={MOTORWEB: given})
    with pytest.raises(ValueError, match="available: motorweb-bdp, sitecore-cdp"):
        batchsync_mocks.serve(switches={"acme": {}})


def test_bulk_switch_accepts_invalid_records(mocks: Running, sitecore: SitecoreClient) -> None:
    set_switches(mocks, SITECORE, bulk=True)
    assert sitecore.submit(record("guest", "upsert", email="none")) == []
    assert mocks.store(SITECORE) == []


def test_every_switch_is_covered_by_these_files() -> None:
    # It reads the files, so that it holds for a part of the tests too.
    here = Path(__file__)
    others = ("test_motorweb_switches.py", "test_mock_answer_forms.py", "test_mock_tenants.py")
    text = "".join(path.read_text(encoding="utf-8") for path in (here, *map(here.with_name, others)))
    kinds = (MotorwebSwitches, SitecoreSwitches)
    missing = [
        field.name
        for kind in kinds
        for field in fields(kind)
        if f"{field.name}=" not in text and f'"{field.name}"' not in text
    ]
    assert missing == []
