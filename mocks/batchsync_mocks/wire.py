"""Injection of faults: broken connections on the socket, and error responses of the vendor."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Never

from werkzeug.http import http_date
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsync_mocks.faults import Fault
    from batchsync_mocks.vendor import Vendor

_CHUNK = 1 << 16
_HALF_CLOSE_TIMEOUT = 2.0
#: Seconds between two bytes of a header that arrives slowly.
_DRIP_INTERVAL = 0.1


class SocketClosedError(ConnectionAbortedError):
    """Error that ends a request whose connection was closed by a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultContext:
    """A request, the fault that hits it, and the vendor it is addressed to."""

    request: Request
    fault: Fault
    vendor: Vendor


def apply_faults(request: Request, active_faults: Sequence[Fault], vendor: Vendor) -> Response:
    """Process a request under the faults that hit it: faults before processing, processing, faults after it.

    Args:
        request: The request.
        active_faults: Faults that hit it, in the order in which they were armed.
        vendor: The vendor that it is addressed to.

    Returns:
        The response to send.
    """
    contexts = [FaultContext(request=request, fault=fault, vendor=vendor) for fault in active_faults]
    for context in contexts:
        if context.fault.kind in _BEFORE and (response := _BEFORE[context.fault.kind](context)) is not None:
            return response
    lag = max((context.fault.seconds for context in contexts if context.fault.kind == "rewind"), default=0.0)
    with vendor.clock.lagging(lag):
        response = vendor.respond(request)
    for context in contexts:
        if context.fault.kind in _AFTER:
            response = _AFTER[context.fault.kind](context, response)
    return response


def close(request: Request, *, reset: bool) -> Never:
    """Close the client's connection with FIN or RST, and raise `SocketClosedError`.

    The exception alone does not close the connection: the server would continue to read from it.

    Raises:
        SocketClosedError: Always.
    """
    connection = request.environ["werkzeug.socket"]
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
    else:
        # The client or a half-close may have closed the connection already.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    raise SocketClosedError


def _refuse(context: FaultContext) -> Response:
    """Respond 503."""
    response = Response("Service Unavailable", 503, content_type="text/plain")
    if context.fault.retry_after is not None:
        response.headers["Retry-After"] = _retry_after(context)
    return response


def _throttle(context: FaultContext) -> Response:
    """Respond 429 in the vendor's format."""
    response = context.vendor.error_response(429, "Too many requests")
    if context.fault.retry_after is not None:
        response.headers["Retry-After"] = _retry_after(context)
    return response


def _retry_after(context: FaultContext) -> str:
    """Return the value of a Retry-After header."""
    seconds = context.fault.retry_after or 0
    if context.fault.retry_as == "date":
        # By the vendor's clock, like the Date header of each response.
        return http_date(context.vendor.clock.now() + seconds)
    return str(seconds)


def _status(context: FaultContext) -> Response:
    """Respond with the status of the fault."""
    status, text = context.fault.status, context.fault.text
    return Response(text or f"Status {status} by an injected fault.", status, content_type="text/plain")


def _revoke(context: FaultContext) -> None:
    """Revoke the vendor's tokens, and continue."""
    context.vendor.state.revoke_tokens()


def _delay(context: FaultContext) -> None:
    """Wait, and continue."""
    time.sleep(context.fault.seconds)


def _break_upload(context: FaultContext) -> Never:
    """Read a part of the body, and reset the connection."""
    remaining = (context.request.content_length or 0) // 2 if context.fault.after is None else context.fault.after
    while remaining > 0 and (chunk := context.request.stream.read(min(remaining, _CHUNK))):
        remaining -= len(chunk)
    close(context.request, reset=True)


def _reset(context: FaultContext) -> Never:
    """Reset the connection before processing."""
    close(context.request, reset=True)


def _lose_answer(context: FaultContext, response: Response) -> Never:
    """Close the connection without a response."""
    response.close()
    close(context.request, reset=False)


def _half_close(context: FaultContext, response: Response) -> Never:
    """Close the sending side, and read until the client closes."""
    response.close()
    connection = context.request.environ["werkzeug.socket"]
    # SSLSocket.shutdown would end the decryption of incoming data.
    socket.socket.shutdown(connection, socket.SHUT_WR)
    connection.settimeout(_HALF_CLOSE_TIMEOUT)
    with contextlib.suppress(OSError):
        while connection.recv(_CHUNK):
            pass
    close(context.request, reset=False)


