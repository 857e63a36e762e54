"""Switches for the form of answers: late, short and empty ones, other encodings, and echoed inputs."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
import requests
from mock_clients import MOTORWEB, SITECORE, MotorwebClient, SitecoreClient, named, packed, record

from batchsync_mocks import Fault

if TYPE_CHECKING:
    from batchsync_mocks import Running


def finished(motorweb: MotorwebClient, body: bytes) -> str:
    batch = motorweb.send(body, "cars")
    motorweb.running.advance(600)
    return batch


def test_motorweb_results_are_short_until_results_after(mocks: Running, motorweb: MotorwebClient) -> None:
    mocks.switch(MOTORWEB, results_after=30, json_errors="empty")
    batch = finished(motorweb, b"vin\nbad\n1HGCM82633A004352\n1HGCM82633A004353\n")
    assert len(result_of(motorweb, batch).splitlines()) == 2
    assert motorweb.call("GET", f"/batches/{batch}/errors").json()["batchItemsErrors"] == []
    mocks.advance(30)
    assert len(result_of(motorweb, batch).splitlines()) == 3
    assert len(motorweb.call("GET", f"/batches/{batch}/errors/download").content.splitlines()) == 2


@pytest.mark.parametrize(
    ("form", "encoding", "delimiter"),
    [
        ("bom", "utf-8-sig", ","),
        ("semicolon", "utf-8", ";"),
        ("tab", "utf-8", "\t"),
        ("utf-16", "utf-16", ","),
        ("latin-1", "latin-1", ","),
    ],
)
def test_motorweb_tables_and_echo_follow_the_switches(
    mocks: Running, motorweb: MotorwebClient, form: str, encoding: str, delimiter: str
) -> None:
    mocks.switch(MOTORWEB, tables=form, echo="lower")
    batch = finished(motorweb, b"vin\n1HGCM82633A004352\n")
    [row] = csv.DictReader(io.StringIO(result_of(motorweb, batch).decode(encoding)), delimiter=delimiter)
    assert row["vin"] == "1hgcm82633a004352"


def test_motorweb_tables_are_zipped_and_errors_padded(mocks: Running, motorweb: MotorwebClient) -> None:
    mocks.switch(MOTORWEB, tables="zip", echo="padded")
    batch = finished(motorweb, b"vin\nbad\n1HGCM82633A004352\n")
    with zipfile.ZipFile(io.BytesIO(result_of(motorweb, batch))) as archive:
        assert b" 1HGCM82633A004352 " in archive.read(archive.namelist()[0])
    [item] = motorweb.call("GET", f"/batches/{batch}/errors").json()["batchItemsErrors"]
    assert item["inputs"] == {"vin": " bad "}


def test_motorweb_status_and_errors_are_answered_by_the_calls_of_the_switches(
    mocks: Running, motorweb: MotorwebClient
) -> None:
    batch = motorweb.send(b"vin\nbad\n", "cars")

    def statuses(*paths: str) -> list[int]:
        return [motorweb.call("GET", f"/batches/{batch}{path}").status_code for path in paths]

    mocks.switch(MOTORWEB, status_by="reports")
    assert statuses("", "/reports") == [404, 200]
    mocks.switch(MOTORWEB, status_by="batch")
    assert statuses("", "/reports") == [200, 404]
    mocks.advance(600)
    assert statuses("", "/reports") == [200, 200]
    mocks.switch(MOTORWEB, errors_by="json")
    assert statuses("/errors", "/errors/download") == [200, 404]
    mocks.switch(MOTORWEB, errors_by="csv", csv_columns="one")
    assert statuses("/errors", "/errors/download") == [404, 200]
    [row] = csv.DictReader(io.StringIO(motorweb.call("GET", f"/batches/{batch}/errors/download").text))
    assert row["vin"] == "bad"
    assert row["mockReason"].startswith("VALIDATION_ERROR: VIN must be")


def result_of(motorweb: MotorwebClient, batch: str) -> bytes:
    """Return the result file of a batch."""
    return requests.get(motorweb.call("GET", f"/batches/{batch}/reports").json()["url"], timeout=10).content


def test_sitecore_log_comes_late_and_in_the_form_of_the_switch(mocks: Running, sitecore: SitecoreClient) -> None:
    mocks.switch(SITECORE, log_after=30, log_form="array")
    ref = sitecore.send(packed(record("guest", "delete", identifiers=named("none"))))
    mocks.advance(15)
    assert sitecore.get(f"/inspect/{ref}").json()["status"] == {"code": "error"}
    mocks.advance(30)

    def log() -> bytes:
        return gzip.decompress(
            requests.get(sitecore.get(f"/inspect/{ref}").json()["status"]["log"], timeout=10).content
        )

    [entry] = json.loads(log())
    mocks.switch(SITECORE, log_form="bom")
    assert json.loads(log().decode("utf-8-sig")) == entry
    mocks.switch(SITECORE, log_form="padded")
    assert json.loads(log())["ref"] == f" {entry['ref']} "


def test_blank_and_unframed_answers(mocks: Running, motorweb: MotorwebClient) -> None:
    batch = finished(motorweb, b"vin\n1HGCM82633A004352\n")
    mocks.arm(Fault(kind="blank", path="/_storage"))
    assert result_of(motorweb, batch) == b""
    whole = result_of(motorweb, batch)
    mocks.arm(Fault(kind="cut_unframed", path="/_storage", after=len(whole) - 3))
    assert result_of(motorweb, batch) == whole[:-3]
