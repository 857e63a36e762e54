"""Connections to MySQL and MariaDB: one read-only transaction, one prepared statement, and its end from outside.

Statements are prepared, so that they are single statements, their columns are known before they run, and numbers arrive
in binary form: as text, the server writes only six digits of a FLOAT. PyMySQL has no public interface to this part of
the protocol; what else is used of it is its reading and writing of packets.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

from batchsync.source.mysql_types import Described

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds until a server must have answered the first connection, and the one that ends a statement.
CONNECT_SECONDS, KILL_SECONDS = 10, 5
#: Seconds after the time-out of a statement until the server must have answered.
_GRACE_SECONDS = 30
#: Seconds for which the server waits until rows are taken.
_WRITE_SECONDS = 3600
_PREPARE, _EXECUTE, _VAR_STRING = 0x16, 0x17, 0xFD
_END, _END_BYTES = 0xFE, 9
#: Ways to send a password without encryption of its own, which a server may ask for.
_PLAIN = ("mysql_clear_password", "dialog", "mysql_old_password")
#: Error of the protocol: an authentication plugin cannot be used.
_PLUGIN_ERROR = 2059


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where a server is, and how it is used.

    Attributes:
        host: Name or address.
        port: Port.
        dbname: Database; empty for none.
        user: Account.
        password: Its password; never shown.
        sslmode: disable, prefer, require, verify-ca or verify-full.
        sslrootcert: File of the certificates to trust; empty for those of the machine.
        timeout: Seconds after which a statement ends.
    """

    host: str
    port: int
    dbname: str
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    sslrootcert: str = ""
    timeout: float


class StatementRefusedError(Exception):
    """A statement that is refused before it runs: the message says why, `hint` what to write."""

    def __init__(self, message: str, hint: str) -> None:
        """Store the reason and the remedy."""
        super().__init__(message)
        self.hint = hint


