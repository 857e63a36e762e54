"""The network between the real HTTP client and the mocks, in one process and on one virtual clock.

It carries every request that `lading.vendors.http` sends to the mock's own application. It knows no vendor.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ProtocolError
from werkzeug.http import http_date
from werkzeug.wrappers import Request, Response

from lading.vendors import http as client_http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lading_mocks.serving import MockServer
    from simulation.clock import VirtualTime


@dataclass(frozen=True)
class Trouble:
    """Something that the network does to the n-th request that fits, which the mock's own faults cannot do.

    `late`: the client sees no answer for `seen` seconds, and the request lands `lands` seconds after it was sent.
    `done_but_502`: the vendor does the work and a gateway answers 502. `damage`: `change` rewrites the answer's body.
    """

    kind: str
    vendor: str
    method: str
    path: str
    nth: int = 1
    times: int = 1
    seen: float = 0.0
    lands: float = 0.0
    change: Callable[[bytes], bytes] | None = None


@dataclass
class Network:
    """Every exchange of one simulated deployment."""

    servers: Mapping[int, MockServer]
    names: Mapping[int, str]
    clock: VirtualTime
    checkpoint: Callable[[str], None]
    troubles: list[tuple[Trouble, list[int]]] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)
    told: Callable[[str], None] = lambda _: None

    def arm(self, trouble: Trouble) -> None:
        """Do this from now on."""
        self.troubles.append((trouble, [0, 0]))

    def carry(self, prepared: requests.PreparedRequest) -> requests.Response:
        """Bring a request to the vendor and its answer back, or fail as `requests` fails on a broken network."""
        method = str(prepared.method)
        parts = urlsplit(str(prepared.url))
        port = parts.port or 0
        what = f"{self.names[port]} {method} {parts.path}"
        body = _body(prepared)
        trouble = self._strike(self.names[port], method, parts.path)
        self.checkpoint(f"http:before:{method}")
        if trouble and trouble.kind == "late":
            self.clock.later(trouble.lands, what, partial(self.land, prepared, body, port))
            self.clock.pass_by(trouble.seen)
            self.told(f"{what} timed out")
            raise requests.ReadTimeout("Read timed out.", request=prepared)
        try:
            answer = self._deliver(prepared, body, port)
        except ConnectionError:
            self.told(f"{what} broken")
            self.checkpoint(f"http:after:{method}")
            broken = ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))
            raise requests.ConnectionError(broken, request=prepared) from None
        self.checkpoint(f"http:after:{method}")
        if trouble and trouble.kind == "done_but_502":
            answer = Response("Bad Gateway", 502, content_type="text/plain")
        if trouble and trouble.change is not None and answer.status_code < 300:
            answer.direct_passthrough = False
            # What another fault has cut cannot be written wrongly as well.
            with suppress(EOFError, ValueError):
                answer.set_data(trouble.change(answer.get_data()))
        self.told(f"{what} {answer.status_code}")
        return _as_requests(prepared, answer, self.clock.epoch())

    def _strike(self, vendor: str, method: str, path: str) -> Trouble | None:
        struck = None
        for trouble, counts in self.troubles:
            if (trouble.vendor, trouble.method) != (vendor, method) or not re.search(trouble.path, path):
                continue
            counts[0] += 1
            over = trouble.times and counts[0] >= trouble.nth + trouble.times
            if struck is None and counts[0] >= trouble.nth and not over:
                counts[1] += 1
                self.fired.append(trouble.kind)
                struck = trouble
        return struck

    def _deliver(self, prepared: requests.PreparedRequest, body: bytes, port: int) -> Response:
        return self.servers[port].application(Request(_environ(prepared, body)))

    def land(self, prepared: requests.PreparedRequest, body: bytes, port: int) -> None:
        """Let a request that the client has given up reach the vendor."""
        with contextlib.suppress(ConnectionError):
            self._deliver(prepared, body, port)


class _Adapter(HTTPAdapter):
    """What the client mounts for `http://` while a network is plugged in."""

    network: Network

    def __init__(self, **_given: Any) -> None:
        """Open nothing."""

    def send(self, request: requests.PreparedRequest, *_given: Any, **_more: Any) -> requests.Response:
        """Carry the request over the plugged network."""
        return self.network.carry(request)

    def close(self) -> None:
        """Close nothing."""


@contextlib.contextmanager
def plugged(network: Network) -> Iterator[None]:
    """Let the real client speak over this network for the length of the block."""
    adapter = type("Adapter", (_Adapter,), {"network": network})
    with mock.patch.object(client_http, "HTTPAdapter", adapter):
        yield


#: what makes answers of `requests`, which opens nothing
_BUILDER = HTTPAdapter()


class _Wire:
    """What the mocks take for the client's socket when a fault closes it."""

    def setsockopt(self, *_given: object) -> None:
        """Do nothing."""

    def shutdown(self, _how: int) -> None:
        """Do nothing."""

    def detach(self) -> int:
        """Return a descriptor that may be closed."""
        return os.open(os.devnull, os.O_RDONLY)


def _body(prepared: requests.PreparedRequest) -> bytes:
    body = prepared.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else body.read()


def _environ(prepared: requests.PreparedRequest, body: bytes) -> dict[str, Any]:
    parts = urlsplit(str(prepared.url))
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": prepared.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
        "QUERY_STRING": parts.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "werkzeug.socket": _Wire(),
    }
    for name, value in {"Host": parts.netloc, **prepared.headers}.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = text
    return environ


def _as_requests(prepared: requests.PreparedRequest, answer: Response, now: float) -> requests.Response:
    pieces, _, headers = answer.get_wsgi_response({"REQUEST_METHOD": prepared.method})
    data = b"".join(pieces)
    answer.close()
    raw = HTTPResponse(
        body=io.BytesIO(data),
        headers=HTTPHeaderDict([*headers, ("Date", http_date(now))]),
        status=answer.status_code,
        preload_content=False,
        request_method=prepared.method,
    )
    return _BUILDER.build_response(prepared, raw)
