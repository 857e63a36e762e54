"""PostgreSQL as a source: statements, snapshots, refusals, and every way in which a server fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.errors import SourceError, UnavailableError
from batchsync.source import check_database, describe_query, fetch
from kit import postgresql
from kit.postgresql_queries import database_of, landed, query_of, source_of

if TYPE_CHECKING:
    from batchsync.core.query import Query
    from kit.postgresql import Cluster

_ROWS = "SELECT generate_series(1, {}) AS id, repeat('x', 400) AS text"


def _refusal(query: Query, into: Path, **options: Any) -> str:
    """Return the error of a fetch, which left no part behind."""
    with pytest.raises((SourceError, UnavailableError)) as caught:
        fetch(source_of(query), into, **options)
    assert not list(into.glob("*"))
    assert not list(into.glob(".*"))
    return f"{caught.value.message} | {caught.value.hint}"


@pytest.mark.parametrize("kind", ["postgres", "redshift"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, name FROM mart.guests ORDER BY id",
        "SELECT id, name, 1::numeric AS n FROM mart.guests ORDER BY id;",
        "SELECT id, name FROM mart.guests ORDER BY id -- the last line",
        "SELECT id, name, 1::numeric AS n FROM mart.guests ORDER BY id ; /* a /* nested */ ; */ -- ;",
        "-- first\nWITH g AS (TABLE mart.guests) SELECT *, '--;'::name AS x, $$;--$$::xml n FROM g ORDER BY 1",
        "TABLE mart.guests",
    ],
)
def test_statements_of_every_form_are_read(shop: Cluster, tmp_path: Path, sql: str, kind: str) -> None:
    found = landed(query_of(shop, sql, kind=kind), tmp_path / "into")
    assert found["id"].to_list() == list(range(1, 11))
    assert found["name"].to_list() == [f"n{number}" for number in range(1, 11)]


def test_tables_are_quoted_and_some_rows_suffice(shop: Cluster, tmp_path: Path) -> None:
    assert landed(query_of(shop, table=("mart", "guests")), tmp_path / "a", rows=3).height == 3
    found = landed(query_of(shop, table=("mart", 'Odd "table" x')), tmp_path / "b")
    assert (found.columns, found.height) == (["id", "a b"], 0)
    message = _refusal(query_of(shop, table=("mart", 'x"; DROP TABLE hidden; --')), tmp_path / "c")
    assert "does not exist" in message
    assert "Correct table" in message


def test_columns_are_described_without_reading(shop: Cluster) -> None:
    sql = (
        "SELECT 1 AS a, 2::numeric AS b, 2::numeric(9,2) AS c, '{1}'::int[] AS d, int4range(1, 2) AS e, failing() AS f"
    )
    found = describe_query(query_of(shop, sql))
    assert [(item.name, item.declared, item.read_as) for item in found] == [
        ("a", "integer", "integer"),
        ("b", "numeric", "text (for numbers, cast it: x::numeric(12,2))"),
        ("c", "numeric(9,2)", "decimal(9,2)"),
        ("d", "integer[]", "list of integer"),
        ("e", "int4range", "text"),
        ("f", "integer", "integer"),
    ]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("'infinity'::date", "infinity, or a year"),
        ("'-infinity'::timestamp", "infinity, or a year"),
        ("'infinity'::timestamptz", "infinity, or a year"),
        ("'0001-12-31 BC'::date", "infinity, or a year"),
        ("'5874897-12-31'::date", "infinity, or a year"),
        ("'294276-12-31'::timestamp", "infinity, or a year"),
        ("'10000-01-01 00:00:00+00'::timestamptz", "infinity, or a year"),
        ("'24:00:00'::time", "24:00:00"),
        ("'NaN'::numeric(10,2)", "NaN"),
        ("ARRAY[[1,2],[3,4]]", "an array that is no plain list"),
        ("'[0:1]={1,2}'::int[]", "an array that is no plain list"),
        ("repeat('x', (16 << 20) + 1)::text", "a text of more than 16 MiB"),
    ],
)
def test_values_that_cannot_be_carried_are_refused_with_their_place(
    shop: Cluster, tmp_path: Path, value: str, what: str
) -> None:
    kind = value.rpartition("::")[2] if "::" in value else "int[]"
    sql = f"SELECT g AS id, CASE WHEN g = 30000 THEN {value} ELSE NULL::{kind} END AS v FROM generate_series(1,40000) g"
    message = _refusal(query_of(shop, sql), tmp_path / "into")
    assert f"warehouse: query: column 'v', row 30,000: {what}" in message


def test_lists_keep_their_elements(shop: Cluster, tmp_path: Path) -> None:
    sql = "SELECT 1 AS id, ARRAY['a', NULL, ''] AS t, '{}'::int[] AS e, NULL::float8[] AS n, ARRAY[0.1::float8] AS f"
    found = landed(query_of(shop, sql), tmp_path / "into")
    assert found.row(0) == (1, ["a", None, ""], [], None, [0.1])


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT id,\n  nope FROM mart.guests", 'line 2, column 3: column "nope" does not exist'),
        ("SELECT 1 FROM mart.nope", 'line 1, column 15: relation "mart.nope" does not exist'),
        ("SELECT 'é', nope", 'line 1, column 13: column "nope" does not exist'),
        ("SELECT 1 FROM", "line 1, column 14: syntax error at end of input"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT 1 AS a, 2 AS a", "several columns are named 'a'"),
        ("SELECT", "returns no rows"),
        ("SELECT 1 AS id INTO other", "returns no rows"),
        ("SELECT writing() AS id", "the query changes the database"),
        ("SELECT id FROM hidden FOR UPDATE", "the query changes the database"),
        ("WITH x AS (INSERT INTO hidden VALUES (1) RETURNING id) SELECT id FROM x", "the query changes the database"),
        ("SELECT set_config('transaction_read_only', 'off', false)", "the query changes its transaction"),
        ("SELECT failing()", "the server ended the statement with an error"),
        ("SELECT guessing()", "the server ended the statement with an error"),
        ("SELECT 'Hopper'::text::int", "a text is not of the type that it is cast to"),
        ("SELECT 1 / (id - 1) FROM mart.guests", "a division by zero"),
        ("SELECT 1 / (g - 30000) FROM generate_series(1, 40000) AS g", "a division by zero"),
        ("SELECT ('9' || g || '999999999')::int FROM generate_series(1, 10) AS g", "out of the range of its type"),
        ("SELECT 'Hopper'::date", "a text is no date or time"),
        ("SELECT chr(0)", "beyond a limit of the server"),
        ("SELECT 1) AS q; DROP TABLE hidden; --", "syntax error"),
        ("SELECT 'unended", "unterminated quoted string"),
        ("SELECT 1 /* unended", "unterminated /* comment"),
    ],
)
def test_statements_that_fail_are_explained_without_values(
    shop: Cluster, tmp_path: Path, sql: str, message: str
) -> None:
    found = _refusal(query_of(shop, sql), tmp_path / "into")
    assert message in found
    assert found.startswith("warehouse: query")
    assert "Hopper" not in found
    assert shop.execute("SELECT count(*) FROM hidden", dbname="shop") == "0"


def test_place_names_the_file_of_the_query(shop: Cluster, tmp_path: Path) -> None:
    query = query_of(shop, "SELECT id,\n  nope FROM mart.guests", written="queries/g.sql", file="/q/g.sql")
    assert 'warehouse: queries/g.sql:2:3: column "nope"' in _refusal(query, tmp_path / "into")


def test_missing_permission_names_the_table(shop: Cluster, tmp_path: Path) -> None:
    message = _refusal(query_of(shop, table=("mart", "guests"), user="reader"), tmp_path / "into")
    assert "the account may not read it: table guests" in message
    assert "Grant SELECT" in message


def test_longest_text_and_timeout_are_taken(shop: Cluster, tmp_path: Path) -> None:
    query = query_of(shop, "SELECT repeat('x', 16 << 20) AS v", timeout=timedelta(days=3660))
    assert landed(query, tmp_path / "into")["v"].str.len_bytes().to_list() == [16 << 20]


@pytest.mark.parametrize("sql", ["SELECT pg_sleep(60)", "SELECT g, pg_sleep(0.01) FROM generate_series(1, 9999) AS g"])
def test_statement_timeout_ends_a_statement(shop: Cluster, tmp_path: Path, sql: str) -> None:
    message = _refusal(query_of(shop, sql, timeout=timedelta(seconds=1)), tmp_path / "into")
    assert "the statement took more than 1 s, its statement_timeout" in message
    assert "statement_timeout: 2h" in message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("pg_cancel_backend", "the statement was cancelled on the server after"),
        ("pg_terminate_backend", "the connection was lost after|an administrator ended the connection after"),
    ],
)
def test_statement_that_an_administrator_ends_is_no_source(
    shop: Cluster, tmp_path: Path, function: str, message: str
) -> None:
    ending = f"SELECT {function}(pid) FROM pg_stat_activity WHERE application_name = 'batchsync' AND state = 'active'"
    ended = []

    def end(rows: int) -> None:
        ended.append(rows)
        if len(ended) == 1:
            assert shop.execute(ending, dbname="shop") == "t"

    found = _refusal(query_of(shop, _ROWS.format(5_000_000)), tmp_path / "into", progress=end)
    assert re.search(message, found)
    assert len(ended) < 20


def test_killed_server_is_no_source(tmp_path: Path) -> None:
    with postgresql.cluster() as cluster:
        killed = []

        def kill(rows: int) -> None:
            if not killed:
                killed.append(rows)
                children = Path(f"/proc/{cluster.pid}/task/{cluster.pid}/children").read_text(encoding="ascii")
                for pid in (cluster.pid, *map(int, children.split())):
                    os.kill(pid, signal.SIGKILL)

        query = query_of(cluster, _ROWS.format(5_000_000), dbname="postgres")
        message = _refusal(query, tmp_path / "into", progress=kill)
        assert "the connection was lost after" in message
        message = _refusal(query, tmp_path / "into")
        assert "nothing answers there" in message


def test_rows_are_those_of_one_snapshot(shop: Cluster, tmp_path: Path) -> None:
    shop.execute(
        "CREATE TABLE moving AS SELECT g AS id, 'old' AS v, repeat('x', 400) AS t FROM generate_series(1, 200000) AS g",
        dbname="shop",
    )
    changes = []

    def change(rows: int) -> None:
        if not changes:
            changes.append(rows)
            shop.execute(
                "UPDATE moving SET v = 'new'; DELETE FROM moving WHERE id % 2 = 0;"
                "INSERT INTO moving VALUES (0, 'new', '')",
                dbname="shop",
            )

    found = landed(query_of(shop, "SELECT * FROM moving"), tmp_path / "into", progress=change)
    assert changes
    assert changes[0] < 200_000
    assert found["v"].unique().to_list() == ["old"]
    assert sorted(found["id"].to_list()) == list(range(1, 200_001))
    after = landed(query_of(shop, "SELECT * FROM moving"), tmp_path / "later")
    assert (after.height, after["v"].unique().to_list()) == (100_001, ["new"])


def test_table_cannot_be_altered_between_description_and_rows(shop: Cluster, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE altered AS SELECT g AS id FROM generate_series(1, 200000) AS g", dbname="shop")
    refused = []

    def alter(_rows: int) -> None:
        with pytest.raises(ValueError, match="lock timeout"):
            shop.execute("SET lock_timeout = '50ms'; ALTER TABLE altered ALTER id TYPE text", dbname="shop")
        refused.append(True)

    assert landed(query_of(shop, "SELECT * FROM altered"), tmp_path / "into", progress=alter).height == 200_000
    assert refused


def test_abandoned_read_ends_on_the_server(shop: Cluster, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(_rows: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        fetch(source_of(query_of(shop, _ROWS.format(10**9))), tmp_path / "into", progress=stop)
    assert not list((tmp_path / "into").iterdir())
    _wait_until_idle(shop)


def _wait_until_idle(cluster: Cluster) -> None:
    """Wait until no connection of batchsync is left on the server."""
    counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batchsync'"
    waited = threading.Event()
    while cluster.execute(counted) != "0":
        waited.wait(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_statement_on_the_server(shop: Cluster, tmp_path: Path, number: signal.Signals) -> None:
    script = textwrap.dedent(f"""
        import signal, sys
        from pathlib import Path
        from batchsync.core.job import Source
        from batchsync.core.query import Database, Query, Server
        from batchsync.source import fetch

        def stop(number, frame):
            raise SystemExit(100 + number)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        server = Server(host={str(shop.folder)!r}, port={shop.port}, dbname="shop", user="test")
        query = Query(database=Database(name="w", kind="postgres", server=server), sql="SELECT pg_sleep(600) AS id")
        fetch(Source(path="w", folder="/", key=("id",), query=query), Path(sys.argv[1]))
    """)
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "into")])
    counted = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND application_name = 'batchsync'"
    )
    waited = threading.Event()
    while shop.execute(counted) == "0":
        assert process.poll() is None
        waited.wait(0.02)
    process.send_signal(number)
    assert process.wait(30) == 100 + number
    _wait_until_idle(shop)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dbname": "nope"}, "there is no such database"),
        ({"user": "nope"}, "the account does not exist"),
        ({"host": "/nonexistent"}, "nothing answers there"),
        ({"host": "127.0.0.1", "port": 1}, "127.0.0.1, port 1: nothing answers there"),
        ({"host": "nohost.invalid"}, "the name of the host is not known"),
    ],
)
def test_server_that_cannot_be_reached_is_explained(
    shop: Cluster, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    assert message in _refusal(query_of(shop, "SELECT 1", **settings), tmp_path / "into")
    with pytest.raises(UnavailableError, match=re.escape(message)):
        check_database(database_of(shop, **settings))


def test_check_names_the_server(shop: Cluster) -> None:
    assert re.fullmatch(r"PostgreSQL [\d.]+, read-only", check_database(database_of(shop)))


def test_texts_of_a_database_without_encoding_are_checked(cluster: Cluster, tmp_path: Path) -> None:
    cluster.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    cluster.execute("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'é'), (2, E'\\xe9')", dbname="bytes")
    query = query_of(cluster, "SELECT * FROM t", dbname="bytes")
    assert "a text is not of the encoding of the database" in _refusal(query, tmp_path / "into")
    query = query_of(cluster, "SELECT * FROM t WHERE id = 1", dbname="bytes")
    assert landed(query, tmp_path / "good")["v"].to_list() == ["é"]


def test_full_disk_of_the_server_is_explained(cluster: Cluster, tmp_path: Path) -> None:
    cluster.execute("CREATE DATABASE small; ALTER DATABASE small SET temp_file_limit = '1MB'")
    cluster.execute("ALTER DATABASE small SET work_mem = '64kB'")
    query = query_of(cluster, _ROWS.format(100_000) + " ORDER BY text, id DESC", dbname="small")
    assert "the server lacks resources" in _refusal(query, tmp_path / "into")
