"""PostgreSQL as a source without a server: connection strings, ends of statements, and errors in words."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server
from batchsync.errors import SourceError, UnavailableError
from batchsync.source import check_database, describe_query, fetch, postgres_query
from batchsync.source.postgres_errors import connect_error, statement_error
from batchsync.source.postgres_login import address, connection_string
from batchsync.source.statement_text import place_of, without_end

if TYPE_CHECKING:
    from pathlib import Path

DEFAULTS = (
    "connect_timeout='10' keepalives_idle='30' keepalives_interval='10' keepalives_count='3' "
    "application_name='batchsync'"
)


def _database(kind: str = "postgres", **settings: Any) -> Database:
    return Database(name="warehouse", kind=kind, server=Server(**({"host": "db", "dbname": "mart"} | settings)))


def _by_url(url: str, kind: str = "postgres", **settings: Any) -> str:
    database = Database(name="warehouse", kind=kind, server=Server(url="${WAREHOUSE_URL}", **settings))
    return connection_string(database, {"url": url})


@pytest.mark.parametrize(
    ("settings", "login", "expected"),
    [
        ({}, {}, "host='db' port='5432' dbname='mart' sslmode='require'"),
        ({"kind": "redshift"}, {}, "host='db' port='5439' dbname='mart' sslmode='require'"),
        ({"host": "localhost", "port": 1}, {}, "host='localhost' port='1' dbname='mart' sslmode='prefer'"),
        ({"host": "127.0.0.9"}, {}, "host='127.0.0.9' port='5432' dbname='mart' sslmode='prefer'"),
        ({"host": "/run/pg"}, {}, "host='/run/pg' port='5432' dbname='mart' sslmode='prefer'"),
        (
            {"user": "a b", "sslmode": "verify-ca", "sslrootcert": "/ca"},
            {"password": "it's \\"},
            r"host='db' port='5432' dbname='mart' user='a b' password='it\'s \\' sslmode='verify-ca' sslrootcert='/ca'",
        ),
    ],
)
def test_connection_strings_of_settings(settings: dict[str, Any], login: dict[str, str], expected: str) -> None:
    found = connection_string(_database(**settings), login)
    assert found == f"{expected} {DEFAULTS}"


@pytest.mark.parametrize(
    ("url", "begin", "mode"),
    [
        ("postgresql://u:p%40@db:6432/mart", "postgresql://u:p%40@db:6432/mart?sslmode=require&", "require"),
        ("postgres://u@db/mart?sslmode=disable", "postgresql://u@db/mart?sslmode=disable&", "disable"),
        ("postgresql:///mart?host=/run/pg", "postgresql:///mart?host=%2Frun%2Fpg&sslmode=prefer&", "prefer"),
        ("postgresql://u@[::1]:5/mart", "postgresql://u@[::1]:5/mart?sslmode=prefer&", "prefer"),
    ],
)
def test_urls_keep_what_they_say(url: str, begin: str, mode: str) -> None:
    found = _by_url(url)
    assert found.startswith(begin)
    assert f"sslmode={mode}" in found
    assert "sslmode=verify-full" in _by_url(url, sslmode="verify-full")
    assert "port=5439" in _by_url("redshift://u@db/mart", kind="redshift")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:hunter2x@db/mart", "does not begin with postgresql://"),
        ("hunter2x", "does not begin with postgresql://"),
        ("postgresql://u:hunter2x@/mart", "has no host"),
        ("postgresql://u:hunter 2x@db/mart", "contains white space"),
        ("postgresql://u:hunter2x@[db/mart", "is no URL"),
        ("postgresql://u:hunter2x@db:port/mart", "is no URL"),
        ("postgresql://u@db/mart?hunter2x", "is no URL"),
        ("postgresql://hunter:12/3@db/mart", "has characters in user or password"),
        ("postgresql://hunter:12#3@db/mart", "has characters in user or password"),
        ("postgresql://hunter:1@23/4@db/mart", "has characters in user or password"),
        ("postgresql://hunter:12?x=3@db/mart", "has characters in user or password"),
        ("postgresql://u:p@hunter@db/mart", "has characters in user or password"),
    ],
)
def test_values_that_are_no_url_are_refused_without_showing_them(url: str, reason: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        _by_url(url)
    assert f'connection "warehouse": the value of ${{WAREHOUSE_URL}} {reason}' in caught.value.message
    assert "hunter" not in caught.value.message + caught.value.hint


def test_addresses_are_host_and_port() -> None:
    database = Database(name="w", kind="postgres", server=Server(url="${U}"))
    assert address(database, {"url": "postgresql://u:p@db.example.com/mart"}) == "db.example.com, port 5432"
    assert address(_database(port=1), {}) == "db, port 1"
    assert address(_database(host="/run/pg"), {}) == "the socket in /run/pg"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT 1 ; ;\n", "SELECT 1"),
        ("SELECT 1 -- a;", "SELECT 1"),
        ("SELECT 1 /* a /* ; */ ; */ ;", "SELECT 1"),
        ("-- a\nSELECT ';--'", "-- a\nSELECT ';--'"),
        ("SELECT 'it''s --' ;", "SELECT 'it''s --'"),
        (r"SELECT E'\' --' ;", r"SELECT E'\' --'"),
        ('SELECT "a;""--";', 'SELECT "a;""--"'),
        ("SELECT $$;--$$;", "SELECT $$;--$$"),
        ("SELECT $a$;$$--$a$ --", "SELECT $a$;$$--$a$"),
        ("SELECT a$1 ; -- $1", "SELECT a$1"),
        ("SELECT 1; SELECT 2;", "SELECT 1; SELECT 2"),
        ("SELECT 1 /* no end", "SELECT 1 /* no end"),
        ("SELECT 'no end ; --", "SELECT 'no end"),
        ("SELECT name'x' ;", "SELECT name'x'"),
    ],
)
def test_end_of_a_statement_is_left_out(sql: str, expected: str) -> None:
    assert without_end(sql) == expected


def test_places_count_lines_and_columns() -> None:
    assert [place_of("ab\ncd", number) for number in (1, 2, 4, 5)] == [(1, 1), (1, 2), (2, 1), (2, 2)]


@pytest.mark.parametrize(
    "text",
    ['unexpected spaces found in "hunter 2x"', 'invalid connection option "hunter"', "Verbindung: hunter", ""],
)
def test_unknown_reasons_of_connections_are_not_quoted(text: str) -> None:
    found = connect_error(_database(), "db, port 5432", OSError(text))
    assert found.message == 'connection "warehouse": db, port 5432: the connection failed'
    assert "hunter" not in found.hint


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ('invalid URI query parameter: "hunter"', "a parameter that libpq does not know", "leave it out"),
        ('invalid percent-encoded token: "hunter%ZZ"', "a % that encodes no character", "write %25"),
        ('FATAL: too many connections for role "hunter"', "no connection left", "run the same command later; see"),
    ],
)
def test_reasons_of_connections_have_a_remedy(text: str, reason: str, hint: str) -> None:
    found = connect_error(_database(), "db, port 5432", OSError(text))
    assert reason in found.message
    assert hint in found.hint
    assert "hunter" not in found.message + found.hint


class _DriverError(Exception):
    """An error as the driver raises it."""

    def __init__(self, text: str, sqlstate: str | None = None, **details: str) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.details = [(f"PG_DIAG_{name}".encode(), value.encode()) for name, value in details.items()]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (_DriverError("disk", "53100"), UnavailableError, "the disk of the server is full"),
        (_DriverError("ERROR:  could not write to file: No space left on device"), UnavailableError, "the disk of the"),
        (_DriverError("no memory", "53200"), UnavailableError, "the server has not enough memory"),
        (
            _DriverError("ERROR:  canceling statement due to conflict with recovery"),
            UnavailableError,
            "changed by others",
        ),
        (_DriverError("lock", "55P03"), UnavailableError, "a lock of others was not released in time"),
        (_DriverError("bad", "XX001"), UnavailableError, "the server has an internal error"),
        (_DriverError("hunter", "0A000"), SourceError, "the server does not support a part of the statement"),
        (_DriverError("hunter", "42P02"), SourceError, "the statement has parameters"),
        (
            _DriverError("ERROR:  more than one row returned by a subquery used"),
            SourceError,
            "a subquery",
        ),
        (_DriverError('ERROR:  invalid input value for enum mood: "hunter"'), SourceError, "a text is not of the type"),
        (_DriverError('ERROR:  invalid value "hunter" for "YYYY"'), SourceError, "a text is no date or time"),
        (_DriverError("ERROR:  invalid XML document\nDETAIL:  hunter"), SourceError, "a text is no XML"),
        (_DriverError("hunter", "42704"), SourceError, "the server ended the statement with an error (SQLSTATE 42704)"),
        (_DriverError("hunter"), SourceError, "the server ended the statement with an error after 7 rows"),
        (_DriverError("", "42501", MESSAGE_PRIMARY="permission denied for schema mart"), SourceError, "schema mart"),
        (_DriverError("", "42501", MESSAGE_PRIMARY="hunter may not"), SourceError, "the account may not read it after"),
    ],
)
def test_failed_statements_are_explained(error: Exception, kind: type[Exception], message: str) -> None:
    found = statement_error(Query(database=_database(), sql="SELECT 1"), error, 7)
    assert type(found) is kind
    assert message in found.message
    assert "hunter" not in found.message + found.hint


def test_closed_port_is_explained(tmp_path: Path) -> None:
    database = _database(host="127.0.0.1", port=1)
    with pytest.raises(UnavailableError, match=r'connection "warehouse": 127.0.0.1, port 1: nothing answers there'):
        check_database(database)
    query = Query(database=database, table=("guests",))
    with pytest.raises(UnavailableError, match="nothing answers there"):
        describe_query(query)
    with pytest.raises(UnavailableError, match="nothing answers there"):
        fetch(Source(path="x", folder="/", key=("id",), query=query), tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


@pytest.mark.parametrize(
    ("version", "product"),
    [
        ("PostgreSQL 15.18 (Debian 15.18-0) on x86_64-pc-linux-gnu", "PostgreSQL 15.18"),
        ("PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc, Redshift 1.0.12103", "Redshift 1.0.12103"),
        ("EnterpriseDB 16.1 on x86_64", "EnterpriseDB 16.1"),
        ("", "a server"),
    ],
)
def test_product_is_what_the_server_says(version: str, product: str) -> None:
    assert postgres_query._product(version) == product


def test_references_need_a_resolver() -> None:
    with pytest.raises(UnavailableError, match="its references were not resolved"):
        check_database(_database(password="${P}"))  # noqa: S106 - a reference


def test_missing_driver_is_named_with_its_command() -> None:
    code = """
        import sys
        sys.modules["adbc_driver_postgresql"] = None
        from batchsync.core.query import Database, Server
        from batchsync.errors import UnavailableError
        from batchsync.source import check_database
        try:
            check_database(Database(name="warehouse", kind="postgres", server=Server(host="db", dbname="mart")))
        except UnavailableError as error:
            print(error.message, error.hint, sep="|")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    message, hint = done.stdout.strip().split("|")
    assert message == 'connection "warehouse": the driver of PostgreSQL is not installed'
    assert hint == "Install it: pip install 'batchsync[postgres]'"
