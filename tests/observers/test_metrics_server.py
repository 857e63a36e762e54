"""The server of metrics: checks that fail, documents that fail, IPv6, and clients that send nothing or nonsense."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import requests

from batchsync.observers.metrics_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND = "text/plain; version=1.0.0"


def broken() -> tuple[bytes, str]:
    raise RuntimeError("SECRET")


@pytest.fixture
def url() -> Iterator[str]:
    documents = {"/metrics": lambda: (b"a 1\n", KIND), "/broken": broken}
    checks = {"/healthz": lambda: (False, "the loop does not turn"), "/readyz": lambda: (True, "ok")}
    with serving("127.0.0.1", 0, documents, checks) as (host, port):
        yield f"http://{host}:{port}"


def test_failed_check_is_unavailable(url: str) -> None:
    found = requests.get(f"{url}/healthz", timeout=20)
    assert (found.status_code, found.text) == (503, "the loop does not turn\n")
    assert requests.get(f"{url}/readyz", timeout=20).status_code == 200
    assert requests.get(f"{url}/healthz?verbose", timeout=20).status_code == 503


def test_failed_document_is_an_error_without_details(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = requests.get(f"{url}/broken", timeout=20)
    assert found.status_code == 500
    assert "SECRET" not in found.text
    assert requests.get(f"{url}/metrics", timeout=20).text == "a 1\n"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\r\n",
        b"GET",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /" + b"a" * 70000,
        b"A: b\r\n" * 300,
    ],
)
def test_nonsense_leaves_other_clients_alone(url: str, request_bytes: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(request_bytes)
        found = requests.get(f"{url}/metrics", timeout=20)
    assert found.headers["Content-Type"] == KIND
    assert found.text == "a 1\n"
    assert "Traceback" not in capfd.readouterr().err


def test_address_of_ipv6_is_served() -> None:
    with serving("::1", 0, {"/metrics": lambda: (b"a 1\n", KIND)}, {}) as (host, port):
        assert requests.get(f"http://[{host}]:{port}/metrics", timeout=20).content == b"a 1\n"
