"""Signed URLs: storage refuses expired, altered, doubly authorized and damaged requests."""

from __future__ import annotations

import hashlib
import re
import socket
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

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

from batchsync_mocks import signing, signing_v4

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


@pytest.fixture(params=["v4", "v2"])
def s3_url(request: pytest.FixtureRequest, mocks: Running, sitecore: SitecoreClient) -> str:
    mocks.switch("sitecore-cdp", signature=request.param)
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


def test_errors_of_s3_have_two_ids(s3_url: str) -> None:
    response = put(s3_url, DATA)
    ids = re.search(r"<RequestId>(\w{16})</RequestId><HostId>([\w+/=]+)</HostId>", response.text)
    assert ids is not None
    assert (response.headers["x-amz-request-id"], response.headers["x-amz-id-2"]) == (ids[1], ids[2])


def test_s3_refuses_two_authorization_mechanisms(s3_url: str, sitecore: SitecoreClient) -> None:
    response = requests.put(s3_url, data=DATA, headers=upload_headers(DATA), auth=sitecore.auth, timeout=10)
    assert code_of(response) == (400, "InvalidArgument")
    assert "Only one auth mechanism allowed" in response.text


def test_s3_refuses_a_body_that_does_not_match_its_md5(s3_url: str, mocks: Running) -> None:
    headers = upload_headers(DATA)
    assert code_of(put(s3_url, DATA + b"x", **headers)) == (400, "BadDigest")
    hexed = announced(DATA)["checksum"]
    signed = "X-Amz-Signature" in s3_url
    for wrong in (hexed, "????", ""):
        expected = (403, "SignatureDoesNotMatch") if signed else (400, "InvalidDigest")
        assert code_of(put(s3_url, DATA, **headers | {"Content-Md5": wrong})) == expected
    assert mocks.batches("sitecore-cdp")[0]["status"] == "uploading"


def test_s3_requires_content_length(s3_url: str) -> None:
    chunked = requests.put(s3_url, data=iter([DATA]), headers=upload_headers(DATA), timeout=10)
    assert code_of(chunked) == (501, "NotImplemented")
    target = urlsplit(s3_url)
    with socket.create_connection((str(target.hostname), target.port or 0), timeout=10) as raw:
        raw.sendall(
            f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: {target.netloc}\r\n"
            f"Content-Md5: {upload_headers(DATA)['Content-Md5']}\r\n"
            "x-amz-server-side-encryption: AES256\r\nConnection: close\r\n\r\n".encode(),
        )
        assert b" 411 " in raw.recv(65536).splitlines()[0]


def test_interrupted_upload_stores_nothing(s3_url: str, mocks: Running) -> None:
    target = urlsplit(s3_url)
    with socket.create_connection((str(target.hostname), target.port or 0), timeout=10) as raw:
        raw.sendall(
            f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: {target.netloc}\r\n"
            f"Content-Md5: {upload_headers(DATA)['Content-Md5']}\r\n"
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


# AWS Signature V4


@pytest.fixture
def v4_url(sitecore: SitecoreClient) -> str:
    return str(sitecore.allocate(str(uuid.uuid4()), announced(DATA)).json()["location"]["href"])


def test_v4_url_signs_host_md5_and_encryption(v4_url: str) -> None:
    query = dict(parse_qsl(urlsplit(v4_url).query))
    assert query["X-Amz-SignedHeaders"] == "content-md5;host;x-amz-server-side-encryption"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert set(query) == {
        f"X-Amz-{name}"
        for name in ("Algorithm", "Credential", "Date", "Expires", "Security-Token", "SignedHeaders", "Signature")
    }


def test_v4_upload_needs_the_signed_md5(v4_url: str) -> None:
    headers = upload_headers(DATA)
    del headers["Content-Md5"]
    assert code_of(put(v4_url, DATA, **headers)) == (403, "SignatureDoesNotMatch")
    other = upload_headers(DATA + b"x")["Content-Md5"]
    assert code_of(put(v4_url, DATA + b"x", **headers, **{"Content-Md5": other})) == (403, "SignatureDoesNotMatch")
    assert put(v4_url, DATA, **upload_headers(DATA)).status_code == 200


def test_v4_header_that_was_not_signed_is_named(v4_url: str) -> None:
    response = put(v4_url, DATA, **upload_headers(DATA), **{"x-amz-acl": "private"})
    assert code_of(response) == (403, "AccessDenied")
    assert "<HeadersNotSigned>x-amz-acl</HeadersNotSigned>" in response.text


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA1"),
        ("X-Amz-Date", "today"),
        ("X-Amz-Expires", "soon"),
        ("X-Amz-Expires", "604801"),
        ("X-Amz-SignedHeaders", ""),
    ],
)
def test_v4_parameter_that_is_invalid_is_refused(v4_url: str, parameter: str, value: str) -> None:
    changed = re.sub(rf"{parameter}=[^&]*", f"{parameter}={value}", v4_url)
    assert code_of(put(changed, DATA, **upload_headers(DATA))) == (400, "AuthorizationQueryParametersError")


