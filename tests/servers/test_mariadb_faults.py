"""Faults of a MariaDB server that is used as a source: errors in words, no rows taken over, nothing left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server, Since
from batchsync.errors import BatchsyncError, SourceError, UnavailableError
from batchsync.source import check_database, fetch
from kit import mariadb as kit

if TYPE_CHECKING:
    from pathlib import Path

#: A statement that writes rows until it is ended.
ENDLESS = "SELECT a.seq AS id, REPEAT('x', 200) AS t FROM seq_1_to_1000000 a, seq_1_to_1000000 b"
ROW_VALUE = "hopper@example.com"


def _database(server: kit.Server, **changed: Any) -> Database:
    timeout = changed.pop("timeout", timedelta(seconds=60))
    where: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "dbname": kit.DATABASE, "user": kit.USER}
    where |= {"password": "${PASSWORD}"} | changed
    return Database(name="warehouse", kind="mariadb", server=Server(**where), statement_timeout=timeout)


def _source(database: Database, sql: str = "SELECT 1 AS id", **options: Any) -> Source:
    query = Query(database=database, sql=sql, **options)
    return Source(path=query.title, folder="/", key=("id",), query=query)


def _login(_: Database) -> dict[str, str]:
    return {"password": kit.PASSWORD}


def _read(source: Source, into: Path, password: str = kit.PASSWORD, **options: Any) -> pa.Table:
    landed = fetch(source, into, login=lambda _: {"password": password}, **options)
    return pa.concat_tables([pq.read_table(part.path) for part in landed.parts])


def _refusal(source: Source, into: Path, password: str = kit.PASSWORD) -> BatchsyncError:
    """Return the error of a read, of which no part is left."""
    with pytest.raises(BatchsyncError) as caught:
        _read(source, into, password)
    assert not into.exists() or not list(into.iterdir())
    text = f"{caught.value} {caught.value.hint}"
    assert password not in text
    assert ROW_VALUE not in text
    assert caught.value.exit_code == 3
    return caught.value


def _until(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def guests(mariadb: kit.Server) -> kit.Server:
    mariadb.execute(
        "CREATE TABLE guests (id INT PRIMARY KEY, email VARCHAR(40))",
        f"INSERT INTO guests VALUES (1, '{ROW_VALUE}'), (2, NULL)",
    )
    return mariadb


@pytest.mark.parametrize(
    ("changed", "password", "expected", "hint"),
    [
        ({}, "wrong-one", 'the server refuses user "reader": wrong user or password', "check user and password"),
        ({"user": "absent"}, kit.PASSWORD, 'the server refuses user "absent"', "check user and password"),
        ({"dbname": "nowhere"}, kit.PASSWORD, 'there is no database "nowhere"', "check dbname"),
        ({"user": "stranger"}, kit.PASSWORD, 'user "stranger" may not use database "shop"', "GRANT SELECT ON shop.*"),
        ({"host": "nowhere.invalid"}, kit.PASSWORD, 'there is no host "nowhere.invalid"', "check host"),
        ({"host": "/nowhere/socket"}, kit.PASSWORD, "there is no such socket", "check host"),
        ({"user": "encrypted", "sslmode": "disable"}, kit.PASSWORD, 'refuses user "encrypted"', ""),
        ({"sslmode": "verify-full"}, kit.PASSWORD, "its certificate is not trusted", "set sslrootcert"),
        ({"sslmode": "verify-ca"}, kit.PASSWORD, "its certificate is not trusted", "set sslrootcert"),
    ],
)
def test_connection_that_is_refused(
    guests: kit.Server, tmp_path: Path, changed: dict[str, Any], password: str, expected: str, hint: str
) -> None:
    error = _refusal(_source(_database(guests, **changed)), tmp_path / "parts", password)
    assert isinstance(error, UnavailableError)
    assert 'connection "warehouse"' in str(error)
    assert expected in str(error)
    assert hint in error.hint
    with pytest.raises(UnavailableError, match=expected.partition(":")[0]):
        check_database(_database(guests, **changed), lambda _: {"password": password})


def test_server_that_is_not_there(tmp_path: Path, guests: kit.Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = _refusal(_source(_database(guests, port=unused.getsockname()[1])), tmp_path / "parts")
    assert "the connection was refused" in str(error)


@pytest.mark.parametrize("mode", ["require", "prefer", "verify-ca", "verify-full", "disable"])
def test_encryption(guests: kit.Server, mode: str) -> None:
    trusted = {"sslrootcert": str(guests.authority)} if mode.startswith("verify") else {}
    found = check_database(_database(guests, sslmode=mode, **trusted), lambda _: {"password": kit.PASSWORD})
    assert found.startswith("MariaDB 1")
    assert found.endswith("read-only, not encrypted" if mode == "disable" else "read-only, TLS")


def test_name_of_the_server_is_checked_by_verify_full_only(guests: kit.Server) -> None:
    changed = {"host": "localhost", "sslrootcert": str(guests.authority)}
    check_database(_database(guests, sslmode="verify-ca", **changed), _login)
    with pytest.raises(UnavailableError, match="not trusted: Hostname mismatch"):
        check_database(_database(guests, sslmode="verify-full", **changed), _login)


def test_url_and_socket(guests: kit.Server) -> None:
    empty = {"host": "", "dbname": "", "user": "", "password": "", "port": None, "url": "${URL}"}
    url = f"mysql://{kit.USER}:{kit.PASSWORD}@127.0.0.1:{guests.port}/{kit.DATABASE}?sslmode=REQUIRED"
    assert "TLS" in check_database(_database(guests, **empty), lambda _: {"url": url})
    for bad in (url.replace("mysql:", "postgres:"), url.replace("REQUIRED", "maybe"), url.replace("sslmode", "x"), "?"):
        with pytest.raises(UnavailableError, match="its url") as caught:
            check_database(_database(guests, **empty), lambda _, bad=bad: {"url": bad})
        assert kit.PASSWORD not in f"{caught.value} {caught.value.hint}"
    found = check_database(_database(guests, host=str(guests.home / "socket")), lambda _: {"password": kit.PASSWORD})
    assert "not encrypted" in found


@pytest.mark.parametrize(
    ("sql", "expected", "hint"),
    [
        ("SELECT * FROM nope", "Table 'shop.nope' doesn't exist", "Correct the query"),
        ("SELECT nope FROM guests", "Unknown column 'nope'", "Correct the query"),
        ("SELECT id,\n email\nFORM guests", "line 3 of the query: syntax error near guests", "Correct the query"),
        ("SELECT 1;\nSELECT 2", "line 2 of the query: syntax error near SELECT", "Correct the query"),
        (f"SELECT 1 '{ROW_VALUE}' 2", "line 1 of the query: syntax error", "Correct the query"),
        ("SELECT nope(1)", "FUNCTION shop.nope does not exist", "Correct the query"),
        ("SELECT id, id FROM guests", "several columns are named 'id'", "Name each column"),
        (
            "SELECT id INTO OUTFILE 'batchsync-outfile' FROM guests",
            "the statement returns no rows",
            "without INTO",
        ),
        ("SELECT 1 INTO @a", "the statement returns no rows", "without INTO"),
        ("SELECT ?", "the statement has parameters (?)", "Write values"),
        (
            "SELECT CAST(email AS INT) + 9223372036854775807 + id FROM guests",
            "out of the range of its type (error 1690)",
            "",
        ),
        ("SELECT (SELECT id FROM guests) AS id", "a subquery returns more than one row (error 1242)", "Correct"),
        ("SELECT JSON_VALUE(email, '$') + ST_X(ST_GeomFromText(email)) FROM guests", "", ""),
        ("SELECT UNHEX(HEX(email)) AS t FROM guests", "column 't': varbinary cannot be taken over", "HEX(...)"),
    ],
)
def test_statement_that_is_refused(guests: kit.Server, tmp_path: Path, sql: str, expected: str, hint: str) -> None:
    if not expected:
        assert _read(_source(_database(guests), sql), tmp_path).num_rows == 2
        return
    error = _refusal(_source(_database(guests), sql), tmp_path / "parts")
    assert isinstance(error, SourceError)
    assert str(error).startswith("warehouse: query")
    assert expected in str(error)
    assert hint in error.hint


def test_statement_changes_nothing(guests: kit.Server, tmp_path: Path) -> None:
    guests.execute(
        "CREATE TABLE log (id INT) ENGINE=InnoDB",
        "CREATE FUNCTION written() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (1); RETURN 1; END",
        f"GRANT INSERT ON shop.log TO {kit.USER}@'%'",
    )
    error = _refusal(_source(_database(guests), "SELECT written() AS id"), tmp_path / "parts")
    assert "the transaction is read-only" in str(error)
    assert guests.execute("SELECT COUNT(*) FROM log") == ((0,),) or guests.execute("SELECT COUNT(*) FROM log") == [(0,)]


def test_rights_are_named_without_the_account(guests: kit.Server, tmp_path: Path) -> None:
    database = _database(guests, user="stranger", dbname="")
    error = _refusal(_source(database, "SELECT * FROM shop.guests"), tmp_path / "parts")
    assert "SELECT command denied for table" in str(error)
    assert "stranger" not in str(error)


def test_time_out_before_and_between_rows(guests: kit.Server, tmp_path: Path) -> None:
    database = _database(guests, timeout=timedelta(seconds=1))
    for sql in ("SELECT SLEEP(30) AS id", ENDLESS):
        error = _refusal(_source(database, sql), tmp_path / "parts")
        assert "took more than 1 s, its statement_timeout" in str(error)
        assert "set a longer statement_timeout" in error.hint


@pytest.mark.parametrize(("kind", "reason"), [("QUERY", "ended on the server (KILL QUERY)"), ("CONNECTION", "(KILL)")])
def test_statement_that_an_administrator_kills(guests: kit.Server, tmp_path: Path, kind: str, reason: str) -> None:
    def kill(_: int) -> None:
        rows = guests.execute(
            f"SELECT id FROM information_schema.processlist WHERE user = '{kit.USER}' AND info IS NOT NULL"
        )
        for (number,) in rows:
            guests.execute(f"KILL {kind} {number}")

    with pytest.raises(UnavailableError) as caught:
        _read(_source(_database(guests), ENDLESS), tmp_path / "parts", progress=kill)
    assert reason in str(caught.value) or "the connection to the server was lost" in str(caught.value)
    assert "after " in str(caught.value)
    assert not list((tmp_path / "parts").iterdir())


def test_server_that_dies_between_rows(tmp_path: Path) -> None:
    with kit.running() as server:
        killed: list[int] = []

        def kill(rows: int) -> None:
            if not killed:
                killed.append(rows)
                server.kill()

        with pytest.raises(UnavailableError, match="the connection to the server was lost"):
            _read(_source(_database(server), ENDLESS), tmp_path / "parts", progress=kill)
        assert killed
        assert not list((tmp_path / "parts").iterdir())


def test_rows_are_of_one_moment(guests: kit.Server, tmp_path: Path) -> None:
    guests.execute(
        "CREATE TABLE changing (id INT PRIMARY KEY, t VARCHAR(100))",
        "INSERT INTO changing SELECT seq, REPEAT('old', 30) FROM seq_1_to_200000",
    )
    changes: list[int] = []

    def change(rows: int) -> None:
        if not changes:
            changes.append(rows)
            guests.execute("UPDATE changing SET t = 'new' WHERE id > 150000", "DELETE FROM changing WHERE id % 2")

    table = _read(_source(_database(guests), "SELECT * FROM changing"), tmp_path, progress=change)
    assert changes
    assert table.num_rows == 200_000
    assert set(table.column("t").to_pylist()) == {"old" * 30}


def test_enough_rows_end_the_statement(guests: kit.Server, tmp_path: Path) -> None:
    assert _read(_source(_database(guests), ENDLESS), tmp_path, rows=25_000).num_rows == 25_000
    _until(lambda: not guests.statements())


def test_error_of_the_caller_ends_the_statement(guests: kit.Server, tmp_path: Path) -> None:
    def fail(_: int) -> None:
        raise UnavailableError("the disk is full")

    with pytest.raises(UnavailableError, match="the disk is full"):
        _read(_source(_database(guests), ENDLESS), tmp_path / "parts", progress=fail)
    _until(lambda: not guests.statements())


SCRIPT = """
import sys
from datetime import timedelta
from pathlib import Path
from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server
from batchsync.interrupts import Interrupted, Interrupts
from batchsync.source import fetch
port, password, into, sql = sys.argv[1:]
Interrupts().install()
server = Server(host="127.0.0.1", port=int(port), dbname="shop", user="reader", password="${P}")
database = Database(name="warehouse", kind="mariadb", server=server, statement_timeout=timedelta(minutes=5))
source = Source(path="q", folder="/", key=("id",), query=Query(database=database, sql=sql))
try:
    fetch(source, Path(into), login=lambda _: {"password": password})
