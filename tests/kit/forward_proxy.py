"""A small forward proxy, and mocks that are reached through it under the real names of their vendors, over TLS."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Response

from kit.deployment import BDP, CDP, JOBS, Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from werkzeug import Request

    from batchsync_mocks.serving import Running

#: Hosts of the vendors' APIs, and base URLs of their storage.
API_HOSTS = {BDP: "api.tst.motorweb.app", CDP: "api-engage-eu.sitecorecloud.io"}
STORAGE = {
    BDP: "https://storage.googleapis.com/motorweb-files",
    CDP: "https://sitecore-batch-service-test.s3.eu-west-1.amazonaws.com",
}
#: Buckets of the vendor whose storage has a host for each.
BUCKETS = (
    "sitecore-batch-service-test",
    "sitecore-batch-service-other",
    "boxever-batch-service-production-eu-west-1",
)
_CHUNK = 65536


class ForwardProxy:
    """HTTP proxy: tunnels for CONNECT, and requests with an absolute URL, which it forwards.

    Attributes:
        address: Host and port.
        routes: Address to connect to instead of `host:port`.
        authorization: Required value of `Proxy-Authorization`; empty for none.
        targets: What was asked for: `CONNECT host:port` or `METHOD url`.
        heads: Heads of all requests that the proxy could read.
        tunnelled: All bytes that clients sent through tunnels.
        answer: Bytes to answer CONNECT with instead of a tunnel; None for a tunnel.
    """

    def __init__(self) -> None:
        self.routes: dict[str, tuple[str, int]] = {}
        self.authorization = ""
        self.targets: list[str] = []
        self.heads: list[bytes] = []
        self.tunnelled = bytearray()
        self.answer: bytes | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        """URL without credentials."""
        return f"http://{self.address}"

    def close(self) -> None:
        """Accept no more connections."""
        # Closing alone does not end a pending accept in the other thread.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(20)
            received = b""
            while b"\r\n\r\n" not in received:
                chunk = client.recv(_CHUNK)
                if not chunk:
                    return
                received += chunk
            head, _, rest = received.partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ")
            self.heads.append(head)
            self.targets.append(f"{method} {target}")
            if self.authorization and not self._is_authorized(head):
                # A reason phrase and a body that quote what the client sent.
                quoted = b" ".join(head.split(b"\r\n")[1:])
                client.sendall(b"HTTP/1.1 407 " + quoted + b"\r\nContent-Length: %d\r\n\r\n" % len(quoted) + quoted)
            elif method == "CONNECT" and self.answer is not None:
                client.sendall(self.answer)
            elif method == "CONNECT":
                self._tunnel(client, target)
            else:
                self._forward(client, head, rest, target)

    def _is_authorized(self, head: bytes) -> bool:
        wanted = f"proxy-authorization: {self.authorization}".encode().lower()
        return any(line.lower() == wanted for line in head.split(b"\r\n"))

    def _address(self, host: str, port: int) -> tuple[str, int]:
        found = self.routes.get(f"{host}:{port}")
        if found is None:
            assert host in {"127.0.0.1", "localhost"}, f"no route to {host}:{port}"
            return host, port
        return found

    def _tunnel(self, client: socket.socket, target: str) -> None:
        host, _, port = target.rpartition(":")
        with socket.create_connection(self._address(host, int(port)), timeout=20) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            while chunk := client.recv(_CHUNK):
                self.tunnelled += chunk
                server.sendall(chunk)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(20)

    def _forward(self, client: socket.socket, head: bytes, rest: bytes, target: str) -> None:
        url = urlsplit(target)
        first, *lines = head.split(b"\r\n")
        path = target.partition(url.netloc)[2] or "/"
        kept = [line for line in lines if not line.lower().startswith(b"proxy-")]
        sent = b"\r\n".join([first.replace(target.encode(), path.encode()), *kept]) + b"\r\n\r\n" + rest
        with socket.create_connection(self._address(url.hostname or "", url.port or 80), timeout=20) as server:
            server.sendall(sent)
            length = next((int(line.split(b":")[1]) for line in kept if line.lower().startswith(b"content-length")), 0)
            while len(rest) < length and (chunk := client.recv(_CHUNK)):
                rest += chunk
                server.sendall(chunk)
            _copy(server, client)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@dataclass
class NamedVendors:
    """Mocks behind a TLS server with the names of the vendors' hosts, reached through a proxy.

    Attributes:
        mocks: The mocks.
        proxy: The proxy, which knows the way.
        ca: Certificate of the authority that issued the server's.
        storage: Base URL of the storage that answers name, by vendor; a test may change it.
        downloads: Base URL of the storage that answers to GET requests name instead; empty for the same.
        seen: `METHOD host/path` of each request that arrived.
    """

    mocks: Running
    proxy: ForwardProxy
    ca: Path
    storage: dict[str, str] = field(default_factory=lambda: dict(STORAGE))
    downloads: str = ""
    seen: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        """Forward a request to the mock of its vendor, with the URLs of storage renamed in both directions."""
        host = request.host.partition(":")[0]
        raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or quote(request.path)
        raw = re.sub(r"^https?://[^/]*", "", raw)
        self.seen.append(f"{request.method} {host}{raw.partition('?')[0]}")
        vendor = BDP if host == API_HOSTS[BDP] else CDP
        if host not in API_HOSTS.values():
            named = [*self.storage.items(), *STORAGE.items(), (BDP, self.downloads)]
            vendor, base = next(item for item in named if f"https://{host}{raw}".startswith(item[1] + "/"))
            raw = f"https://{host}{raw}".removeprefix(base)
        elif request.method == "GET":
            self.mocks.advance(120)
        mock = urlsplit(self.mocks.urls[vendor])
        headers = {name: value for name, value in request.headers if name.lower() not in {"host", "content-length"}}
        connection = http.client.HTTPConnection(mock.hostname or "", mock.port, timeout=10)
        try:
            connection.request(request.method, raw, body=request.get_data(), headers=headers)
            response = connection.getresponse()
            base = self.downloads if self.downloads and request.method == "GET" else self.storage[vendor]
            content = response.read().replace(f"http://{mock.netloc}".encode(), base.encode())
            kept = [(name, item) for name, item in response.getheaders() if name.lower() == "content-type"]
            return Response(content, status=response.status, headers=kept)
        finally:
            connection.close()

    def credentials(self) -> dict[str, str]:
        """Return the environment variables that jobs.yaml names."""
        motorweb, sitecore = self.mocks.credentials(BDP), self.mocks.credentials(CDP)
        return {
            "MOTORWEB_CLIENT_ID": motorweb["client_id"],
            "MOTORWEB_CLIENT_SECRET": motorweb["client_secret"],
            "SITECORE_CLIENT_KEY": sitecore["client_key"],
            "SITECORE_API_TOKEN": sitecore["api_token"],
        }


@contextmanager
def named_vendors(mocks: Running, folder: Path) -> Iterator[NamedVendors]:
    """Serve the mocks under the names of their vendors.

    Args:
        mocks: The running mocks.
        folder: Folder for the certificate.

    Yields:
        The vendors, with their proxy.
    """
    authority = trustme.CA()
    ca = folder / "test-ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shared = ("storage.googleapis.com", "s3.eu-west-1.amazonaws.com", "s3.amazonaws.com")
    names = (*shared, "*.s3.eu-west-1.amazonaws.com", "*.s3.amazonaws.com", *API_HOSTS.values())
    authority.issue_cert(*names).configure_cert(tls)
    server = HTTPServer(host="127.0.0.1", threaded=True, ssl_context=tls)
    proxy = ForwardProxy()
    vendors = NamedVendors(mocks, proxy, ca)
    server.expect_request(re.compile(".*")).respond_with_handler(vendors.answer)
    server.start()
    storage = [f"{bucket}.{host}" for bucket in BUCKETS for host in shared[1:]]
    for host in (*shared, *storage, *API_HOSTS.values()):
        proxy.routes[f"{host}:443"] = ("127.0.0.1", server.port)
    try:
        yield vendors
    finally:
        server.stop()
        proxy.close()


@dataclass(frozen=True)
class NamedDeployment(Deployment):
    """A deployment whose connections reach the mocks under the names of their vendors, through a proxy."""

    vendors: NamedVendors
    #: Further environment variables.
    more: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """Output of the last command, stdout and stderr."""
        return (self.folder / "last.log").read_text(encoding="utf-8")

    def connect(self, proxy: str | None = None, **more: object) -> None:
        """Write jobs.yaml with connections through a proxy.

        Args:
            proxy: Its URL as written in jobs.yaml; by default that of the test, without credentials.
            more: Further keys of both connections.
        """
        keys = {"ca_bundle": str(self.vendors.ca), "proxy": proxy or self.vendors.proxy.url, "poll_every": "1s", **more}
        lines = "".join(f"    {name}: {json.dumps(item)}\n" for name, item in keys.items())
        text = JOBS
        for vendor in (BDP, CDP):
            text = text.replace(f"    vendor: {vendor}\n", f"    vendor: {vendor}\n{lines}")
        (self.folder / "jobs.yaml").write_text(text, encoding="utf-8")

    def environ(self) -> dict[str, str]:
        """Return an environment with the credentials of the mocks, and without other settings of batchsync."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("BATCHSYNC_")}
        return {**kept, **self.vendors.credentials(), "BATCHSYNC_ANCHORS": "off", "NO_COLOR": "1", **self.more}
