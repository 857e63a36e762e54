"""A call ends at its deadline, whatever its server sends, and each call has one deadline from connect to last byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from vendor_kit import TARGET, MockedClock, ScriptedServer, make_request

from batchsync.core.vendor_calls import Limits
from batchsync.errors import AmbiguousOutcomeError, RetryableError, VendorError
from batchsync.vendors.allowed_urls import UrlAllowList
from batchsync.vendors.http import HttpTransport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., ScriptedServer]

#: Time limit of a call in these tests, and the time after which a call counts as endless, on a busy machine.
LIMIT, ENDLESS = 0.8, 5.0
#: Longer than a test needs, shorter than the read timeout: each single byte comes in time.
PAUSE = 0.05


def transport(url: str, clock: MockedClock) -> HttpTransport:
    """Return a transport whose single operations may take longer than a whole call."""
    limits = Limits(
        connect=timedelta(seconds=LIMIT),
        read=timedelta(seconds=60),
        answer=timedelta(seconds=LIMIT),
        whole=timedelta(seconds=LIMIT),
    )
    return open_transport(
        UrlAllowList(base_url=url, api_hosts=(), storage_hosts=()), limits, clock, "batchsync tests", None
    )


def drip(connection: socket.socket, *, first: bytes, repeated: bytes) -> None:
    connection.sendall(first)
    ends_at = time.monotonic() + ENDLESS * 2
    while time.monotonic() < ends_at:
        connection.sendall(repeated)
        time.sleep(PAUSE)


def slow_status_line(connection: socket.socket, _: bytes) -> None:
    drip(connection, first=b"HTTP/1.1 200 ", repeated=b"O")


def slow_header(connection: socket.socket, _: bytes) -> None:
    drip(connection, first=b"HTTP/1.1 200 OK\r\nX-Slow: ", repeated=b"x")


def endless_headers(connection: socket.socket, _: bytes) -> None:
    drip(connection, first=b"HTTP/1.1 200 OK\r\n", repeated=b"X: y\r\n")


def endless_continue(connection: socket.socket, _: bytes) -> None:
    drip(connection, first=b"", repeated=b"HTTP/1.1 100 Continue\r\n\r\n")


def flood_of_continue(connection: socket.socket, _: bytes) -> None:
    ends_at = time.monotonic() + ENDLESS * 2
    while time.monotonic() < ends_at:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def slow_body(connection: socket.socket, _: bytes) -> None:
    drip(connection, first=b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", repeated=b"x")


def slow_chunks(connection: socket.socket, _: bytes) -> None:
    drip(connection, first=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", repeated=b"1\r\nx\r\n")


def slow_chunk_size(connection: socket.socket, _: bytes) -> None:
    drip(connection, first=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", repeated=b"0")


def silence(connection: socket.socket, _: bytes) -> None:
    connection.settimeout(ENDLESS * 2)
    connection.recv(1)


SLOW = [
    slow_status_line,
    slow_header,
    endless_headers,
    endless_continue,
    flood_of_continue,
    slow_body,
    slow_chunks,
    slow_chunk_size,
    silence,
]


@pytest.mark.parametrize("script", SLOW)
@pytest.mark.parametrize("operation", ["send", "download"])
def test_call_ends_at_its_deadline(
    script: object, operation: str, scripted: Start, clock: MockedClock, tmp_path: Path
) -> None:
    server = scripted(script)
    http, request = transport(server.url, clock), make_request(server.url + TARGET)
    into = [tmp_path / "document"] if operation == "download" else []
    started = time.monotonic()
    with pytest.raises(AmbiguousOutcomeError, match="sent"):
        getattr(http, operation)(request, *into)
    assert time.monotonic() - started < ENDLESS
    assert list(tmp_path.iterdir()) == []


def test_upload_ends_at_its_deadline_if_the_server_reads_slowly(
    scripted: Start, clock: MockedClock, tmp_path: Path
) -> None:
    def read_slowly(connection: socket.socket, _: bytes) -> None:
        ends_at = time.monotonic() + ENDLESS * 2
        while time.monotonic() < ends_at and connection.recv(1024):
            time.sleep(PAUSE)

    batch_file = tmp_path / "batch"
    batch_file.write_bytes(b"x" * 50_000_000)
    server = scripted(read_slowly, reads_body=False)
    request = make_request(server.url + TARGET, "PUT", file=str(batch_file), size=50_000_000)
    started = time.monotonic()
    with pytest.raises(AmbiguousOutcomeError, match="sent"):
        transport(server.url, clock).send(request)
    assert time.monotonic() - started < ENDLESS


@pytest.mark.parametrize("first", [b"\x16\x03\x03\x40\x00", b""])
def test_tls_handshake_ends_at_its_deadline(first: bytes, clock: MockedClock) -> None:
    """A record of a handshake that arrives byte by byte, and a server that sends nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                drip(connection, first=first, repeated=b"\x02" if first else b"")
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    started = time.monotonic()
    with pytest.raises(VendorError):
        transport(url, clock).send(make_request(url + TARGET))
    assert time.monotonic() - started < ENDLESS
    listener.close()


def test_fast_answer_within_the_deadline_is_complete(scripted: Start, clock: MockedClock) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
            connection.sendall(bytes([byte]))

    server = scripted(answer)
    response = transport(server.url, clock).send(make_request(server.url + TARGET))
    assert (response.status, response.body) == (200, b"{}")


def test_refused_connection_is_retryable_nevertheless(clock: MockedClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(RetryableError, match="nothing was sent"):
        transport(url, clock).send(make_request(url + TARGET))


def test_name_with_many_silent_addresses_ends_at_its_deadline(
    clock: MockedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connect timeout limits each address; the deadline all of them."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        # A listener that accepts nothing, with a full queue, leaves further connections unanswered.
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        addresses = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM) * 100
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: addresses)
        url = f"http://127.0.0.1:{port}"
        started = time.monotonic()
        with pytest.raises(RetryableError, match="connect timeout; nothing was sent"):
            transport(url, clock).send(make_request(url + TARGET))
        assert time.monotonic() - started < ENDLESS


def test_next_address_of_a_name_is_tried(scripted: Start, clock: MockedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    server = scripted(answer)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = closed.getsockname()
    port = int(server.url.rpartition(":")[2])
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_args, **_more: [(*kind, refusing), (*kind, ("127.0.0.1", port))]
    )
    response = transport(server.url, clock).send(make_request(server.url + TARGET))
    assert response.body == b"{}"


def test_name_without_address_is_retryable(clock: MockedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_more: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    url = "http://127.0.0.1:9"
    with pytest.raises(RetryableError, match=r"Name or service not known.*nothing was sent"):
        transport(url, clock).send(make_request(url + TARGET))
