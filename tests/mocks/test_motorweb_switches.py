"""Switches of the mock of Motorweb."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests
from mock_clients import (
    GOOD_CSV,
    MOTORWEB,
    SERVICE,
    MotorwebClient,
    put,
)

if TYPE_CHECKING:
    from batchsync_mocks import Running


def set_switches(mocks: Running, vendor: str, **given: Any) -> None:
    mocks.switch(vendor, **given)


def finished(motorweb: MotorwebClient, body: bytes = GOOD_CSV, reference: str = "cars") -> str:
    batch = motorweb.send(body, reference)
    motorweb.running.advance(600)
    return batch


def test_motorweb_done_status_is_complete_or_completed(mocks: Running, motorweb: MotorwebClient) -> None:
    batch = finished(motorweb)
    assert motorweb.status(batch) == "COMPLETED"
    set_switches(mocks, MOTORWEB, done_status="COMPLETE")
    assert motorweb.status(batch) == "COMPLETE"
    report = motorweb.call("GET", f"/batches/{batch}/reports").json()
    assert (report["status"], requests.get(report["url"], timeout=10).status_code) == ("COMPLETE", 200)


def test_motorweb_creates_with_200_and_an_expiry_as_printed(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, create_status=200, printed_expiry=True, url_lifetime=60)
    made = motorweb.create()
    assert (made.status_code, made.json()["expiry"]) == (200, "123-2026-03-01T20:00:00")
    assert "X-Goog-Expires=60&" in made.json()["url"]
    mocks.advance(61)
    assert put(made.json()["url"], GOOD_CSV).status_code == 400


def test_motorweb_deletes_only_pending_batches_and_refuses_with_400(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, delete_scheduled=False, delete_refusal=400, deleted_status=204)
    batch = motorweb.send(GOOD_CSV)
    mocks.advance(200)
    assert motorweb.status(batch) == "SCHEDULED"
    assert motorweb.call("DELETE", f"/batches/{batch}").status_code == 400
    pending = motorweb.create("other").json()["batchId"]
    assert motorweb.call("DELETE", f"/batches/{pending}").status_code == 204


def test_motorweb_returns_an_empty_list_for_an_unknown_error_type(mocks: Running, motorweb: MotorwebClient) -> None:
    batch = finished(motorweb, b"vin\nbad\n")
    path = f"/batches/{batch}/errors?errorType=NEW_ERROR"
    assert motorweb.call("GET", path).status_code == 400
    set_switches(mocks, MOTORWEB, unknown_error_type=200)
    assert motorweb.call("GET", path).json()["batchItemsErrors"] == []


@pytest.mark.parametrize("status", [404, 204])
def test_motorweb_no_errors_response_is_switchable(mocks: Running, motorweb: MotorwebClient, status: int) -> None:
    set_switches(mocks, MOTORWEB, no_errors=status)
    good, bad = finished(motorweb), finished(motorweb, b"vin\nbad\n", "bad")
    for path in ("errors", "errors/download"):
        assert motorweb.call("GET", f"/batches/{good}/{path}").status_code == status
        assert motorweb.call("GET", f"/batches/{bad}/{path}").status_code == 200


@pytest.mark.parametrize(
    ("shape", "starts"),
    [
        ("service", '{"status":404'),
        ("fault", '{"fault":'),
        ("apigee", '{"ErrorCode":'),
        ("html", "<html>"),
        ("empty", ""),
    ],
)
def test_motorweb_error_bodies_follow_the_switch(
    mocks: Running, motorweb: MotorwebClient, shape: str, starts: str
) -> None:
    set_switches(mocks, MOTORWEB, error_body=shape)
    response = motorweb.call("GET", f"/batches/{uuid.uuid4()}")
    assert response.status_code == 404
    assert response.text.startswith(starts)
    assert bool(response.text) is bool(starts)


def test_motorweb_notices_an_upload_late(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, visible_after=120)
    batch = motorweb.send(GOOD_CSV)
    seen = [motorweb.status(batch)]
    for seconds in (119, 2, 60, 120, 120, 300):
        mocks.advance(seconds)
        seen.append(motorweb.status(batch))
    assert seen == ["PENDING", "PENDING", "PRE_PROCESSING", "VALIDATING", "SCHEDULED", "PROCESSING", "COMPLETED"]


@pytest.mark.parametrize(("prefix", "other"), [("/batch/v1", "/v1"), ("/v1", "/batch/v1")])
def test_motorweb_serves_a_single_prefix(mocks: Running, prefix: str, other: str) -> None:
    set_switches(mocks, MOTORWEB, prefix=prefix)
    assert MotorwebClient(mocks, prefix).call("GET", "/batch-services").status_code == 200
    assert MotorwebClient(mocks, other).call("GET", "/batch-services").status_code == 404


def test_motorweb_services_and_reports_follow_the_switches(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, services="wrapped", service_id="batchServiceId", service_name="code", reports="array")
    (service,) = motorweb.call("GET", "/batch-services").json()["content"]
    assert (service["batchServiceId"], service["name"]) == (SERVICE, "VEHICLE_ID_WOVR")
    (report,) = motorweb.call("GET", f"/batches/{finished(motorweb)}/reports").json()
    assert report["url"].startswith("http")


def test_motorweb_accepts_duplicate_references_and_hides_the_list(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, duplicate_references=True, list_batches=False)
    assert [motorweb.create("same").status_code for _ in range(2)] == [201, 201]
    assert motorweb.call("GET", "/batches").status_code == 404


@pytest.mark.parametrize(("value", "shown"), [("absent", None), ("zero", 0)])
def test_motorweb_leaves_early_counters_out_or_zero(
    mocks: Running, motorweb: MotorwebClient, value: str, shown: int | None
) -> None:
    set_switches(mocks, MOTORWEB, counters_early=value)
    view = motorweb.call("GET", f"/batches/{motorweb.send(GOOD_CSV)}").json()
    assert ("rowsInBatch" in view, view.get("rowsInBatch")) == (value == "zero", shown)


def test_motorweb_limits_are_enforced_when_set(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, max_rows=1, max_bytes=len(GOOD_CSV))
    assert motorweb.status(finished(motorweb)) == "FAILED"
    assert put(motorweb.create("large").json()["url"], GOOD_CSV + b"\n").status_code == 400


def test_motorweb_accepts_short_chassis_numbers(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, short_chassis=True)
    finished(motorweb, b"vin\nABC12345\nABC\n")
    assert [entry["outcome"] for entry in mocks.ledger(MOTORWEB)] == ["accepted", "rejected"]


def test_motorweb_false_success_still_lists_errors(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, false_success=True)
    batch = finished(motorweb, b"vin\nbad\n1HGCM82633A004352\n")
    view = motorweb.call("GET", f"/batches/{batch}").json()
    assert (view["rowsProcessed"], view["validationErrors"], view["processingErrors"]) == (2, 0, 0)
    assert len(motorweb.call("GET", f"/batches/{batch}/errors").json()["batchItemsErrors"]) == 1


def test_motorweb_phase_durations_follow_the_switches(mocks: Running, motorweb: MotorwebClient) -> None:
    set_switches(mocks, MOTORWEB, pre_processing=0, validating=0, scheduled=0, processing=3000)
    batch = motorweb.send(GOOD_CSV)
    assert motorweb.status(batch) == "PROCESSING"
    mocks.advance(3000)
    assert motorweb.status(batch) == "COMPLETED"
