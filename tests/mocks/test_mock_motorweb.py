"""Motorweb mock over HTTP, as documented in motorweb-bdp.md: delivery of a batch, and every refusal."""

from __future__ import annotations

import csv
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests
from mock_clients import GOOD_CSV, MOTORWEB, SERVICE, MotorwebClient, put

if TYPE_CHECKING:
    from batchsync_mocks import Running

MIXED_CSV = (
    b"vin,plate,state\r\n"
    b"1HGCM82633A004352,,\r\n"
    b",ABC123,ACT\r\n"
    b"12345,,\r\n"
    b",XYZ789,\r\n"
    b",MOCK404,ACT\r\n"
    b"MCK500AAAAAAAAAAA,,\r\n"
)
DAY = 86_400


def test_token_has_the_documented_fields(motorweb: MotorwebClient) -> None:
    response = motorweb.log_in()
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {
        "token_type",
        "issued_at",
        "client_id",
        "access_token",
        "application_name",
        "scope",
        "expires_in",
    }
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 3599, "")
    assert body["issued_at"] == "1772366400000"
    assert body["access_token"].count(".") == 2


def test_wrong_client_credentials_get_401(motorweb: MotorwebClient) -> None:
    for wrong in ({"client_secret": "guess"}, {"client_id": "guess"}):
        response = motorweb.log_in(**wrong)
        assert (response.status_code, response.json()["ErrorCode"]) == (401, "invalid_client")


def test_token_request_must_be_a_form_with_the_grant_type(motorweb: MotorwebClient, mocks: Running) -> None:
    form = {"grant_type": "client_credentials", **mocks.credentials(MOTORWEB)}
    url = f"{motorweb.url}/auth/v1/token"
    assert requests.post(url, json=form, timeout=10).status_code == 400
    assert requests.post(url, data={"grant_type": "client_credentials"}, timeout=10).status_code == 400
    response = motorweb.log_in(grant_type="password")
    assert (response.status_code, response.json()["ErrorCode"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "eyJ.é.x"])
def test_call_without_a_valid_token_gets_401(motorweb: MotorwebClient, token: str) -> None:
    motorweb.token = token.encode().decode("latin-1")
    response = motorweb.call("GET", "/batch-services")
    assert response.status_code == 401
    assert set(response.json()["fault"]) == {"faultstring", "detail"}


def test_token_ends_after_an_hour_or_when_revoked(motorweb: MotorwebClient, mocks: Running) -> None:
    assert motorweb.call("GET", "/batch-services").status_code == 200
    mocks.advance(3599)
    assert motorweb.call("GET", "/batch-services").status_code == 401
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert motorweb.call("GET", "/batch-services").status_code == 200
    mocks.revoke_tokens(MOTORWEB)
    assert motorweb.call("GET", "/batch-services").status_code == 401


@pytest.mark.parametrize("prefix", ["/batch/v1", "/v1"])
def test_services_and_template_answer_under_both_prefixes(mocks: Running, prefix: str) -> None:
    client = MotorwebClient(mocks, prefix)
    (service,) = client.call("GET", "/batch-services").json()
    assert set(service) == {"id", "name", "description"}
    template = client.call("GET", f"/batch-services/{service['id']}/template")
    assert template.text == "vin,plate,state\r\n"
    assert template.headers["Content-Type"].startswith("text/csv")
    assert client.call("GET", f"/batch-services/{uuid.uuid4()}/template").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"userBatchReference": "a"},
        {"batchServiceId": "not-a-uuid", "userBatchReference": "a"},
        {"batchServiceId": SERVICE},
        {"batchServiceId": SERVICE, "userBatchReference": ""},
        {"batchServiceId": SERVICE, "userBatchReference": "x" * 256},
        {"batchServiceId": SERVICE, "userBatchReference": 7},
        {"batchServiceId": SERVICE, "userBatchReference": "a", "email": "invalid"},
        {"batchServiceId": SERVICE, "userBatchReference": "a", "scheduledDate": "tomorrow"},
        {"batchServiceId": SERVICE, "userBatchReference": "a", "scheduledDate": "2026-03-02T10:00:00"},
        ["a", "list"],
    ],
)
def test_create_that_violates_a_constraint_gets_400(motorweb: MotorwebClient, body: Any) -> None:
    response = motorweb.call("POST", "/batches", json=body)
    assert (response.status_code, response.json()["error"]) == (400, "Bad Request")