class _EncryptedOnly:
    """Refuses to send a password in plain text on a connection that is not encrypted."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, _: Any) -> Any:
        raise pymysql.err.OperationalError(_PLUGIN_ERROR, "plain password")


class _Connection(pymysql.Connection):  # type: ignore[misc] # PyMySQL has no type information
    """A connection of PyMySQL, with those of its parts that have no public names."""

    def send(self, command: int, content: str | bytes) -> None:
        """Send a command of the protocol."""
        self._execute_command(command, content)

    def receive(self, kind: Any = MysqlPacket) -> Any:
        """Return the next packet of an answer."""
        return self._read_packet(kind)

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return isinstance(self._sock, ssl.SSLSocket)

    def disconnect(self) -> None:
        """End the connection under a thread that reads from it."""
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def connect_locally(self, path: str) -> None:
        """Connect to a socket of this machine. PyMySQL would not close one that it cannot connect.

        Raises:
            OSError: If there is no such socket, or no server behind it.
        """
        local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            local.settimeout(self.connect_timeout)
            local.connect(path)
            self._secure = True
            self.connect(local)
        except BaseException:
            local.close()
            raise


class MysqlSession:
    """A connection in a read-only transaction with one snapshot. Close it."""

    def __init__(self, settings: ServerSettings) -> None:
        """Connect, and begin the transaction.

        Raises:
            pymysql.err.Error: If the server cannot be reached or refuses.
        """
        self._settings = settings
        self._connection = _connected(settings, CONNECT_SECONDS)
        self._cancelled = self._ended = False
        try:
            version = str(self._connection.server_version)
            self.is_mariadb = "mariadb" in version.lower()
            # MariaDB puts a number in front for old clients of MySQL.
            self.version = version.removeprefix("5.5.5-").partition("-")[0]
            self._begin()
            self._identity = self._one("SELECT CONCAT_WS(' ', @@hostname, @@port, @@server_id), CONNECTION_ID()")
        except BaseException:
            self.close()
            raise

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return bool(self._connection.is_encrypted)

    def _begin(self) -> None:
        """Set the session up, and begin the transaction."""
        seconds = self._settings.timeout
        limit = (
            f"max_statement_time = {seconds:.3f}" if self.is_mariadb else f"max_execution_time = {seconds * 1000:.0f}"
        )
        for statement in (
            f"SET SESSION {limit}, time_zone = '+00:00', net_write_timeout = {_WRITE_SECONDS}",
            # The result of GROUP_CONCAT is cut at this length, with a warning only.
            "SET SESSION group_concat_max_len = 16777216",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ):
            self._connection.query(statement)

    def _one(self, statement: str) -> tuple[Any, ...]:
        """Return the first row of a statement of our own."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row or ()

    def prepare(self, statement: str, bounds: int = 0) -> tuple[int, list[Described]]:
        """Prepare a statement; return its number and columns.

        Args:
            statement: The statement.
            bounds: Number of its parameters.

        Returns:
            The number of the statement, and the columns of its result.

        Raises:
            pymysql.err.Error: If the server refuses it.
            StatementRefusedError: If it returns no rows, or has other parameters.
        """
        connection = self._connection
        connection.send(_PREPARE, statement)
        number, columns, parameters = struct.unpack_from("<IHH", self._packet(), 1)
        for _ in range(parameters and parameters + 1):
            self._packet()
        found = self._columns(columns) if columns else []
        if not columns:
            hint = "Write one SELECT statement, without INTO."
            raise StatementRefusedError("the statement returns no rows", hint)
        if parameters != bounds:
            raise StatementRefusedError("the statement has parameters (?)", "Write values instead of question marks.")
        return number, found

    def execute(self, number: int, bounds: Sequence[str] = ()) -> list[Described]:
        """Run a prepared statement; return the columns of its result, whose rows `rows` reads.

        Args:
            number: Number of the statement.
            bounds: Values of its parameters.

        Returns:
            The columns of the result.

        Raises:
            pymysql.err.Error: If the server refuses it.
        """
        connection = self._connection
        request = struct.pack("<IBI", number, 0, 1) + _parameters(bounds)
        connection.send(_EXECUTE, request)
        self._ended = False
        first = connection.receive()
        return self._columns(int(first.read_length_encoded_integer()))

    def rows(self, count: int, size: int) -> list[bytes]:
        """Return the next rows of the result, in the binary protocol; none after the last one.

        Args:
            count: Most rows.
            size: Bytes after which no further row is read.

        Returns:
            The payload of the packet of each row.

        Raises:
            pymysql.err.Error: If the statement fails, or the connection is lost.
        """
        read = self._connection.receive
        found: list[bytes] = []
        while not self._ended and len(found) < count and size > 0:
            row: bytes = read().get_all_data()
            if row[0] == _END and len(row) < _END_BYTES:
                self._ended = True
                break
            found.append(row)
            size -= len(row)
        return found

    def warnings(self) -> set[int]:
        """Return the numbers of the warnings of the statement that ended last."""
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            return {int(row[1]) for row in cursor.fetchall()}

    def cancel(self) -> None:
        """End the statement on the server and the connection; called from another thread, once or more."""
        if self._cancelled:
            return
        self._cancelled = True
        try:
            with suppress(pymysql.err.Error, OSError):
                self._kill()
        finally:
            self._connection.disconnect()

    def _kill(self) -> None:
        """End the session by a second connection, unless that reached another server behind the same address."""
        other = _connected(self._settings, KILL_SECONDS)
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT CONCAT_WS(' ', @@hostname, @@port, @@server_id)")
                if cursor.fetchone() == self._identity[:1]:
                    cursor.execute(f"KILL {int(self._identity[1])}")
        finally:
            other.close()

    def close(self) -> None:
        """Close the connection, which ends the transaction and what is left of the statement."""
        if self._connection.open:
            self._connection.close()

    def _packet(self) -> bytes:
        content: bytes = self._connection.receive().get_all_data()
        return content

    def _columns(self, count: int) -> list[Described]:
        """Read the descriptions of columns and the packet after them."""
        read = self._connection.receive
        found = [read(FieldDescriptorPacket) for _ in range(count)]
        self._packet()
        return [
            Described(item.name, item.type_code, item.flags, item.charsetnr, item.length, item.scale) for item in found
        ]


def _connected(settings: ServerSettings, seconds: int) -> _Connection:
    """Return a new connection."""
    connection = _Connection(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password.encode(),
        database=settings.dbname or None,
        charset="utf8mb4",
        autocommit=None,
        connect_timeout=seconds,
        read_timeout=settings.timeout + _GRACE_SECONDS,
        write_timeout=settings.timeout + _GRACE_SECONDS,
        auth_plugin_map=dict.fromkeys(_PLAIN, _EncryptedOnly),
        program_name="batchsync",
        defer_connect=True,
        **_encryption(settings),
    )
    if settings.host.startswith("/"):
        connection.connect_locally(settings.host)
    else:
        connection.connect()
    return connection


def _encryption(settings: ServerSettings) -> dict[str, Any]:
    """Return the arguments for TLS."""
    if settings.sslmode == "disable" or settings.host.startswith("/"):
        return {"ssl_disabled": True}
    if settings.sslmode == "prefer":
        return {}
    context = ssl.create_default_context(cafile=settings.sslrootcert or None)
    # Certificates that servers generate for themselves do not pass the check, which is new in Python 3.13.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = settings.sslmode == "verify-full"
    if settings.sslmode == "require":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _parameters(texts: Sequence[str]) -> bytes:
    """Return texts as the parameters of a statement: a bitmap of nulls, types, and values with their lengths."""
    if not texts:
        return b""
    values = [text.encode() for text in texts]
    lengths = [b"\xfd" + struct.pack("<I", len(value))[:3] for value in values]
    types = struct.pack("<BB", _VAR_STRING, 0) * len(values)
    return bytes((len(values) + 7) // 8) + b"\1" + types + b"".join(map(bytes.__add__, lengths, values))
