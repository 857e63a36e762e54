"""Helpers of the vendor tests: a clock, batch files, sample rows, and a scripted server."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import socket
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from batchsync.core.batch import BatchFile
from batchsync.core.vendor_calls import Endpoint
from batchsync.vendors.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import batchsync_mocks
    from batchsync.core.vendor_rules import VendorRules

    Script = Callable[[socket.socket, bytes], None]

#: A signed URL path in the format of Google Cloud Storage, and the part of it that must never be shown.
SIGNATURE = "X-Goog-Signature=0badc0ffee"
TARGET = f"/user-upload/123-2022-08-08T22:22:21-qwerty.csv?X-Goog-Credential=a%2fb%2F~c&{SIGNATURE}"
MOTORWEB, SITECORE = "motorweb-bdp", "sitecore-cdp"


class MockedClock:
    """Clock that returns the time of the mocks, or a fixed time that advances by `step` at each call."""

    def __init__(self, clock: batchsync_mocks.Clock | None = None) -> None:
        self._clock = clock
        self.step = timedelta()
        self._at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self._at += self.step
        return datetime.fromtimestamp(self._clock.now(), UTC) if self._clock else self._at

    def sleep(self, duration: timedelta) -> None:
        self._at += duration


class ScriptedServer:
    """Server that accepts connections in sequence, reads a request, and lets a script respond."""

    def __init__(self, script: Script, *, reads_body: bool = True) -> None:
        self._script = script
        self._reads_body = reads_body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                head, body = self._request(connection)
                self.heads.append(head)
                self.bodies.append(body)
                self._script(connection, head)

    def _request(self, connection: socket.socket) -> tuple[bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                return received, b""
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        length = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while self._reads_body and length and len(body) < int(length[0]):
            body += connection.recv(65536)
        return head, body

    def close(self) -> None:
        # Closing alone does not end a pending accept in the other thread.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def reset(connection: socket.socket) -> None:
    """Reset the connection when it is closed, as a broken network does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def respond_with(status: str, body: bytes = b"", **headers: str) -> Script:
    """Return a script that sends a complete response."""
    named = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}

    def script(connection: socket.socket, _: bytes) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        connection.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    return script


def no_response(_connection: socket.socket, _: bytes) -> None:
    """Read the request and send nothing for a second."""
    time.sleep(1)


def reset_after_request(connection: socket.socket, _: bytes) -> None:
    """Read the request and reset the connection."""
    reset(connection)


def close_connection(_connection: socket.socket, _: bytes) -> None:
    """Close the connection without a response."""


def truncated_response(connection: socket.socket, _: bytes) -> None:
    """Send a response that is cut in the middle of its body."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")


def invalid_response(connection: socket.socket, _: bytes) -> None:
    """Send bytes that are not HTTP."""
    connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")


def make_request(
    url: str,
    method: str = "GET",
    endpoint: Endpoint = Endpoint.STORAGE,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    file: str | None = None,
    size: int = 0,
) -> Request:
    return Request(method=method, url=url, endpoint=endpoint, headers=headers or {}, body=body, file=file, size=size)


def write_batch_file(folder: Path, name: str, text: str, rules: VendorRules) -> BatchFile:
    """Write a batch file in the format of a vendor spec."""
    data = gzip.compress(text.encode(), mtime=0) if rules.file.gzip else text.encode()
    path = folder / f"{name}{rules.file.suffix}"
    path.write_bytes(data)
    return BatchFile(
        path=str(path),
        row_manifest="",
        digest=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        size=len(data),
        rows=text.count("\n"),
    )


VEHICLES = "vin,plate,state\n6T1BE42KX8X480001,,\n,ABC123,ACT\n"
VEHICLES_WITH_INVALID = "vin,plate,state\n6T1BE42KX8X480001,,\nABCDE,,\n"

_REF = "c56a4180-65aa-42ec-a945-5fd21dec05"
_GUEST = '{{"ref":"{ref}","schema":"guest","mode":"upsert","value":{{"guestType":"customer",{members}}}}}\n'

GUESTS = _GUEST.format(ref=_REF + "01", members='"email":"jane@example.com"')
GUESTS_WITH_INVALID = GUESTS + _GUEST.format(ref=_REF + "02", members='"firstName":"Jane"')
