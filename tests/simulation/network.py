"""Network between the real HTTP client and the mocks, in one process and on one virtual clock.

Every request that `batchsync.vendors.http` sends is passed to the WSGI application of the mock.
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

from batchsync.vendors import http as client_http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batchsync_mocks.serving import MockServer
    from simulation.clock import VirtualTime


@dataclass(frozen=True)
class NetworkFault:
    """Fault of the n-th matching request that the faults of the mocks cannot express.

    `outage`: from that request on, the vendor cannot be reached for `timeout` seconds, whatever the request.
    `late`: the client times out after `timeout` seconds, and the request arrives `arrives` seconds after it was sent.
    `done_but_502`: the vendor does the work and a gateway answers 502. `damage`: `change` rewrites the response body.
    """

    kind: str
    vendor: str
    method: str
    path: str
    nth: int = 1
    times: int = 1
    timeout: float = 0.0
    arrives: float = 0.0
    change: Callable[[bytes], bytes] | None = None


@dataclass
class Network:
    """All requests and responses of one simulated deployment."""

    servers: Mapping[int, MockServer]
    names: Mapping[int, str]
    clock: VirtualTime
    checkpoint: Callable[[str], None]
    #: seconds by which the clock of a vendor is behind the machine's, by vendor
    clocks_behind: dict[str, float] = field(default_factory=dict)
    faults: list[tuple[NetworkFault, list[int]]] = field(default_factory=list)
    hits: list[str] = field(default_factory=list)
    log: Callable[[str], None] = lambda _: None
    _outages: dict[NetworkFault, float] = field(default_factory=dict)

    def arm(self, fault: NetworkFault) -> None:
        """Apply the fault to matching requests from now on."""
        self.faults.append((fault, [0, 0]))

    def send(self, prepared: requests.PreparedRequest) -> requests.Response:
        """Pass a request to its vendor and return the response, or fail as `requests` fails on a broken network."""
        method = str(prepared.method)
        parts = urlsplit(str(prepared.url))
        port = parts.port or 0
        name = f"{self.names[port]} {method} {parts.path}"
        body = _body(prepared)
        fault = self._matching_fault(self.names[port], method, parts.path)
        self.checkpoint(f"http:before:{method}")
        if fault and fault.kind == "outage":
            if self.clock.epoch() < self._outages.setdefault(fault, self.clock.epoch()) + fault.timeout:
                self.log(f"{name} unreachable")
                raise requests.ConnectTimeout("Connect timed out.", request=prepared)
            fault = None
        if fault and fault.kind == "late":
            self.clock.schedule(fault.arrives, name, partial(self.deliver_late, prepared, body, port))
            self.clock.advance(fault.timeout)
            self.log(f"{name} timed out")
            raise requests.ReadTimeout("Read timed out.", request=prepared)
        try:
            response = self._deliver(prepared, body, port)
        except ConnectionError:
            self.log(f"{name} broken")
            self.checkpoint(f"http:after:{method}")
            broken = ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))
            raise requests.ConnectionError(broken, request=prepared) from None
        # Whatever ends this call, also a simulated crash, closes the files that the mock opened for its response.
        with contextlib.closing(response):
            self.checkpoint(f"http:after:{method}")
            if fault and fault.kind == "done_but_502":
                response = Response("Bad Gateway", 502, content_type="text/plain")
            if fault and fault.change is not None and response.status_code < 300:
                response.direct_passthrough = False
                # A body that another fault has truncated cannot be rewritten.
                with suppress(EOFError, ValueError):
                    response.set_data(fault.change(response.get_data()))
            self.log(f"{name} {response.status_code}")
            return _as_requests(prepared, response, self.clock.epoch() - self.clocks_behind.get(self.names[port], 0.0))

    def _matching_fault(self, vendor: str, method: str, path: str) -> NetworkFault | None:
        hit = None
        for fault, counts in self.faults:
            method_fits = fault.method in ("", method)
            if fault.vendor != vendor or not method_fits or not re.search(fault.path, path):
                continue
            counts[0] += 1
            expired = fault.times and counts[0] >= fault.nth + fault.times
            if hit is None and counts[0] >= fault.nth and not expired:
                counts[1] += 1
                self.hits.append(fault.kind)
                hit = fault
        return hit

    def _deliver(self, prepared: requests.PreparedRequest, body: bytes, port: int) -> Response:
        with self.clock.behind(self.clocks_behind.get(self.names[port], 0.0)):
            return self.servers[port].application(Request(_environ(prepared, body)))

    def deliver_late(self, prepared: requests.PreparedRequest, body: bytes, port: int) -> None:
        """Pass a request to its vendor after the client has timed out."""
        with contextlib.suppress(ConnectionError):
            self._deliver(prepared, body, port).close()


class _Adapter(HTTPAdapter):
    """Transport adapter of the client while it is connected to a simulated network."""

    network: Network

    def __init__(self, _deadline: object, _proxy: object) -> None:
        """Open nothing."""

    def send(self, request: requests.PreparedRequest, *_args: Any, **_kwargs: Any) -> requests.Response:
        """Send the request over the simulated network."""
        return self.network.send(request)

    def close(self) -> None:
        """Close nothing."""


@contextlib.contextmanager
def connected(network: Network) -> Iterator[None]:
    """Connect the real client to this network for the block."""
    adapter = type("Adapter", (_Adapter,), {"network": network})
    with mock.patch.object(client_http, "DeadlineAdapter", adapter):
        yield


#: builds responses of `requests`; opens no connection
_BUILDER = HTTPAdapter()


class _Socket:
    """Stands in for the client's socket when a fault of the mocks closes it."""

    def setsockopt(self, *_args: object) -> None:
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
        "werkzeug.socket": _Socket(),
    }
    for name, value in {"Host": parts.netloc, **prepared.headers}.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = text
    return environ


def _as_requests(prepared: requests.PreparedRequest, response: Response, now: float) -> requests.Response:
    pieces, _, headers = response.get_wsgi_response({"REQUEST_METHOD": prepared.method})
    data = b"".join(pieces)
    raw = HTTPResponse(
        body=io.BytesIO(data),
        headers=HTTPHeaderDict([*headers, ("Date", http_date(now))]),
        status=response.status_code,
        preload_content=False,
        request_method=prepared.method,
    )
    return _BUILDER.build_response(prepared, raw)
