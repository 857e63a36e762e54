"""Errors of PostgreSQL in words. Texts of the server and of libpq may contain values of rows or parts of the URL.

What is shown of a text is a name in it that cannot be one of these, at a place where the statement itself is wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.errors import SourceError, UnavailableError
from batchsync.source.statement_text import place_of

if TYPE_CHECKING:
    from batchsync.core.query import Database, Query

_NOTHING_SENT = "nothing was sent"
_AGAIN = "Run the same command again."
_CORRECT_TABLE = "Correct table: its names are those that the database has, without quotes"
_LATER = "run the same command later"
#: Reasons of a connection that failed, by what libpq or the server writes, with what to do.
_CONNECT: tuple[tuple[str, str, str], ...] = (
    ("password authentication failed|no password supplied|authentication failed",
     "the user or password is wrong", "check user and password"),
    ('role "[^"]*" (?:does not exist|is not permitted to log in)', "the account does not exist or may not log in",
     "check user"),
    ('database "[^"]*" does not exist', "there is no such database", "check dbname"),
    ("permission denied for database", "the account may not connect to the database",
     "grant CONNECT on the database to the account"),
    ("no pg_hba.conf entry|no encryption", "the server does not let this account in from here, or not so encrypted",
     "check sslmode, and pg_hba.conf of the server"),
    ("does not support SSL", "the server does not offer TLS",
     "enable TLS on the server, or write sslmode: disable where the network is trusted"),
    ("certificate verify failed|self.signed certificate", "the certificate of the server is not trusted",
     "name the certificates of its authority: sslrootcert: certs/warehouse.pem"),
    ("does not match host name", "the certificate of the server is of another name",
     "write the name of the certificate as host"),
    ("root certificate file", "the file of sslrootcert is missing or unreadable", "check sslrootcert"),
    ("SSL|TLS|certificate", "the encrypted connection failed", "check sslmode and sslrootcert"),
    ("could not translate host name|Name or service not known|Temporary failure in name",
     "the name of the host is not known", "check host, and the network from here"),
    ("Connection refused|No such file or directory", "nothing answers there", "check host and port, and that it runs"),
    ("invalid URI query parameter", "the URL has a parameter that libpq does not know, such as schema",
     "leave it out; libpq knows sslmode, connect_timeout and others"),
    ("invalid percent-encoded token|forbidden value %00", "the URL has a % that encodes no character",
     "write %25 for % in user and password"),
    ("timeout expired|timed out|No route to host|Network is unreachable", "the server does not answer",
     "check host, port and firewalls between here and there"),
    ("too many (?:clients|connections)|remaining connection slots", "the server has no connection left", _LATER),
    ("starting up|shutting down|recovery mode|not yet accepting", "the server is starting or stopping", _LATER),
    ("server closed the connection|Connection reset|Broken pipe", "the server closed the connection",
     "check that it is a PostgreSQL server, and its log"),
)  # fmt: skip
_UNKNOWN = ["the connection failed", "psql with the same settings shows the reason"]
#: Reasons of a statement that ended, by SQLSTATE or its class.
_BY_STATE: dict[str, tuple[str, str]] = {
    "0A": ("the server does not support a part of the statement", "Run the query in psql, which shows which."),
    "21": ("a subquery returns more than one row", "Add LIMIT 1, or an aggregate, to the subquery."),
    "22P02": ("a text is not of the type that it is cast to", "Correct the cast, or filter such rows."),
    "22003": ("a number is out of the range of its type", "Cast to a larger type."),
    "22012": ("a division by zero", "Write NULLIF(divisor, 0)."),
    "22007": ("a text is no date or time", "Correct the cast, or filter such rows."),
    "22008": ("a date or time is out of range", "Correct the cast, or filter such rows."),
    "22021": ("a text is not of the encoding of the database", "Repair the text in the database."),
    "22": ("a value does not fit an operation on it", "Run the query in psql, which shows the value."),
    "25006": ("the query changes the database", "It may only read: write one SELECT statement."),
    "25001": ("the query changes its transaction", "It may only read: write one SELECT statement."),
    "40001": ("the rows are changed by others in a way that the server does not allow", _AGAIN),
    "40": ("the server ended the transaction", _AGAIN),
    "2200M": ("a text is no XML", "Correct the cast, or filter such rows."),
    "42P02": ("the statement has parameters", "Write values instead of $1."),
    "42501": ("the account may not read it", "Grant SELECT (and USAGE of the schema) to the account."),
    "42601": ("the statement is no valid SQL", "Correct the query."),
    "53100": ("the disk of the server is full", "Free space on the server, or let the query sort and join less."),
    "53200": ("the server has not enough memory", "Let the query sort and join less, or run it later."),
    "53": ("the server lacks resources", _AGAIN),
    "54": ("the statement is beyond a limit of the server", "Run the query in psql, which shows the limit."),
    "55P03": ("a lock of others was not released in time", _AGAIN),
    "57P01": ("an administrator ended the connection", _AGAIN),
    "57P": ("the server is stopping", _AGAIN),
    "58": ("the server has an error of its system", "Look at the log of the server."),
    "XX": ("the server has an internal error", "Look at the log of the server."),
    "08": ("the connection was lost", _AGAIN),
    "P0": ("a function raised an error", "Run the query in psql, which shows its message."),
}
#: SQLSTATE by what the server writes, for errors in the middle of the rows, of which the driver gives the text only.
_BY_TEXT = (
    ("statement timeout", "timeout"),
    ("user request", "cancelled"),
    ("conflict with recovery", "40001"),
    ("terminating connection due to administrator", "57P01"),
    ("server closed|could not receive data|connection (?:to server )?(?:was )?lost|Connection reset", "08"),
    ("SSL SYSCALL|no connection to the server", "08"),
    ("No space left on device|could not (?:write|extend) (?:to )?(?:temporary )?file", "53100"),
    ("temporary file size exceeds", "53"),
    ("out of memory", "53200"),
    ("division by zero", "22012"),
    ("more than one row returned by a subquery", "21000"),
    ("invalid input syntax|invalid input value for enum", "22P02"),
    ("invalid value .* for ", "22007"),
    ("invalid XML", "2200M"),
    ("out of range", "22003"),
    ("invalid byte sequence|has no equivalent in encoding", "22021"),
    ("permission denied", "42501"),
    ("in a read-only transaction", "25006"),
    ("transaction read-write mode", "25001"),
    ("terminating connection", "08"),
)  # fmt: skip
_CANCELLED = "57014"
#: Errors of names and syntax in the statement: their texts quote the statement, never a row, if they have a place.
_OF_STATEMENT = "42"


def connect_error(database: Database, address: str, error: Exception) -> UnavailableError:
    """Return the error for a connection that cannot be opened.

    Args:
        database: The database.
        address: Its host and port for messages.
        error: The driver's error, whose text may contain parts of the URL.
    """
    text = str(error)
    matching = (found for pattern, *found in _CONNECT if re.search(pattern, text, re.IGNORECASE))
    reason, remedy = next(matching, _UNKNOWN)
    return UnavailableError(
        f'connection "{database.name}": {address}: {reason}', hint=f"{remedy}; see {database.place}"
    )


def statement_error(query: Query, error: Exception, rows: int, statement: str = "") -> SourceError | UnavailableError:
    """Return the error for a statement that failed.

    Args:
        query: The query.
        error: The driver's error.
        rows: Number of rows read before.
        statement: The statement if places in the error are places in it; empty if it was wrapped.
    """
    state = str(getattr(error, "sqlstate", None) or "")
    details = {_text(name): _text(value) for name, value in getattr(error, "details", None) or ()}
    text = str(error)
    if not state or state == _CANCELLED:
        state = next((found for pattern, found in _BY_TEXT if re.search(pattern, text)), state)
    after = f" after {rows:,} rows" if rows else ""
    if state == "timeout":
        seconds = query.database.statement_timeout.total_seconds()
        message = f"the statement took more than {seconds:,.0f} s, its statement_timeout{after}"
        hint = f"Make the query faster, or write statement_timeout: 2h in {query.database.place}; {_NOTHING_SENT}."
        return UnavailableError(f"{query.title}: {message}", hint=hint)
    if state in {"cancelled", _CANCELLED}:
        return UnavailableError(f"{query.title}: the statement was cancelled on the server{after}", hint=_AGAIN)
    if state == "42601" and "multiple commands" in details.get("PG_DIAG_MESSAGE_PRIMARY", ""):
        return SourceError(f"{query.title}: several statements", hint=f"Write one SELECT statement; {_NOTHING_SENT}.")
    position = details.get("PG_DIAG_STATEMENT_POSITION", "")
    if state.startswith(_OF_STATEMENT) and statement and position.isdecimal():
        return _misspelled(query, statement, int(position), details)
    reason, remedy = _reason(state)
    is_outage = state[:2] in {"08", "53", "55", "57", "58", "40", "XX"}
    kind = UnavailableError if is_outage else SourceError
    shown = _object_of(details, state)
    return kind(f"{query.title}: {reason}{shown}{after}", hint=f"{remedy} {_NOTHING_SENT.capitalize()}.")


def _misspelled(query: Query, statement: str, position: int, details: dict[str, str]) -> SourceError:
    """Return the error for a statement that is wrong at a place."""
    line, column = place_of(statement, position)
    message = details.get("PG_DIAG_MESSAGE_PRIMARY", "")
    if query.table:
        place = query.title
    elif query.written:
        place = f"{query.title}:{line}:{column}"
    else:
        place = f"{query.title}, line {line}, column {column}"
    hint = _CORRECT_TABLE if query.table else "Correct the query"
    return SourceError(f"{place}: {message}", hint=f"{hint}; {_NOTHING_SENT}.")


def _reason(state: str) -> tuple[str, str]:
    for length in (5, 3, 2):
        if found := _BY_STATE.get(state[:length]):
            return found
    code = f" (SQLSTATE {state})" if re.fullmatch(r"[0-9A-Z]{5}", state) else ""
    return f"the server ended the statement with an error{code}", "Run the query in psql, which shows its message."


def _object_of(details: dict[str, str], state: str) -> str:
    """Return the kind and name of what may not be read; texts of other errors are not shown."""
    if state != "42501":
        return ""
    found = re.fullmatch(r"permission denied for ([a-z ]+) (\S{1,130})", details.get("PG_DIAG_MESSAGE_PRIMARY", ""))
    return f": {found[1]} {found[2]}" if found else ""


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
