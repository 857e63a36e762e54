"""Signed URLs: storage refuses expired, altered, doubly authorized and damaged requests."""

from __future__ import annotations

import re
import socket
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import (
    GOOD_CSV,
    MotorwebClient,
    SitecoreClient,
    announced,
    packed,
    put,
    record,
    upload_headers,
)

if TYPE_CHECKING:
    from batchsync_mocks import Running

DATA = packed(record("guest", "upsert", email="a@example.com"))


def code_of(response: requests.Response) -> tuple[int, str]:
    found = re.search(r"<Code>(\w+)</Code>", response.text)
    assert response.headers["Content-Type"] == "application/xml"
    assert found is not None
    return response.status_code, found[1]


@pytest.fixture
def gcs_url(motorweb: MotorwebClient) -> str:
    return str(motorweb.create().json()["url"])


@pytest.fixture
def s3_url(sitecore: SitecoreClient) -> str:
    return str(sitecore.allocate(str(uuid.uuid4()), announced(DATA)).json()["location"]["href"])


def test_expired_gcs_url_is_refused(gcs_url: str, mocks: Running) -> None:
    mocks.advance(899)
    assert put(gcs_url, GOOD_CSV).status_code == 200
    mocks.advance(1)
    assert code_of(put(gcs_url, GOOD_CSV)) == (400, "ExpiredToken")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Goog-Expires=900", "X-Goog-Expires=901"),
        ("20260301T120000Z&", "20260301T120001Z&"),
        ("user-upload/123", "user-upload/124"),
        ("X-Goog-Signature=", "X-Goog-Signature=0"),
        ("X-Goog-SignedHeaders=host", "X-Goog-SignedHeaders=host&extra=1"),
        (":00:00-", "%3A00:00-"),
    ],
)
def test_altered_gcs_url_is_refused(gcs_url: str, old: str, new: str) -> None:
    assert old in gcs_url
    assert code_of(put(gcs_url.replace(old, new, 1), GOOD_CSV)) == (403, "SignatureDoesNotMatch")


def test_gcs_url_with_other_verb_or_unsigned_header_is_refused(gcs_url: str) -> None:
    assert code_of(requests.get(gcs_url, timeout=10)) == (403, "SignatureDoesNotMatch")
    assert code_of(put(gcs_url, GOOD_CSV, **{"x-goog-resumable": "start"})) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("wrong", ["X-Goog-Date=today", "X-Goog-Date=20261301T000000Z"])
def test_invalid_gcs_date_is_refused(gcs_url: str, wrong: str) -> None:
    broken = re.sub(r"X-Goog-Date=\w+", wrong, gcs_url)
    assert code_of(put(broken, GOOD_CSV)) == (400, "MalformedSecurityHeader")


@pytest.mark.parametrize("wrong", ["soon", "0", "604801", "-5"])
def test_invalid_gcs_lifetime_is_refused(gcs_url: str, wrong: str) -> None:
    broken = gcs_url.replace("X-Goog-Expires=900", f"X-Goog-Expires={wrong}")
    assert code_of(put(broken, GOOD_CSV)) == (400, "MalformedSecurityHeader")


def test_gcs_refuses_an_authorization_header_and_an_unsigned_request(gcs_url: str, motorweb: MotorwebClient) -> None:
    doubly = put(gcs_url, GOOD_CSV, Authorization=f"Bearer {motorweb.token}")
    assert code_of(doubly) == (400, "InvalidArgument")
    assert code_of(put(gcs_url.partition("?")[0], GOOD_CSV)) == (403, "AccessDenied")


def test_expired_s3_url_is_refused(s3_url: str, mocks: Running) -> None:
    mocks.advance(3600)
    response = put(s3_url, DATA, **upload_headers(DATA))
    assert code_of(response) == (403, "AccessDenied")
    assert "Request has expired" in response.text


