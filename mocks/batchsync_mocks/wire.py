"""How a fault happens: to sockets what a broken network does, to answers what a vendor in trouble does.

It does not know which requests a fault strikes, nor any vendor by name.
"""

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

    from lading_mocks.faults import Fault
    from lading_mocks.vendor import Vendor

_PIECE = 1 << 16
_PATIENCE = 2.0


class SocketGone(ConnectionAbortedError):  # noqa: N818 - no error: the connection was closed on purpose
    """The client's connection is closed already; there is nobody left to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where a fault strikes: the request, the fault, and the vendor that would answer."""

    request: Request
    fault: Fault
    vendor: Vendor


def suffer(request: Request, striking: Sequence[Fault], vendor: Vendor) -> Response:
    """Answer a request under the faults that strike it: those before the work first, then the work, then the others."""
    scenes = [Scene(request=request, fault=fault, vendor=vendor) for fault in striking]
    for scene in scenes:
        if scene.fault.kind in _BEFORE and (answer := _BEFORE[scene.fault.kind](scene)) is not None:
            return answer
    late = max((one.fault.seconds for one in scenes if one.fault.kind == "rewind"), default=0.0)
    with vendor.clock.late(late):
        answer = vendor.respond(request)
    for scene in scenes:
        if scene.fault.kind in _AFTER:
            answer = _AFTER[scene.fault.kind](scene, answer)
    return answer


def close(request: Request, *, reset: bool) -> Never:
    """Close the client's connection now, with FIN or RST, and leave the server by `SocketGone`.

    The exception alone would close nothing: the server would go on reading from the connection.
    """
    connection = request.environ["werkzeug.socket"]
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
    else:
        # A connection that the client or a half-close ended first is closed enough.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    raise SocketGone


def _refuse(scene: Scene) -> Response:
    answer = Response("Service Unavailable", 503, content_type="text/plain")
    if scene.fault.retry_after is not None:
        answer.headers["Retry-After"] = _retry_after(scene)
    return answer


def _throttle(scene: Scene) -> Response:
    answer = scene.vendor.problem(429, "Too many requests")
    if scene.fault.retry_after is not None:
        answer.headers["Retry-After"] = _retry_after(scene)
    return answer


def _retry_after(scene: Scene) -> str:
    seconds = scene.fault.retry_after or 0
    if scene.fault.retry_as == "date":
        # By the vendor's clock, which the Date header of each answer tells.
        return http_date(scene.vendor.clock.now() + seconds)
    return str(seconds)


def _status(scene: Scene) -> Response:
    status, text = scene.fault.status, scene.fault.text
    return Response(text or f"Answered {status} by an armed fault.", status, content_type="text/plain")


def _revoke(scene: Scene) -> None:
    scene.vendor.memory.revoke()


def _delay(scene: Scene) -> None:
    time.sleep(scene.fault.seconds)


def _break_upload(scene: Scene) -> Never:
    left = (scene.request.content_length or 0) // 2 if scene.fault.after is None else scene.fault.after
    while left > 0 and (piece := scene.request.stream.read(min(left, _PIECE))):
        left -= len(piece)
    close(scene.request, reset=True)


def _reset(scene: Scene) -> Never:
    close(scene.request, reset=True)


def _lose_answer(scene: Scene, answer: Response) -> Never:
    answer.close()
    close(scene.request, reset=False)


def _half_close(scene: Scene, answer: Response) -> Never:
    answer.close()
    connection = scene.request.environ["werkzeug.socket"]
    # The plain method of a TLS socket would end the encryption of what still comes in.
    socket.socket.shutdown(connection, socket.SHUT_WR)
    connection.settimeout(_PATIENCE)
    with contextlib.suppress(OSError):
        while connection.recv(_PIECE):
            pass
    close(scene.request, reset=False)


def _reset_answer(scene: Scene, answer: Response) -> Never:
    answer.close()
    close(scene.request, reset=True)


def _cut(scene: Scene, answer: Response) -> Response:
    whole = answer.get_data()
    kept = len(whole) // 2 if scene.fault.after is None else scene.fault.after
    answer.set_data(whole[:kept])
    # The length promised is more than what follows, so the client sees the body end too early.
    answer.headers["Content-Length"] = str(max(len(whole), kept + 1))
    answer.automatically_set_content_length = False
    return answer


def _replace_answer(scene: Scene, answer: Response) -> Response:
    """Answer as a gateway in front of the vendor, whose work is done: a page for people, a redirect without a body."""
    answer.close()
    fault = scene.fault
    moved = HTTPStatus.MULTIPLE_CHOICES <= fault.status < HTTPStatus.BAD_REQUEST
    page = "" if moved else f"<html><body><h1>{fault.status}</h1>Your session has expired or was refused.</body></html>"
    replaced = Response(page if fault.text is None else fault.text, fault.status, content_type="text/html")
    if moved:
        replaced.headers["Location"] = "https://gateway.example/sign-in"
    if fault.retry_after is not None:
        replaced.headers["Retry-After"] = _retry_after(scene)
    return replaced


def _corrupt(_scene: Scene, answer: Response) -> Response:
    broken = bytearray(answer.get_data())
    for place in {len(broken) // 2, *range(len(broken) // 3, len(broken), 97)} if broken else set():
        broken[place] ^= 0xFF
    answer.set_data(bytes(broken))
    return answer


_BEFORE: dict[str, Callable[[Scene], Response | None]] = {
    "refuse": _refuse,
    "status": _status,
    "throttle": _throttle,
    "deny": lambda scene: scene.vendor.denied(),
    "vanish": lambda scene: scene.vendor.unknown(),
    "expire": lambda scene: scene.vendor.expired(),
    "revoke": _revoke,
    "delay": _delay,
    "reset": _reset,
    "break_upload": _break_upload,
}
_AFTER: dict[str, Callable[[Scene, Response], Response]] = {
    "half_close": _half_close,
    "lose_answer": _lose_answer,
    "reset_answer": _reset_answer,
    "cut": _cut,
    "corrupt": _corrupt,
    "replace_answer": _replace_answer,
}
