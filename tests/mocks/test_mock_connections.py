"""Connections of the mocks: kept open between requests, framed correctly, and closed by faults and at the end."""

from __future__ import annotations

import http.client
import json
import socket
import uuid
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import MOTORWEB, SITECORE, SitecoreClient, announced, packed, record, upload_headers

from batchsync_mocks import Fault, serve

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync_mocks import Running

DATA = packed(*(record("guest", "upsert", email=f"{n}@example.com") for n in range(3)))


def connected(url: str) -> http.client.HTTPConnection:
    target = urlsplit(url)
    return http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)


def raw_connection(url: str) -> socket.socket:
    target = urlsplit(url)
    return socket.create_connection((str(target.hostname), int(target.port or 0)), timeout=10)


def test_one_connection_serves_all_kinds_of_responses(mocks: Running, sitecore: SitecoreClient) -> None:
    href = sitecore.allocate(str(uuid.uuid4()), announced(DATA)).json()["location"]["href"]
    path, headers = href.removeprefix(sitecore.url), upload_headers(DATA)
    large = b"x" * (5 << 20)
    calls = [
        ("GET", "/_mock/clock", b"", {}, 200),
        ("HEAD", "/_mock/nothing", b"", {}, 404),
        ("GET", "/_mock/ledger", b"", mocks.control_headers, 200),
        # Refused before its body is read.
        ("PUT", path.partition("?")[0], large, {}, 403),
        ("PUT", path, iter([DATA]), {**headers, "Transfer-Encoding": "chunked"}, 501),
        ("PUT", path, DATA, headers, 200),
        ("GET", "/_mock/batches", b"", {}, 200),
        ("GET", "/v2/batches/inspect", b"", {}, 401),
    ]
    with closing(connected(sitecore.url)) as connection:
        connection.connect()
        kept = connection.sock
        for method, target, body, sent, status in calls:
            connection.request(method, target, body=body, headers=sent, encode_chunked=not isinstance(body, bytes))
            response = connection.getresponse()
            assert (response.status, response.headers["Connection"]) == (status, "keep-alive"), (method, target)
            assert response.read() or method in {"HEAD", "PUT"}
            assert connection.sock is kept, (method, target)


def test_requests_that_arrive_together_are_answered_in_order(sitecore: SitecoreClient) -> None:
    with raw_connection(sitecore.url) as raw, raw.makefile("rb") as answers:
        one = b"GET /_mock/clock HTTP/1.1\r\nHost: localhost\r\n"
        raw.sendall(one + b"\r\n" + one.replace(b"clock", b"none") + b"Connection: close\r\n\r\n")
        received = answers.read()
    assert received.count(b"HTTP/1.1 ") == 2
    assert received.index(b" 200 OK") < received.index(b"Connection: keep-alive") < received.index(b" 404 ")
    assert b"Connection: close" in received


def test_old_client_gets_a_body_without_chunks(mocks: Running, sitecore: SitecoreClient) -> None:
    token = mocks.control_headers["Authorization"]
    with raw_connection(sitecore.url) as raw, raw.makefile("rb") as answers:
        raw.sendall(f"GET /_mock/ledger HTTP/1.0\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n".encode())
        head, _, body = answers.read().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert json.loads(body) == {"vendor": SITECORE, "entries": []}


@pytest.mark.parametrize("kind", ["cut", "lose_answer", "reset_answer", "reset", "half_close"])
def test_fault_ends_a_kept_connection(mocks: Running, sitecore: SitecoreClient, kind: str) -> None:
    mocks.arm(Fault.from_json({"kind": kind, "path": "/v2/batches/inspect", "nth": 2}))
    with closing(connected(sitecore.url)) as connection:
        for number in range(2):
            connection.request("GET", "/v2/batches/inspect")
            if not number:
                assert connection.getresponse().read()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            connection.getresponse().read()
    assert requests.get(f"{sitecore.url}/v2/batches/inspect", timeout=10).status_code == 401


def test_client_that_stops_within_a_body_loses_its_connection(sitecore: SitecoreClient) -> None:
    with raw_connection(sitecore.url) as raw, raw.makefile("rb") as answers:
        raw.sendall(b"PUT /v2/batches/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nonly")
        assert b" 401 " in answers.readline()
        assert b"HTTP/1.1" not in answers.read()


@pytest.mark.parametrize("length", ["x", "-1", "1_0"])
def test_invalid_length_ends_the_connection(sitecore: SitecoreClient, length: str) -> None:
    with raw_connection(sitecore.url) as raw, raw.makefile("rb") as answers:
        raw.sendall(f"GET /_mock/clock HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
        assert b"Connection: close" in answers.read()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_end_of_the_mocks_closes_kept_connections(tmp_path: Path, scheme: str) -> None:
    with serve([MOTORWEB], https=scheme == "https", state_dir=tmp_path) as mocks, requests.Session() as session:
        session.trust_env, session.verify = False, str(mocks.ca)
        url = f"{mocks.url}/_mock/clock"
        assert session.get(url, timeout=10).status_code == session.get(url, timeout=10).status_code == 200
        mocks.close()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=10)