except Interrupted as error:
    sys.exit(int(error.exit_code))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("sql", [ENDLESS, "SELECT SLEEP(1000) AS id"])
def test_signal_ends_the_statement_on_the_server(
    guests: kit.Server, tmp_path: Path, number: signal.Signals, sql: str
) -> None:
    _until(lambda: not guests.statements())
    arguments = [str(guests.port), kit.PASSWORD, str(tmp_path / "parts"), sql]
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments]) as process:
        _until(lambda: any("REPEAT" in item or "SLEEP" in item for item in guests.statements()))
        os.kill(process.pid, number)
        assert process.wait(timeout=30) in {130, 143}
    _until(lambda: not guests.statements())
    assert not list((tmp_path / "parts").iterdir())


def test_bound_of_since_is_a_parameter(guests: kit.Server, tmp_path: Path) -> None:
    guests.execute(
        "CREATE TABLE events (id BIGINT, `at``x` DATETIME(6))",
        "INSERT INTO events VALUES (1, '2026-01-01'), (2, '2026-01-02 00:00:00.000001'), (3, NULL), (4, '2026-03-01')",
    )
    since = Since(column="at`x")
    for sql in ("SELECT * FROM events ; ", "SELECT * FROM events -- all"):
        source = _source(_database(guests), sql, since=since)
        table = _read(source, tmp_path, since="2026-01-02 00:00:00.000001")
        assert sorted(table.column("id").to_pylist()) == [2, 3, 4]
    source = _source(_database(guests), "SELECT * FROM events", since=Since(column="id"))
    assert _read(source, tmp_path, since="2' OR '1").num_rows == 3  # compared as the number 2
    assert _read(_source(_database(guests), "SELECT * FROM events", since=since), tmp_path).num_rows == 4


def test_missing_package_is_named_with_the_command(
    guests: kit.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("batchsync.source.mysql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    error = _refusal(_source(_database(guests)), tmp_path / "parts")
    assert "MariaDB databases need the package pymysql" in str(error)
    assert error.hint == "Install it: pip install 'batchsync[mysql]'"