def test_body_that_is_not_json_or_too_large_gets_400(motorweb: MotorwebClient) -> None:
    for data in (b"{", b"[" * 100_000, b" " * (1 << 20) + b"{}"):
        url, token = f"{motorweb.url}/batch/v1/batches", motorweb.token
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        assert requests.post(url, data=data, headers=headers, timeout=10).status_code == 400


def test_unknown_service_gets_404(motorweb: MotorwebClient) -> None:
    assert motorweb.create(batchServiceId=str(uuid.uuid4())).status_code == 404


def test_reference_in_use_gets_409_until_its_batch_is_cancelled(motorweb: MotorwebClient) -> None:
    first = motorweb.create("mine").json()
    assert motorweb.create("mine").status_code == 409
    assert motorweb.call("DELETE", f"/batches/{first['batchId']}").status_code == 200
    assert motorweb.create("mine").status_code == 201


@pytest.mark.parametrize("path", ["", "/reports", "/errors", "/errors/download"])
def test_unknown_batch_id_gets_404_and_invalid_id_400(motorweb: MotorwebClient, path: str) -> None:
    assert motorweb.call("GET", f"/batches/{uuid.uuid4()}{path}").status_code == 404
    assert motorweb.call("GET", f"/batches/seven{path}").status_code == 400


def test_batch_moves_from_pending_to_completed(motorweb: MotorwebClient, mocks: Running) -> None:
    made = motorweb.create(email="me@example.com")
    assert made.status_code == 201
    assert set(made.json()) == {"url", "expiry", "batchId"}
    batch = made.json()["batchId"]
    assert motorweb.status(batch) == "PENDING"
    response = put(made.json()["url"], MIXED_CSV, **{"Content-Type": "text/csv"})
    assert (response.status_code, response.content) == (200, b"")
    seen = []
    for seconds in (0, 60, 120, 120, 300):
        mocks.advance(seconds)
        seen.append(motorweb.status(batch))
    assert seen == ["PRE_PROCESSING", "VALIDATING", "SCHEDULED", "PROCESSING", "COMPLETED"]


def test_counters_of_a_completed_batch_add_up(motorweb: MotorwebClient, mocks: Running) -> None:
    batch = motorweb.send(MIXED_CSV)
    assert motorweb.call("GET", f"/batches/{batch}").json()["rowsInBatch"] is None
    mocks.advance(600)
    view = motorweb.call("GET", f"/batches/{batch}").json()
    counters = [view[name] for name in ("rowsInBatch", "rowsProcessed", "validationErrors", "processingErrors")]
    assert counters == [6, 2, 2, 2]
    assert view["userBatchRef"] == "cars"
    assert (view["batchService"], view["batchServiceName"]) == ("VEHICLE_ID_WOVR", "Vehicle ID WOVR Batch")
    assert view["createdDatetime"] == view["requestedDatetime"] == "2026-03-01T12:00:00Z"
    assert motorweb.call("GET", "/batches").json() == [view]


def test_report_has_a_url_to_accepted_rows_when_completed(motorweb: MotorwebClient, mocks: Running) -> None:
    batch = motorweb.send(MIXED_CSV)
    early = motorweb.call("GET", f"/batches/{batch}/reports").json()
    assert (early["status"], early["url"]) == ("PRE_PROCESSING", None)
    mocks.advance(600)
    report = motorweb.call("GET", f"/batches/{batch}/reports").json()
    result = requests.get(report["url"], timeout=10)
    rows = list(csv.reader(result.text.splitlines()))
    assert rows[0] == ["vin", "plate", "state", "mockWovrStatus", "mockCheckedAt"]
    assert [row[:3] for row in rows[1:]] == [["1HGCM82633A004352", "", ""], ["", "ABC123", "ACT"]]
    assert int(result.headers["Content-Length"]) == len(result.content)
    mocks.advance(900)
    assert requests.get(report["url"], timeout=10).status_code == 400
    fresh = motorweb.call("GET", f"/batches/{batch}/reports").json()
    assert requests.get(fresh["url"], timeout=10).content == result.content


