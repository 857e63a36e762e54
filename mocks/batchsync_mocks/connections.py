"""HTTP/1.1 connections of the mocks: kept open between requests, as those of the vendors, and closed when they stop.

Werkzeug's own handler closes the connection after each response, because the rest of a request's body could be taken
for the next request. This one counts the bytes that are left, and reads them.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.http import http_date
from werkzeug.serving import DechunkedInput, WSGIRequestHandler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import WSGIEnvironment

    from batchsync_mocks.clock import Clock

_CHUNK = 1 << 20
#: Bytes of a request's body that are read after its response; a client that sends more gets a reset connection.
_MAX_UNREAD = 10 << 30
#: Seconds that the rest of a body is waited for after the response.
_UNREAD_TIMEOUT = 1.0
_LOST = (ConnectionError, TimeoutError, ssl.SSLError)
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class OpenConnections:
    """The connections of a server that wait for a request, so that they can be closed when the server stops."""

    def __init__(self) -> None:
        """Create an empty set."""
        self._lock = threading.Lock()
        self._idle: set[socket.socket] = set()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether the server has stopped: no connection is kept open any more."""
        return self._stopped

    def begin_wait(self, connection: socket.socket) -> bool:
        """Add a connection that waits for a request.

        Returns:
            Whether it may wait: false if the server has stopped.
        """
        with self._lock:
            if not self._stopped:
                self._idle.add(connection)
            return not self._stopped

    def end_wait(self, connection: socket.socket) -> None:
        """Remove a connection that a request has arrived on, or that is closed."""
        with self._lock:
            self._idle.discard(connection)

    def stop(self) -> None:
        """Close the waiting connections; others close after their response."""
        with self._lock:
            self._stopped = True
            for connection in self._idle:
                try:
                    # Not the method of `SSLSocket`, which would end the decryption in another thread.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                except OSError:
                    continue


class _Body(io.RawIOBase):
    """Body of a request with a Content-Length; `left` is the number of bytes that were not read yet."""

    def __init__(self, stream: io.BufferedIOBase, length: int) -> None:
        self._stream = stream
        self.left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._stream.readinto(memoryview(buffer)[: self.left])
        self.left -= size
        return size


class Handler(WSGIRequestHandler):
    """Request handler that logs nothing: request lines contain signed queries, and faults close sockets on purpose."""

    protocol_version = "HTTP/1.1"
    # Otherwise the second packet of a response on a kept connection waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    # Seconds after which a client that sends nothing, between or within requests, releases its thread.
    timeout = 120

    def __init__(self, *arguments: Any, clock: Clock, connections: OpenConnections) -> None:
        """Handle a connection; `clock` provides the Date header."""
        self._clock, self._connections = clock, connections
        super().__init__(*arguments)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the vendor's time, on which Retry-After dates are based, too."""
        return http_date(self._clock.now() if timestamp is None else timestamp)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - the name the base class gives it
        """Log nothing: only the client's connection fails here."""

    def handle_expect_100(self) -> bool:
        """Send nothing: `run_wsgi` sends `100 Continue`, and a client may take a second one for the response.

        Returns:
            True: the request goes on.
        """
        return True

    def handle_one_request(self) -> None:
        """Handle the next request of the connection, or close it if none arrives."""
        if not self._connections.begin_wait(self.connection):
            self.close_connection = True
            return
        try:
            super().handle_one_request()
        finally:
            self._connections.end_wait(self.connection)

    def parse_request(self) -> bool:
        """Parse a request whose first line has arrived.

        Returns:
            Whether it is valid.
        """
        self._connections.end_wait(self.connection)
        return super().parse_request()

    def run_wsgi(self) -> None:
        """Respond to a request, and keep the connection open unless the request or the response ends it."""
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.environ = environ = self.make_environ()
        body = environ["wsgi.input"]
        if not isinstance(body, DechunkedInput):
            body = environ["wsgi.input"] = _Body(self.rfile, self._content_length())
        answer = _Answer(self, environ, self._connections)
        try:
            answer.send()
            self._read_rest(body)
        except _LOST:
            # The client disconnected, or a fault closed its connection: not a defect of the mock.
            self.close_connection = True
        except Exception:
            self.close_connection = True
            if not answer.has_begun:
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise

    def _content_length(self) -> int:
        """Return the length of the body; with an invalid one the connection cannot be kept."""
        text = self.headers.get("Content-Length", "0").strip()
        if text.isascii() and text.isdigit():
            return int(text)
        self.close_connection = True
        return 0

    def _read_rest(self, body: _Body | DechunkedInput) -> None:
        """Read what is left of a request's body; a client that still sends it would get a reset connection."""
        if isinstance(body, _Body) and not body.left:
            return
        self.connection.settimeout(_UNREAD_TIMEOUT)
        try:
            size = 0
            while size < _MAX_UNREAD and (piece := body.read(_CHUNK)):
                size += len(piece)
        except (OSError, ValueError):
            self.close_connection = True
        finally:
            self.connection.settimeout(self.timeout)
        if isinstance(body, _Body) and body.left:
            self.close_connection = True


class _Answer:
    """A response that is sent: its head with the first piece of the body, in chunks if its length is unknown."""

    def __init__(self, handler: Handler, environ: WSGIEnvironment, connections: OpenConnections) -> None:
        self._handler, self._environ, self._connections = handler, environ, connections
        self._status, self._headers = "", list[tuple[str, str]]()
        self._is_chunked = False
        self._sent = 0
        self.has_begun = False

    def send(self) -> None:
        """Send the response of the application."""
        pieces = self._handler.server.app(self._environ, self._start)
        try:
            self._send_pieces(pieces)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        if self._length is not None and self._length != self._sent and self._has_body:
            # The client waits for more, or would take the surplus for the next response.
            self._handler.close_connection = True

    def _start(self, status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> Any:
        """Take over status and headers, as WSGI demands."""
        self._status, self._headers = status, headers
        return self._handler.wfile.write

    def _send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Send head and body."""
        for piece in pieces:
            if not self.has_begun:
                self._send_head()
            if piece:
                self._sent += len(piece)
                self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece)
        if not self.has_begun:
            self._send_head()
        if self._is_chunked:
            self._handler.wfile.write(b"0\r\n\r\n")

    def _send_head(self) -> None:
        """Send status and headers."""
        handler = self._handler
        if self._length is None and self._has_body:
            self._is_chunked = handler.request_version >= "HTTP/1.1"
            # An old client sees the end of the body by the end of the connection.
            handler.close_connection = handler.close_connection or not self._is_chunked
        handler.close_connection = handler.close_connection or self._connections.stopped
        self.has_begun = True
        handler.send_response(self._code, self._status.partition(" ")[2])
        for name, value in self._headers:
            handler.send_header(name, value)
        if self._is_chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close" if handler.close_connection else "keep-alive")
        handler.end_headers()

    @property
    def _code(self) -> int:
        """Status code."""
        return int(self._status.partition(" ")[0])

    @property
    def _length(self) -> int | None:
        """Content-Length; None if there is none."""
        return next((int(value) for name, value in self._headers if name.lower() == "content-length"), None)

    @property
    def _has_body(self) -> bool:
        """Whether a body follows the head."""
        return self._environ["REQUEST_METHOD"] != "HEAD" and self._code not in _BODILESS