def test_v4_signature_is_that_of_the_documented_example() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, without a session token
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
        "X-Amz-Date": "20130524T000000Z",
        "X-Amz-Expires": "86400",
        "X-Amz-SignedHeaders": "host",
    }
    account = signing_v4.Account(
        key_id="AKIAIOSFODNN7EXAMPLE",
        secret=b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        token="",
        region="us-east-1",
    )
    headers = {"host": "examplebucket.s3.amazonaws.com"}
    call = signing.Call(verb="GET", path="/test.txt", query=(), headers=headers)
    expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert signing_v4.signature_of(call, query, ["host"], account) == expected


# Downloads


@pytest.fixture
def log_url(sitecore: SitecoreClient, mocks: Running) -> str:
    ref = sitecore.send(packed(record("guest", "unknown", email="a@example.com")))
    mocks.advance(60)
    return str(sitecore.get(f"/inspect/{ref}").json()["status"]["log"])


def test_download_has_etag_and_time_and_may_be_in_ranges(log_url: str) -> None:
    whole = requests.get(log_url, timeout=10, headers={"Accept-Encoding": "identity"})
    assert whole.headers["ETag"] == f'"{hashlib.md5(whole.content, usedforsecurity=False).hexdigest()}"'
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Last-Modified"].endswith(" GMT")
    part = requests.get(log_url, timeout=10, headers={"Range": "bytes=2-9", "Accept-Encoding": "identity"})
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    assert part.headers["Content-Range"] == f"bytes 2-9/{len(whole.content)}"
    unchanged = requests.get(log_url, timeout=10, headers={"If-None-Match": whole.headers["ETag"]})
    assert unchanged.status_code == 304


def test_range_beyond_a_download_is_refused(log_url: str) -> None:
    response = requests.get(log_url, timeout=10, headers={"Range": "bytes=999999-"})
    assert code_of(response) == (416, "InvalidRange")


def test_upload_that_waits_for_100_continue_gets_it_once(v4_url: str) -> None:
    target = urlsplit(v4_url)
    headers = upload_headers(DATA) | {"Host": target.netloc, "Content-Length": str(len(DATA)), "Expect": "100-continue"}
    headers["Connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((str(target.hostname), target.port or 0), timeout=10) as raw:
        raw.sendall(f"PUT {target.path}?{target.query} HTTP/1.1\r\n{head}\r\n".encode())
        first = raw.recv(65536)
        assert first.startswith(b"HTTP/1.1 100 ")
        raw.sendall(DATA)
        with raw.makefile("rb") as rest:
            answer = first + rest.read()
    assert answer.count(b"100 Continue") == 1
    assert b"HTTP/1.1 200 OK" in answer


@pytest.mark.parametrize(
    ("forwarded", "scheme"), [("https", "https"), ("https, http", "https"), ("javascript", "http")]
)
def test_urls_have_the_scheme_of_the_proxy_in_front(sitecore: SitecoreClient, forwarded: str, scheme: str) -> None:
    allocated = requests.put(
        f"{sitecore.url}/v2/batches/{uuid.uuid4()}",
        json=announced(DATA),
        auth=sitecore.auth,
        headers={"X-Forwarded-Proto": forwarded},
        timeout=10,
    ).json()
    assert urlsplit(allocated["location"]["href"]).scheme == scheme
    assert urlsplit(allocated["href"]).scheme == scheme


def test_credentials_are_demanded_with_their_scheme(sitecore: SitecoreClient) -> None:
    response = requests.get(f"{sitecore.url}/v2/batches/inspect", timeout=10)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
