"""One deadline for a whole HTTP call: sockets whose every read and write ends at it, whatever the peer sends.

The timeouts of `requests` limit single operations of a socket, so that a peer which sends one byte at a time, or one
`100 Continue` after the other, keeps a call alive. The TLS handshake as a whole is limited by the connect timeout.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import PoolManager


class Deadline:
    """Time of the monotonic clock at which a call ends."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        on_transfer: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the time of a call.

        Args:
            seconds: Longest duration of the call.
            clock: Monotonic clock, in seconds.
            on_transfer: Called before each read and write.
        """
        self._clock, self._on_transfer = clock, on_transfer
        self._ends_at = clock() + seconds

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._clock() >= self._ends_at

    def limit(self, timeout: float | None) -> float:
        """Return the timeout of the next operation: `timeout` seconds, or the remaining time if that is shorter.

        Raises:
            TimeoutError: If no time remains.
        """
        remaining = self._ends_at - self._clock()
        if remaining <= 0:
            raise TimeoutError("the time limit of the call has passed")
        self._on_transfer()
        return remaining if timeout is None else min(timeout, remaining)


class BoundedSocket:
    """Socket, plain or TLS, whose reads and writes end at the deadline. Other attributes are those of the socket."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        """Wrap a connected socket."""
        self._sock, self._deadline = sock, deadline
        self._timeout = sock.gettimeout()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the socket."""
        return getattr(self._sock, name)

    def settimeout(self, value: float | None) -> None:
        """Set the timeout of a single operation, in seconds."""
        self._timeout = value

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all bytes."""
        self.limit()
        self._sock.sendall(data, flags)

    def limit(self) -> None:
        """Set the timeout of the next operation of the socket."""
        self._sock.settimeout(self._deadline.limit(self._timeout))

    def makefile(self, mode: str = "rb", buffering: int | None = None) -> io.BufferedReader:  # noqa: ARG002 - signature of socket
        """Return a file to read from; `http.client` reads all of a response through it."""
        return io.BufferedReader(_BoundedReader(self, self._sock.makefile("rb", buffering=0)))


class _BoundedReader(io.RawIOBase):
    """Unbuffered file of a bounded socket."""

    def __init__(self, bounded: BoundedSocket, raw: io.RawIOBase) -> None:
        """Read from `raw`, the file of the socket."""
        self._bounded, self._raw = bounded, raw

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is available."""
        self._bounded.limit()
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        """Close the file and, when the connection is closed, too, the socket."""
        self._raw.close()
        super().close()


class TunnelError(HTTPError):
    """A proxy opened no connection to the host, so that nothing was sent to it. `reason` has no text of the proxy."""

    def __init__(self, reason: str) -> None:
        """Store the reason."""
        super().__init__(reason)
        self.reason = reason


def _connected_in_time(connection: HTTPConnection, deadline: Deadline) -> socket.socket:
    """Return a socket that is connected to one of the addresses of a host, of which a name may have any number.

    Raises:
        ConnectTimeoutError: If the last address that was tried did not answer.
        NewConnectionError: If it refused, or the name has no address.
    """
    timeout, problem = connection.timeout, OSError("the name has no address")
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            connection.host.strip("[]"), connection.port, type=socket.SOCK_STREAM
        ):
            if deadline.passed:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(deadline.limit(timeout))
                sock.connect(address)
            except OSError as error:
                sock.close()
                problem = error
            else:
                return sock
    except OSError as error:
        problem = error
    if isinstance(problem, TimeoutError):
        raise ConnectTimeoutError(connection, "connect timeout") from problem
    raise NewConnectionError(connection, "connection failed") from problem


def bound_connections(manager: PoolManager, deadline: Deadline) -> None:
    """Let the connections of a pool manager end at a deadline.

    Args:
        manager: The pool manager of a session that sends one request.
        deadline: The deadline of that request.
    """

    class PlainConnection(HTTPConnection):
        """Connection over TCP."""

        def _new_conn(self) -> socket.socket:
            return _connected_in_time(self, deadline)

        def connect(self) -> None:
            """Connect within the deadline."""
            self.timeout = deadline.limit(self.timeout)
            super().connect()
            self.sock = BoundedSocket(self.sock, deadline)

    class TlsConnection(HTTPSConnection):
        """Connection over TLS, directly or through a proxy."""

        def _new_conn(self) -> socket.socket:
            return _connected_in_time(self, deadline)

        def _tunnel(self) -> None:
            """Ask the proxy for a connection within the deadline."""
            plain, refusal = self.sock, ""
            self.sock = BoundedSocket(plain, deadline)
            try:
                super()._tunnel()
            except TimeoutError:
                refusal = "did not answer in time"
            except (OSError, http.client.HTTPException) as error:
                # The reason phrase may quote the credentials of the proxy.
                status = re.match(r"Tunnel connection failed: ([0-9]{3})\b", str(error))
                refusal = f"refused the connection with HTTP {status[1]}" if status else "closed the connection"
            if refusal:
                plain.close()
                raise TunnelError(refusal)
            self.sock = plain

        def connect(self) -> None:
            """Connect within the deadline."""
            self.timeout = deadline.limit(self.timeout)
            super().connect()
            self.sock = BoundedSocket(self.sock, deadline)

    class PlainPool(HTTPConnectionPool):
        """Pool of connections over TCP."""

        ConnectionCls = PlainConnection

    class TlsPool(HTTPSConnectionPool):
        """Pool of connections over TLS."""

        ConnectionCls = TlsConnection

    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