def _reset_answer(context: FaultContext, response: Response) -> Never:
    """Reset the connection instead of responding."""
    response.close()
    close(context.request, reset=True)


def _cut(context: FaultContext, response: Response) -> Response:
    """Cut the body under its full Content-Length."""
    body = response.get_data()
    kept = len(body) // 2 if context.fault.after is None else context.fault.after
    response.set_data(body[:kept])
    # Content-Length exceeds the body, so the client sees the body end early.
    response.headers["Content-Length"] = str(max(len(body), kept + 1))
    response.automatically_set_content_length = False
    return response


def _cut_unframed(context: FaultContext, response: Response) -> Never:
    """Send a part of the body without Content-Length and chunks, so that the end of the connection ends it."""
    body = response.get_data()
    kept = len(body) // 2 if context.fault.after is None else context.fault.after
    head = f"HTTP/1.1 {response.status}\r\nContent-Type: {response.content_type}\r\nConnection: close\r\n\r\n"
    # The server would send chunks instead, whose last one marks the end.
    with contextlib.suppress(OSError):
        context.request.environ["werkzeug.socket"].sendall(head.encode("latin-1") + body[:kept])
    response.close()
    close(context.request, reset=False)


def _blank(_context: FaultContext, response: Response) -> Response:
    """Remove the body of a response."""
    response.close()
    response.response = []
    response.headers["Content-Length"] = "0"
    return response


def _drip(context: FaultContext, response: Response) -> Never:
    """Send the first header one byte at a time, then the rest of the response."""
    connection = context.request.environ["werkzeug.socket"]
    connection.sendall(f"HTTP/1.1 {response.status}\r\nX-Slow: ".encode())
    ends_at = time.monotonic() + context.fault.seconds
    while time.monotonic() < ends_at:
        connection.sendall(b"x")
        time.sleep(_DRIP_INTERVAL)
    body = response.get_data()
    response.headers["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
    connection.sendall(f"\r\n{head}Connection: close\r\n\r\n".encode() + body)
    response.close()
    close(context.request, reset=False)


def _replace_answer(context: FaultContext, response: Response) -> Response:
    """Replace the response as a gateway does after the vendor processed the request: an HTML page, or a redirect."""
    response.close()
    fault = context.fault
    moved = HTTPStatus.MULTIPLE_CHOICES <= fault.status < HTTPStatus.BAD_REQUEST
    page = "" if moved else f"<html><body><h1>{fault.status}</h1>Your session has expired or was refused.</body></html>"
    replaced = Response(page if fault.text is None else fault.text, fault.status, content_type="text/html")
    if moved:
        replaced.headers["Location"] = "https://gateway.example/sign-in"
    if fault.retry_after is not None:
        replaced.headers["Retry-After"] = _retry_after(context)
    return replaced


def _corrupt(_context: FaultContext, response: Response) -> Response:
    """Flip some bytes of the body."""
    broken = bytearray(response.get_data())
    for index in {len(broken) // 2, *range(len(broken) // 3, len(broken), 97)} if broken else set():
        broken[index] ^= 0xFF
    response.set_data(bytes(broken))
    return response


_BEFORE: dict[str, Callable[[FaultContext], Response | None]] = {
    "refuse": _refuse,
    "status": _status,
    "throttle": _throttle,
    "deny": lambda context: context.vendor.unauthorized(),
    "vanish": lambda context: context.vendor.not_found(),
    "expire": lambda context: context.vendor.url_expired(),
    "revoke": _revoke,
    "delay": _delay,
    "reset": _reset,
    "break_upload": _break_upload,
}
_AFTER: dict[str, Callable[[FaultContext, Response], Response]] = {
    "half_close": _half_close,
    "lose_answer": _lose_answer,
    "reset_answer": _reset_answer,
    "cut": _cut,
    "cut_unframed": _cut_unframed,
    "blank": _blank,
    "drip": _drip,
    "corrupt": _corrupt,
    "replace_answer": _replace_answer,
}
