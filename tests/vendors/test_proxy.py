"""Requests through a proxy: what it sees, its refusals, and the deadline of a call."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from vendor_kit import SITECORE, TARGET, MockedClock, ScriptedServer, make_request, respond_with

import batchsync_mocks
from batchsync.core.vendor_calls import Endpoint, Limits
from batchsync.errors import RetryableError
from batchsync.ports import Proxy
from batchsync.vendors.allowed_urls import UrlAllowList
from batchsync.vendors.http import HttpTransport, open_transport
from batchsync.vendors.redaction import Redactor
from kit.forward_proxy import ForwardProxy

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., ScriptedServer]

#: Time limit of a call, and the time after which it counts as endless, on a busy machine.
LIMIT, ENDLESS = 0.8, 5.0
USER, PASSWORD = "proxy-user", "pr0xy:p@ssw/rd"
SECRETS = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
REMOTE = "https://api.vendor.example/v2"


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    running = ForwardProxy()
    yield running
    running.close()


def transport(proxy: ForwardProxy, base_url: str = "https://api.vendor.example") -> HttpTransport:
    limits = Limits(
        connect=timedelta(seconds=LIMIT),
        read=timedelta(seconds=60),
        answer=timedelta(seconds=LIMIT),
        whole=timedelta(seconds=LIMIT),
    )
    allowed = UrlAllowList(base_url=base_url, api_hosts=("api.vendor.example",), storage_hosts=())
    http = open_transport(allowed, limits, MockedClock(), "batchsync tests", None, Redactor([USER, PASSWORD]))
    host, _, port = proxy.address.partition(":")
    return replace(http, proxy=Proxy(host=host, port=int(port), user=USER, password=PASSWORD))


def test_plain_request_is_sent_with_absolute_url(scripted: Start, proxy: ForwardProxy) -> None:
    """Mocks on this machine are reached in this form; other hosts only through tunnels."""
    server = scripted(respond_with("200 OK", b"{}"))
    proxy.authorization = "Basic " + SECRETS[1]
    http = transport(proxy, server.url)
    response = http.send(make_request(server.url + TARGET, "PUT", Endpoint.API, body=b"{}"))
    assert (response.status, response.body) == (200, b"{}")
    assert proxy.targets == [f"PUT {server.url}{TARGET}".replace("%2f", "%2F")]
    [head] = server.heads
    assert b"proxy-authorization" not in head.lower()
    assert server.bodies == [b"{}"]


@pytest.mark.parametrize("status", [400, 403, 407, 502, 503])
def test_refused_tunnel_means_that_nothing_was_sent(proxy: ForwardProxy, status: int) -> None:
    quoted = "; ".join(SECRETS)
    proxy.answer = f"HTTP/1.1 {status} {quoted}\r\nX-Quoted: {quoted}\r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(RetryableError, match=f"refused the connection with HTTP {status}; nothing was sent") as raised:
        transport(proxy).send(make_request(REMOTE, "PUT", Endpoint.API, headers={"Authorization": "Bearer secret-77"}))
    shown = repr((raised.value, raised.value.__cause__, raised.value.__context__))
    assert not [secret for secret in SECRETS if secret in shown]
    assert b"secret-77" not in b"".join(proxy.heads)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 2", b"\x16\x03\x01\r\n\r\n"])
def test_proxy_that_speaks_no_http_means_that_nothing_was_sent(proxy: ForwardProxy, answer: bytes) -> None:
    proxy.answer = answer
    with pytest.raises(RetryableError, match="nothing was sent"):
        transport(proxy).send(make_request(REMOTE, "PUT", Endpoint.API))


def drip(connection: socket.socket, first: bytes, repeated: bytes) -> None:
    connection.sendall(first)
    ends_at = time.monotonic() + ENDLESS * 2
    while time.monotonic() < ends_at:
        connection.sendall(repeated)
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("first", "repeated"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 ", b"O"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b""),
    ],
)
def test_slow_proxy_ends_at_the_deadline_of_the_call(
    proxy: ForwardProxy, scripted: Start, first: bytes, repeated: bytes
) -> None:
    slow = scripted(lambda connection, _: drip(connection, first, repeated))
    http = replace(transport(proxy), proxy=Proxy(host="127.0.0.1", port=int(slow.url.rpartition(":")[2])))
    started = time.monotonic()
    with pytest.raises(RetryableError, match="did not answer in time; nothing was sent"):
        http.send(make_request(REMOTE, "PUT", Endpoint.API))
    assert time.monotonic() - started < ENDLESS


def test_certificate_is_checked_through_the_tunnel(proxy: ForwardProxy, tmp_path: Path) -> None:
    """A proxy that leads to a server with a certificate for another host."""
    with batchsync_mocks.serve([SITECORE], state_dir=tmp_path / "mocks", https=True) as mocks:
        proxy.routes["api.vendor.example:443"] = ("127.0.0.1", int(mocks.urls[SITECORE].rpartition(":")[2]))
        with pytest.raises(RetryableError, match="untrusted certificate; nothing was sent"):
            transport(proxy).send(make_request(REMOTE, "PUT", Endpoint.API))
        assert mocks.requests() == []