def test_row_errors_are_served_as_filtered_json_and_as_csv(motorweb: MotorwebClient, mocks: Running) -> None:
    batch = motorweb.send(MIXED_CSV)
    assert motorweb.call("GET", f"/batches/{batch}/errors").json()["batchItemsErrors"] == []
    assert len(motorweb.call("GET", f"/batches/{batch}/errors/download").text.splitlines()) == 1
    mocks.advance(600)
    items = motorweb.call("GET", f"/batches/{batch}/errors").json()["batchItemsErrors"]
    errors = [(i["errors"][0]["errorType"], i["errors"][0]["attemptNumber"]) for i in items]
    assert errors == [("VALIDATION_ERROR", 1)] * 2 + [("PROCESSING_ERROR", 3), ("SERVER_ERROR", 3)]
    assert items[2]["inputs"] == {"vin": "", "plate": "MOCK404", "state": "ACT"}
    assert items[2]["errors"][0]["errorDescription"] == "Plate/State not found"
    filtered = motorweb.call("GET", f"/batches/{batch}/errors", params={"errorType": "SERVER_ERROR"}).json()
    assert filtered["batchItemsErrors"] == items[3:]
    unknown = motorweb.call("GET", f"/batches/{batch}/errors", params={"errorType": "OOPS"})
    assert unknown.status_code == 400
    rows = list(csv.DictReader(motorweb.call("GET", f"/batches/{batch}/errors/download").text.splitlines()))
    assert [row["plate"] for row in rows] == ["", "XYZ789", "MOCK404", ""]
    assert {"errorType", "errorDescription", "attemptNumber"} < set(rows[0])


def test_scheduled_date_keeps_a_batch_scheduled(motorweb: MotorwebClient, mocks: Running) -> None:
    batch = motorweb.send(GOOD_CSV, scheduledDate="2026-03-03T12:00:00Z")
    mocks.advance(DAY)
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert motorweb.status(batch) == "SCHEDULED"
    assert motorweb.call("GET", f"/batches/{batch}").json()["requestedDatetime"] == "2026-03-03T12:00:00Z"
    mocks.advance(DAY)
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert motorweb.status(batch) == "PROCESSING"
    mocks.advance(300)
    assert motorweb.status(batch) == "COMPLETED"


def test_batch_scheduled_after_thirty_days_expires_unprocessed(motorweb: MotorwebClient, mocks: Running) -> None:
    batch = motorweb.send(GOOD_CSV, scheduledDate="9999-12-31T23:59:59Z")
    mocks.advance(600)
    assert motorweb.status(batch) == "SCHEDULED"
    mocks.advance(30 * DAY)
    motorweb.token = motorweb.log_in().json()["access_token"]
    view = motorweb.call("GET", f"/batches/{batch}").json()
    assert (view["status"], view["rowsProcessed"]) == ("EXPIRED", None)
    assert [entry["outcome"] for entry in mocks.ledger(MOTORWEB)] == ["unprocessed"] * 2


