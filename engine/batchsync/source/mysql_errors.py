"""Errors of MySQL and MariaDB in words. Messages of the server are shown only where they name no values of rows.

https://mariadb.com/kb/en/mariadb-error-codes/ and https://dev.mysql.com/doc/mysql-errors/8.4/en/
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from typing import TYPE_CHECKING

import pymysql

from batchsync.core.query import KINDS
from batchsync.errors import SourceError, UnavailableError

if TYPE_CHECKING:
    from batchsync.core.query import Database, Query
    from batchsync.source.mysql_connection import ServerSettings

_AGAIN = "Run the same command again; nothing was sent."
_CORRECT = "Correct the query; nothing was sent."
_CORRECT_TABLE = "Correct table: its names are those that the database has, without quotes; nothing was sent."
_SYNTAX, _LOST, _NO_DATABASE = 1064, 2013, 1046
#: Messages that name tables, columns, functions and privileges, and never values.
_SHOWN = frozenset({
    1046, 1051, 1052, 1054, 1055, 1056, 1060, 1066, 1072, 1091, 1109, 1110, 1111, 1115, 1120, 1140, 1142, 1143, 1146,
    1176, 1222, 1227, 1248, 1273, 1305, 1318, 1327, 1356, 1370, 1582, 1583, 1584, 1630,
})  # fmt: skip
#: Of those, the ones about rights.
_RIGHTS = frozenset({1142, 1143, 1227, 1370})
#: What went wrong while a statement ran, by the number of the error: the reason, and what to do.
_ENDED = {
    1028: ("the server ran out of space while it sorted", "Free space on the server, or sort less."),
    1021: ("the disk of the server is full", "Free space on the server."),
    1038: ("the server ran out of memory while it sorted", "Sort less, or give the server more memory."),
    1053: ("the server is shutting down", _AGAIN),
    1114: ("a temporary table of the server is full", "Free space on the server, or select less."),
    1153: ("a row is larger than max_allowed_packet of the server", "Select less of each row."),
    1205: ("rows stayed locked by another transaction", _AGAIN),
    1213: ("the statement was ended because of a deadlock", _AGAIN),
    1317: ("the statement was ended on the server (KILL QUERY)", "Ask its administrator why, then run it again."),
    1412: ("a table was changed (ALTER TABLE) after the read began", _AGAIN),
    1792: ("the statement changes data, and the transaction is read-only", "Write one SELECT statement."),
    1927: ("the connection was ended on the server (KILL)", "Ask its administrator why, then run it again."),
    2006: ("the connection to the server was lost", _AGAIN),
    2013: ("the connection to the server was lost", _AGAIN),
    1152: ("the connection to the server was lost", _AGAIN),
    1158: ("the connection to the server was lost", _AGAIN),
    1159: ("the connection to the server was lost", _AGAIN),
    1160: ("the connection to the server was lost", _AGAIN),
    1161: ("the connection to the server was lost", _AGAIN),
    3169: ("the connection was ended on the server (KILL)", "Ask its administrator why, then run it again."),
    4031: ("the server ended the connection because it was idle", _AGAIN),
}
_TIMED_OUT = frozenset({1969, 3024, 1907})
#: Errors of values of rows, whose messages quote them.
_VALUES = {
    1242: "a subquery returns more than one row",
    1264: "a value is out of the range of its type",
    1292: "a value is no number, date or time",
    1365: "a division by zero",
    1366: "a value does not fit its type",
    1411: "a value is no number, date or time",
    1441: "a date is out of range",
    1690: "the result of a calculation is out of the range of its type",
    3140: "a value is no JSON",
    3141: "a value is no JSON",
    4038: "a value is no JSON",
    4079: "a value does not fit the type that it is cast to",
}
#: Why a server refuses a connection, by the number of the error: the reason, and the remedy.
_REFUSED = {
    1040: ("the server has too many connections", "run the same command later"),
    1044: ('user "{user}" may not use database "{dbname}"', "GRANT SELECT ON {dbname}.* TO it, or check dbname"),
    1045: ('the server refuses user "{user}": wrong user or password, or not allowed from this host', "{where}"),
    1049: ('there is no database "{dbname}"', "check dbname"),
    1129: ("the server blocks this host after too many failed connections", "FLUSH HOSTS on the server"),
    1130: ("the server allows no connections from this host", "let its administrator allow the account from this host"),
    1203: ("the account has too many connections", "run the same command later"),
    1226: ("the account has used up its limits on the server", "run the same command later"),
    1251: ("the server asks for an authentication that PyMySQL does not have", "let the account have a usual plugin"),
    1698: ('the server refuses user "{user}": its account does not use a password', "use an account with a password"),
    1820: ("the password of the account has expired", "change it on the server"),
    1862: ("the password of the account has expired", "change it on the server"),
    2026: ("the server offers no TLS", "sslmode: prefer or disable, or enable TLS on the server"),
    2059: (
        "the server asks for an authentication that is not possible here",
        "use sslmode: require, or another plugin",
    ),
    3118: ("the account is locked", "let its administrator unlock it"),
    3159: ("the server requires TLS", "sslmode: require, or verify-full with sslrootcert"),
    4151: ("the account is locked", "let its administrator unlock it"),
}
_UNREACHABLE = 2003
#: Errors of PyMySQL where an answer is not of the protocol.
FOREIGN = (struct.error, IndexError, AssertionError, TypeError)
#: Why a server is not reached, by the error of the connection.
_CAUSES: tuple[tuple[type[Exception], str, str], ...] = (
    (ssl.SSLError, "TLS failed", "check sslmode and the TLS versions of the server"),
    (TimeoutError, "it does not answer", "check host and port, and firewalls between"),
    (ConnectionRefusedError, "the connection was refused", "check host and port, and that the server runs"),
    (FileNotFoundError, "there is no such socket", "check host, and that the server runs"),
)
_USER = re.compile(r" to user '[^']*'@'[^']*'| for user '[^']*'@'[^']*'")
_NEAR = re.compile(r"near '(?P<near>.*)' at line (?P<line>\d+)", re.DOTALL)
_TOKEN = re.compile(r"\s*([\w.`]+|[^\w\s'\"])")


def connection_error(error: Exception, database: Database, settings: ServerSettings) -> UnavailableError:
    """Return the error for a connection that was not made.

    Args:
        error: The error of PyMySQL.
        database: The database.
        settings: Where its server is; the password is in no message.
    """
    label = f'connection "{database.name}"'
    number = _number(error)
    server = f"{settings.host}:{settings.port}" if not settings.host.startswith("/") else settings.host
    values = {"user": settings.user, "dbname": settings.dbname, "where": "check user and password"}
    if isinstance(error, RuntimeError) and "cryptography" in str(error):
        reason, hint = "the server asks for a password over a connection without TLS", "set sslmode: require"
    elif not isinstance(error, pymysql.err.Error | OSError):
        reason, hint = "what answers there is no MySQL or MariaDB server", "check host and port"
    elif number == _UNREACHABLE or isinstance(error, OSError):
        reason, hint = _unreachable(error, settings)
    elif number in _REFUSED:
        reason, hint = (text.format(**values) for text in _REFUSED[number])
    elif number in _ENDED:
        reason, hint = _ENDED[number][0], "check that the server runs, then run the same command again"
    else:
        reason, hint = f"the server refuses the connection (error {number})", "look the number up in its manual"
    return UnavailableError(f"{label}: {server}: {reason}", hint=f"{hint} ({database.place})")


def _unreachable(error: Exception, settings: ServerSettings) -> tuple[str, str]:
    """Return why a server was not reached, and what to do."""
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted: {cause.verify_message}"
        return reason, "set sslrootcert to the certificate of its authority, and host to a name in it"
    if isinstance(cause, socket.gaierror):
        return f'there is no host "{settings.host}"', "check host"
    for kind, reason, hint in _CAUSES:
        if isinstance(cause, kind):
            return reason, hint
    detail = cause.strerror if isinstance(cause, OSError) and cause.strerror else "it cannot be reached"
    return detail.lower(), "check host and port"


def statement_error(error: Exception, query: Query, settings: ServerSettings, rows: int) -> Exception:
    """Return the error for a statement that failed.

    Args:
        error: The error of PyMySQL.
        query: The query.
        settings: How the server is used.
        rows: Rows that were read before.
    """
    number = _number(error)
    label = f"{query.title}{f' after {rows:,} rows' if rows else ''}"
    text = str(error.args[1]) if len(error.args) > 1 else ""
    if number in _TIMED_OUT:
        reason = f"the statement took more than {settings.timeout:,.0f} s, its statement_timeout"
        hint = f"Select less, or set a longer statement_timeout in {query.database.place}; nothing was sent."
        return UnavailableError(f"{label}: {reason}", hint=hint)
    if number == _SYNTAX:
        return SourceError(f"{query.title}{_syntax(text, query)}", hint=_CORRECT)
    if isinstance(error, (pymysql.err.InterfaceError, OSError, *FOREIGN)):
        number = _LOST
    if number in _ENDED:
        reason, hint = _ENDED[number]
        return UnavailableError(f"{label}: {reason}", hint=hint)
    reason = f"{KINDS[query.database.kind]} refuses the statement with error {number}"
    hint = "Look the number up in its manual; the message may contain values."
    if number in _SHOWN:
        reason = _USER.sub("", text).rstrip(".")
        hint = _CORRECT_TABLE if query.table else _CORRECT
        if number == _NO_DATABASE:
            hint = f"Name the database in {query.database.place}, or before the table; nothing was sent."
        if number in _RIGHTS:
            hint = "Let the administrator grant it, or select less."
    elif number in _VALUES:
        reason, hint = f"{_VALUES[number]} (error {number})", _CORRECT
    return SourceError(f"{label}: {reason}", hint=hint)


def _syntax(text: str, query: Query) -> str:
    """Return where a statement is wrong: its line, and what stands there unless that is a text."""
    found = _NEAR.search(text)
    if found is None:
        return ": syntax error"
    token = _TOKEN.match(found["near"])
    near = f" near {token[1]}" if token else " at the end" if not found["near"] else ""
    return f", line {found['line']}{'' if query.file else ' of the query'}: syntax error{near}"


def _number(error: Exception) -> int:
    """Return the number of an error of PyMySQL; 0 without one."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0