def test_altered_s3_url_is_refused(s3_url: str) -> None:
    longer = re.sub(r"Expires=(\d+)", lambda found: f"Expires={int(found[1]) + 1}", s3_url)
    for changed in (longer, s3_url.replace("import.gz", "log.gz"), f"{s3_url}&x=1", f"{s3_url}0"):
        assert code_of(put(changed, DATA, **upload_headers(DATA))) == (403, "SignatureDoesNotMatch")
    assert code_of(requests.get(s3_url, timeout=10)) == (403, "SignatureDoesNotMatch")


def test_s3_requires_exactly_the_signed_amz_headers(s3_url: str) -> None:
    headers = upload_headers(DATA)
    assert code_of(put(s3_url, DATA)) == (403, "SignatureDoesNotMatch")
    assert code_of(put(s3_url, DATA, **headers | {"x-amz-server-side-encryption": "aws:kms"}))[0] == 403
    assert code_of(put(s3_url, DATA, **headers | {"x-amz-acl": "private"}))[0] == 403
    assert put(s3_url, DATA, **headers).status_code == 200


def test_s3_refuses_two_authorization_mechanisms(s3_url: str, sitecore: SitecoreClient) -> None:
    response = requests.put(s3_url, data=DATA, headers=upload_headers(DATA), auth=sitecore.auth, timeout=10)
    assert code_of(response) == (400, "InvalidArgument")
    assert "Only one auth mechanism allowed" in response.text


def test_s3_refuses_a_body_that_does_not_match_its_md5(s3_url: str, mocks: Running) -> None:
    headers = upload_headers(DATA)
    assert code_of(put(s3_url, DATA + b"x", **headers)) == (400, "BadDigest")
    hexed = announced(DATA)["checksum"]
    for wrong in (hexed, "????", ""):
        assert code_of(put(s3_url, DATA, **headers | {"Content-Md5": wrong})) == (400, "InvalidDigest")
    assert mocks.batches("sitecore-cdp")[0]["status"] == "uploading"


def test_s3_requires_content_length(s3_url: str) -> None:
    chunked = requests.put(s3_url, data=iter([DATA]), headers=upload_headers(DATA), timeout=10)
    assert code_of(chunked) == (501, "NotImplemented")
    target = urlsplit(s3_url)
    with socket.create_connection((str(target.hostname), target.port or 0), timeout=10) as raw:
        raw.sendall(
            f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\n"
            "x-amz-server-side-encryption: AES256\r\nConnection: close\r\n\r\n".encode(),
        )
        assert b" 411 " in raw.recv(65536).splitlines()[0]


def test_interrupted_upload_stores_nothing(s3_url: str, mocks: Running) -> None:
    target = urlsplit(s3_url)
    with socket.create_connection((str(target.hostname), target.port or 0), timeout=10) as raw:
        raw.sendall(
            f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: x\r\n"
            f"x-amz-server-side-encryption: AES256\r\nContent-Length: {len(DATA)}\r\n\r\n".encode()
            + DATA[:-5],
        )
    assert mocks.batches("sitecore-cdp")[0]["uploads"] == 0
    assert put(s3_url, DATA, **upload_headers(DATA)).status_code == 200
    assert mocks.batches("sitecore-cdp")[0]["uploads"] == 1


def test_motorweb_storage_verifies_content_md5(motorweb: MotorwebClient) -> None:
    made = motorweb.create().json()
    right = upload_headers(GOOD_CSV)["Content-Md5"]
    wrong = upload_headers(b"other")["Content-Md5"]
    for header, status, error_code in ((wrong, 400, "BadDigest"), ("short", 400, "InvalidDigest"), (right, 200, "")):
        response = put(made["url"], GOOD_CSV, **{"Content-Md5": header})
        assert (response.status_code, error_code in response.text) == (status, True)
        assert motorweb.status(made["batchId"]) == ("PRE_PROCESSING" if status == 200 else "PENDING")


def test_background_md5_covers_all_bytes(sitecore: SitecoreClient) -> None:
    data = bytes(range(256)) * (3 << 12) + b"end"
    response = put(
        sitecore.allocate(str(uuid.uuid4()), announced(data)).json()["location"]["href"], data, **upload_headers(data)
    )
    assert response.headers["ETag"].strip('"') == announced(data)["checksum"]