def test_only_a_pending_or_scheduled_batch_can_be_deleted(motorweb: MotorwebClient, mocks: Running) -> None:
    pending = motorweb.create("pending").json()
    running = motorweb.send(GOOD_CSV, "running")
    assert motorweb.call("DELETE", f"/batches/{running}").status_code == 409
    response = motorweb.call("DELETE", f"/batches/{pending['batchId']}")
    assert (response.status_code, response.content) == (200, b"")
    assert motorweb.status(pending["batchId"]) == "CANCELLED"
    assert put(pending["url"], GOOD_CSV).status_code == 200
    assert motorweb.status(pending["batchId"]) == "CANCELLED"
    mocks.advance(180)
    assert motorweb.call("DELETE", f"/batches/{running}").status_code == 200
    assert [entry["outcome"] for entry in mocks.ledger(MOTORWEB)] == ["unprocessed"] * 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"vin,plate,state\r\n",
        b"VIN,plate,state\r\n1HGCM82633A004352,,\r\n",
        b"\xef\xbb\xbfvin,plate,state\r\n1HGCM82633A004352,,\r\n",
        b"vin,colour\r\n1HGCM82633A004352,red\r\n",
        b"vin,vin\r\n1HGCM82633A004352,\r\n",
        b"plate\r\nABC123\r\n",
        b"vin;plate;state\r\n1HGCM82633A004352;;\r\n",
        b"\x1f\x8b\x08\x00" + bytes(range(256)),
        b'vin,plate,state\r\n"open,,\r\n',
        b"vin,plate,state\r\n" + b"A" * (1 << 21),
        GOOD_CSV + b"\xff\xfe\r\n",
    ],
)
def test_invalid_csv_fails_the_batch(motorweb: MotorwebClient, mocks: Running, body: bytes) -> None:
    batch = motorweb.send(body)
    assert motorweb.status(batch) == "PRE_PROCESSING"
    mocks.advance(1000)
    assert motorweb.status(batch) == "FAILED"
    assert motorweb.call("GET", f"/batches/{batch}/reports").json()["url"] is None
    assert mocks.batches(MOTORWEB)[0]["note"]


def test_row_with_a_wrong_field_count_is_a_validation_error(motorweb: MotorwebClient, mocks: Running) -> None:
    batch = motorweb.send(b"vin,plate,state\n1HGCM82633A004352\n1HGCM82633A004352,,,more\n\n,ABC123,ACT")
    mocks.advance(600)
    view = motorweb.call("GET", f"/batches/{batch}").json()
    assert (view["rowsInBatch"], view["validationErrors"]) == (3, 2)


def test_batches_expire_thirty_days_after_creation(motorweb: MotorwebClient, mocks: Running) -> None:
    never_uploaded = motorweb.create("empty").json()["batchId"]
    done = motorweb.send(GOOD_CSV, "done")
    mocks.advance(600)
    url = motorweb.call("GET", f"/batches/{done}/reports").json()["url"]
    assert requests.get(url, timeout=10).status_code == 200
    mocks.advance(30 * DAY - 600)
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert [motorweb.status(batch) for batch in (never_uploaded, done)] == ["EXPIRED"] * 2
    assert motorweb.call("GET", f"/batches/{done}/reports").json()["url"] is None
    assert [entry["outcome"] for entry in mocks.ledger(MOTORWEB)] == ["accepted"] * 2


def test_second_upload_replaces_the_first_until_validation(motorweb: MotorwebClient, mocks: Running) -> None:
    made = motorweb.create().json()
    put(made["url"], b"vin,plate,state\n,X,\n")
    put(made["url"], GOOD_CSV)
    mocks.advance(180)
    put(made["url"], b"too late")
    mocks.advance(420)
    assert motorweb.call("GET", f"/batches/{made['batchId']}").json()["rowsProcessed"] == 2
    assert mocks.batches(MOTORWEB)[0]["uploads"] == 3


def test_equal_rows_get_equal_results(mocks: Running, motorweb: MotorwebClient) -> None:
    results = []
    for reference in ("one", "two"):
        batch = motorweb.send(GOOD_CSV, reference)
        mocks.advance(600)
        url = motorweb.call("GET", f"/batches/{batch}/reports").json()["url"]
        results.append([row["mockWovrStatus"] for row in csv.DictReader(requests.get(url, timeout=10).text.split())])
    assert results[0] == results[1]


def test_unknown_paths_and_methods_get_the_service_error(motorweb: MotorwebClient) -> None:
    assert motorweb.call("GET", "/nowhere").json()["status"] == 404
    assert motorweb.call("PATCH", "/batches").json()["status"] == 405
