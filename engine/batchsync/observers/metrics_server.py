"""HTTP server of `serve --metrics`: documents by path, in a thread. Needs the extra `metrics`."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http import HTTPStatus
from io import StringIO
from socket import AF_INET6
from socketserver import TCPServer
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer

from batchsync.errors import UnavailableError
from batchsync.util.files import os_error_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    #: Body and content type.
    Document = Callable[[], tuple[bytes, str]]
    #: Whether all is well, and a sentence.
    Check = Callable[[], tuple[bool, str]]

_TEXT = "text/plain; charset=utf-8"
#: Seconds that a client may take for its request or for reading the answer.
_CLIENT_TIMEOUT = 10.0


class _Handler(WSGIRequestHandler):
    """Handler that writes no log, and waits for no client forever."""

    timeout = _CLIENT_TIMEOUT

    def log_message(self, *_args: object, **_kwargs: object) -> None:
        """Write nothing."""

    def get_stderr(self) -> StringIO:
        """Return where a traceback of the application goes: nowhere. The client gets a 500."""
        return StringIO()

    def address_string(self) -> str:
        """Return the address of the client, without asking for its name."""
        return str(self.client_address[0])


class _Server(ThreadingWSGIServer):
    """Server that asks for no name of its address, which may take long."""

    def server_bind(self) -> None:
        """Bind the socket."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, *_args: object, **_kwargs: object) -> None:
        """Write nothing: the client has gone, or took too long."""


class _ServerOfSix(_Server):
    """Server at an address of IPv6."""

    address_family = AF_INET6


def metrics_app(
    documents: Mapping[str, Document], checks: Mapping[str, Check]
) -> Callable[[WSGIEnvironment, StartResponse], list[bytes]]:
    """Return a WSGI application that serves documents and checks.

    Args:
        documents: Documents by path.
        checks: Checks by path; one that fails is answered with 503.
    """

    def answer(environ: WSGIEnvironment) -> tuple[HTTPStatus, bytes, str]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, b"GET or HEAD\n", _TEXT
        if path in documents:
            return HTTPStatus.OK, *documents[path]()
        if path in checks:
            good, text = checks[path]()
            return HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n".encode(), _TEXT
        return HTTPStatus.NOT_FOUND, "".join(f"{known}\n" for known in (*documents, *checks)).encode(), _TEXT

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        status, body, kind = answer(environ)
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("X-Content-Type-Options", "nosniff")]
        start_response(f"{status.value} {status.phrase}", [*headers, ("Cache-Control", "no-store")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return app


@contextmanager
def serving(
    host: str, port: int, documents: Mapping[str, Document], checks: Mapping[str, Check]
) -> Iterator[tuple[str, int]]:
    """Serve until the block ends.

    Args:
        host: Address or name to listen at.
        port: Port; 0 chooses a free one.
        documents: Documents by path.
        checks: Checks by path.

    Yields:
        Address and port.

    Raises:
        UnavailableError: If the address cannot be used.
    """
    kind = _ServerOfSix if ":" in host else _Server
    try:
        server = make_server(host, port, metrics_app(documents, checks), kind, _Handler)
    except OSError as error:
        raise UnavailableError(
            f"metrics cannot be served at {host} port {port}: {os_error_reason(error)}",
            hint="name a free address with --metrics HOST:PORT",
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="batchsync-metrics", daemon=True)
    thread.start()
    try:
        yield host, server.server_port
    finally:
        server.shutdown()
        server.server_close()
