"""Sitecore mock over HTTP, as documented in sitecore-cdp.md, section 3: allocate, upload, status, list, error log."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import requests
from mock_clients import (
    SITECORE,
    SitecoreClient,
    announced,
    packed,
    put,
    read_log,
    record,
    upload_headers,
)

if TYPE_CHECKING:
    from batchsync_mocks import Running

GOOD = record("guest", "upsert", guestType="customer", email="a@example.com")
BAD = record("guest", "insert", email="b@example.com")
DATA = packed(GOOD)
MILLIS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_wrong_or_missing_credentials_get_401(sitecore: SitecoreClient) -> None:
    url = f"{sitecore.url}/v2/batches/inspect"
    for auth in (None, ("key", "token"), (sitecore.auth[0], "wrong")):
        response = requests.get(url, auth=auth, timeout=10)
        assert response.status_code == 401
        assert set(response.json()) == {"status", "code", "message", "developerMessage", "moreInfo"}
    assert requests.get(url, headers={"Authorization": "Basic é".encode()}, timeout=10).status_code == 401


def test_allocation_returns_a_location_valid_for_an_hour(sitecore: SitecoreClient) -> None:
    ref = str(uuid.uuid4())
    response = sitecore.allocate(ref, announced(DATA))
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"href", "ref", "checksum", "size", "location", "status", "createdAt", "modifiedAt"}
    assert body["href"] == f"{sitecore.url}/v2/batches/{ref}"
    assert (body["ref"], body["checksum"], body["size"]) == (ref, *announced(DATA).values())
    assert body["status"] == {"code": "uploading"}
    assert body["location"]["expiry"] == "2026-03-01T13:00:00.000Z"
    assert body["location"]["href"].startswith(sitecore.url)
    assert MILLIS.fullmatch(body["createdAt"])


@pytest.mark.parametrize(
    "change",
    [
        {"checksum": None},
        {"checksum": "abc"},
        {"checksum": 7},
        {"size": None},
        {"size": 0},
        {"size": -1},
        {"size": 52_428_801},
        {"size": "17.1"},
        {"size": ""},
        {"size": 1.5},
        {"size": True},
    ],
)
def test_allocation_with_an_invalid_body_gets_400(sitecore: SitecoreClient, change: dict[str, Any]) -> None:
    response = sitecore.allocate(str(uuid.uuid4()), announced(DATA) | change)
    assert (response.status_code, response.json()["code"]) == (400, 400)


def test_batch_reference_must_be_a_uuid(sitecore: SitecoreClient) -> None:
    assert sitecore.allocate("batch-7", announced(DATA)).status_code == 400
    assert sitecore.allocate("3ee694e5-0b77-2d1e-af19-1aa78f500785", announced(DATA)).status_code == 200


def test_equal_allocation_may_be_repeated_until_the_upload(sitecore: SitecoreClient) -> None:
    ref = str(uuid.uuid4())
    sitecore.allocate(ref, announced(DATA))
    sitecore.running.advance(1)
    again = sitecore.allocate(ref, announced(DATA))
    assert (again.status_code, again.json()["location"]["expiry"]) == (200, "2026-03-01T13:00:01.000Z")
    assert sitecore.allocate(ref, announced(DATA) | {"size": 5}).status_code == 409
    assert put(again.json()["location"]["href"], DATA, **upload_headers(DATA)).content == b""
    assert sitecore.allocate(ref, announced(DATA)).status_code == 409


def test_unknown_batch_gets_404(sitecore: SitecoreClient) -> None:
    for path in (f"/{uuid.uuid4()}", f"/inspect/{uuid.uuid4()}", "/inspect/x"):
        assert sitecore.get(path).status_code == 404


def test_batch_moves_from_uploading_to_success(sitecore: SitecoreClient, mocks: Running) -> None:
    ref = str(uuid.uuid4())
    location = sitecore.allocate(ref, announced(DATA)).json()["location"]["href"]
    assert sitecore.get(f"/{ref}").json()["location"]["href"].startswith(location.partition("?")[0])
    assert put(location, DATA, **upload_headers(DATA)).status_code == 200
    seen = []
    for seconds in (0, 5, 10):
        mocks.advance(seconds)
        plain, inspected = sitecore.get(f"/{ref}").json(), sitecore.get(f"/inspect/{ref}").json()
        assert inspected["href"].endswith(f"/inspect/{ref}")
        seen.append((plain["status"]["code"], inspected["status"]["code"]))
    assert seen == [("uploading", "file_uploaded"), ("processing", "processing"), ("success", "success")]
    assert "location" not in sitecore.get(f"/inspect/{ref}").json()
    assert sitecore.get(f"/{ref}").json()["modifiedAt"] == "2026-03-01T12:00:15.000Z"


def test_failed_records_end_as_error_and_are_logged(sitecore: SitecoreClient, mocks: Running) -> None:
    ref = sitecore.send(packed(GOOD, BAD))
    mocks.advance(15)
    status = sitecore.get(f"/{ref}").json()["status"]
    assert status["code"] == "error"
    assert read_log(status["log"]) == [{"ref": BAD["ref"], "code": "402", "message": "Unsupported mode"}]
    assert [stored["value"]["email"] for stored in mocks.store(SITECORE)] == ["a@example.com"]
    mocks.advance(3600)
    assert requests.get(status["log"], timeout=10).status_code == 403
    assert read_log(sitecore.get(f"/inspect/{ref}").json()["status"]["log"])


@pytest.mark.parametrize(
    "change",
    [{"size": len(DATA) + 1}, {"checksum": announced(DATA)["checksum"].upper()}],
)
def test_differing_size_or_upper_case_checksum_is_corrupted(
    sitecore: SitecoreClient, mocks: Running, change: dict[str, Any]
) -> None:
    ref = str(uuid.uuid4())
    href = sitecore.allocate(ref, announced(DATA) | change).json()["location"]["href"]
    assert put(href, DATA, **upload_headers(DATA)).status_code == 200
    assert sitecore.get(f"/{ref}").json()["status"] == {"code": "corrupted"}
    mocks.advance(100)
    assert sitecore.get(f"/{ref}").json()["status"] == {"code": "corrupted"}
    assert mocks.store(SITECORE) == []
    assert [entry["outcome"] for entry in mocks.ledger(SITECORE)] == ["unprocessed"]


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("import.json", json.dumps(GOOD))
    return target.getvalue()


@pytest.mark.parametrize(
    "data",
    [zipped(), json.dumps(GOOD).encode(), packed(*[GOOD] * 50)[:-9], packed(GOOD)[:-4] + b"\0\0\0\0", b"\x1f\x8b"],
)
def test_incomplete_gzip_ends_as_error_without_a_log(sitecore: SitecoreClient, mocks: Running, data: bytes) -> None:
    ref = sitecore.send(data)
    mocks.advance(15)
    assert sitecore.get(f"/{ref}").json()["status"] == {"code": "error"}
    assert mocks.store(SITECORE) == []


def tarball() -> bytes:
    target, inside = io.BytesIO(), json.dumps(GOOD).encode() + b"\n"
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        entry = tarfile.TarInfo("import.json")
        entry.size = len(inside)
        archive.addfile(entry, io.BytesIO(inside))
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "bad_lines"),
    [
        (gzip.compress(json.dumps(GOOD, indent=1).encode(), mtime=0), len(json.dumps(GOOD, indent=1).splitlines())),
        (gzip.compress(json.dumps([GOOD]).encode(), mtime=0), 1),
        (gzip.compress(b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), mtime=0), 1),
        (gzip.compress(b'{"ref": NaN}\n7\nnull\n"text"\n{} {}\n', mtime=0), 5),
        (gzip.compress(b"[" * 200_000, mtime=0), 1),
        (gzip.compress(b"\xff\n" + json.dumps(GOOD).encode(), mtime=0), 1),
        (gzip.compress(b'{"a":"' + b"x" * (2 << 20) + b'"}\n', mtime=0), 1),
        (tarball(), 2),
    ],
)
def test_line_that_is_not_a_json_object_is_a_parse_error(
    sitecore: SitecoreClient, mocks: Running, data: bytes, bad_lines: int
) -> None:
    ref = sitecore.send(data)
    mocks.advance(15)
    log = read_log(sitecore.get(f"/{ref}").json()["status"]["log"])
    assert log == [{"ref": "null", "code": "400", "message": "Failed to parse import line"}] * bad_lines


@pytest.mark.parametrize("inside", [b"", b"\n\r\n\n"])
def test_file_without_records_succeeds(sitecore: SitecoreClient, mocks: Running, inside: bytes) -> None:
    ref = sitecore.send(gzip.compress(inside))
    mocks.advance(15)
    assert sitecore.get(f"/{ref}").json()["status"] == {"code": "success"}


def test_lf_crlf_and_missing_final_line_end_are_accepted(sitecore: SitecoreClient, mocks: Running) -> None:
    lines = [json.dumps(record("guest", "upsert", email=f"{n}@example.com")) for n in range(3)]
    ref = sitecore.send(gzip.compress(f"{lines[0]}\r\n{lines[1]}\n{lines[2]}".encode()))
    mocks.advance(15)
    assert sitecore.get(f"/{ref}").json()["status"] == {"code": "success"}
    assert len(mocks.store(SITECORE)) == 3


def test_repeated_upload_is_applied_once(sitecore: SitecoreClient, mocks: Running) -> None:
    ref = str(uuid.uuid4())
    href = sitecore.allocate(ref, announced(DATA)).json()["location"]["href"]
    for seconds in (0, 3, 16):
        mocks.advance(seconds)
        assert put(href, DATA, **upload_headers(DATA)).status_code == 200
    assert [entry["delivery"] for entry in mocks.ledger(SITECORE)] == [1]
    assert mocks.batches(SITECORE)[0]["uploads"] == 3


def test_list_is_filtered_paged_and_limited_to_thirty_days(sitecore: SitecoreClient, mocks: Running) -> None:
    refs = []
    for data in (DATA, packed(BAD), packed(GOOD, GOOD)):
        refs.append(sitecore.send(data))
        mocks.advance(60)
    everything = sitecore.get("/inspect").json()
    assert (everything["totalCount"], everything["offset"], everything["limit"]) == (3, 0, 100)
    assert [item["ref"] for item in everything["items"]] == refs[::-1]
    failed = everything["items"][1]
    assert (failed["status"], failed["href"]) == ("error", f"{sitecore.url}/v2/batches/inspect/{refs[1]}")
    assert read_log(failed["log"])
    page = sitecore.get("/inspect", offset="1", limit="1").json()
    assert (page["totalCount"], [item["ref"] for item in page["items"]]) == (3, [refs[1]])
    assert sitecore.get("/inspect", status="success,corrupted").json()["totalCount"] == 2
    bounds = {"createdAfter": "2026-03-01T12:00:00Z", "createdBefore": "2026-03-01T12:02:00.000Z"}
    assert [item["ref"] for item in sitecore.get("/inspect", **bounds).json()["items"]] == [refs[1]]
    assert sitecore.get("/inspect", limit="500").json()["limit"] == 100
    for wrong in ({"limit": "many"}, {"offset": "-1"}, {"createdBefore": "yesterday"}):
        assert sitecore.get("/inspect", **wrong).status_code == 400
    mocks.advance(30 * 86_400)
    assert sitecore.get("/inspect").json()["totalCount"] == 0
    assert sitecore.get(f"/inspect/{refs[0]}").status_code == 200


def test_other_methods_get_the_platform_error(sitecore: SitecoreClient) -> None:
    response = requests.delete(f"{sitecore.url}/v2/batches/{uuid.uuid4()}", auth=sitecore.auth, timeout=10)
    assert (response.status_code, response.json()["status"]) == (405, 405)
