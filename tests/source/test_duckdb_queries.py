"""Queries of DuckDB: exact values, casts and refusals by type, and nothing read but what the job names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from batchsync.data.row.open_source import open_source
from batchsync.errors import UnavailableError
from batchsync.source import describe_query, fetch
from batchsync.source.duckdb_query import BATCH_ROWS

if TYPE_CHECKING:
    from pathlib import Path
from kit.duckdb_sources import filled, read, refusal, source_of

#: Each type with extreme values, as SQL.
TYPES: dict[str, list[str]] = {
    "BOOLEAN": ["true", "false"],
    "TINYINT": ["-128", "127"],
    "SMALLINT": ["-32768", "32767"],
    "INTEGER": ["-2147483648", "2147483647"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "UTINYINT": ["0", "255"],
    "USMALLINT": ["0", "65535"],
    "UINTEGER": ["0", "4294967295"],
    "UBIGINT": ["0", "18446744073709551615"],
    "HUGEINT": ["-" + "9" * 38, "9" * 38],
    "UHUGEINT": ["0", "9" * 38],
    "BIGNUM": ["-" + "9" * 60, "9" * 60],
    "DECIMAL(38,10)": ["-" + "9" * 28 + "." + "9" * 10, "0.0000000001"],
    "DECIMAL(4,1)": ["-999.9", "999.9"],
    "DECIMAL(38,38)": ["'0." + "9" * 38 + "'", "'-0." + "9" * 38 + "'"],
    "FLOAT": ["19.99", "-3.4028235e38"],
    "DOUBLE": ["0.123456789099", "5e-324"],
    "VARCHAR": ["'a\U0001f600'", "repeat('x', 100000)"],
    "JSON": ["'{\"n\": 12345678901234567890.10}'", "'[]'"],
    "UUID": ["'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "ENUM('a', 'b')": ["'a'", "'b'"],
    "BIT": ["'0101'", "'1'"],
    "INTERVAL": ["'1 year 2 months 3 days 04:05:06.000007'", "'-838:59:59'"],
    "DATE": ["'0001-01-01'", "'9999-12-31'"],
    "TIME": ["'00:00:00'", "'23:59:59.999999'"],
    "TIME_NS": ["'00:00:00.000000001'", "'23:59:59.999999999'"],
    "TIMETZ": ["'23:59:59.999999+15:59:59'", "'00:00:00-15:59:59'"],
    "TIMESTAMP": ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"],
    "TIMESTAMP_S": ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'"],
    "TIMESTAMP_MS": ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999'"],
    "TIMESTAMP_NS": ["'1677-09-22 00:00:00'", "'2262-04-11 23:47:16.854775806'"],
    "TIMESTAMPTZ": ["'0001-01-01 00:00:00+00'", "'9999-12-31 23:59:59.999999+00'"],
}


NESTED = {
    "INTEGER[]": (["[1, NULL]", "[]"], [[1, None], [], None]),
    "DECIMAL(5,2)[][]": (["[[1.25], NULL]", "[[]]"], None),
    "STRUCT(a BIGINT, b VARCHAR)": (
        ["{'a': 1, 'b': 'x'}", "{'a': NULL, 'b': NULL}"],
        [{"a": 1, "b": "x"}, {"a": None, "b": None}, None],
    ),
    "INTEGER[2]": (["[1, 2]", "[3, NULL]"], [[1, 2], [3, None], None]),
}


REFUSED = {
    "BLOB": "hex(...)",
    "MAP(VARCHAR, INTEGER)": "to_json(...)",
    "UNION(a INTEGER, b VARCHAR)": "to_json(...)",
    "INTERVAL[]": "to_json(...)",
    "STRUCT(a UUID)": "to_json(...)",
    "INTEGER[2][]": "to_json(...)",
    "VARIANT": "to_json(...)",
    "GEOMETRY": "ST_AsText(...)",
}


@pytest.mark.parametrize("declared", TYPES)
def test_values_are_those_that_duckdb_writes(tmp_path: Path, declared: str) -> None:
    values = ", ".join(f"({n}, ({value})::{declared})" for n, value in enumerate(TYPES[declared]))
    path = filled(tmp_path / "shop.db", f"CREATE TABLE t AS SELECT * FROM (VALUES {values}, (9, NULL)) AS v(id, x)")
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        expected = [row[0] for row in connection.execute("SELECT x::VARCHAR FROM t ORDER BY id").fetchall()]
    landed = fetch(source_of(tmp_path, "SELECT * FROM t ORDER BY id", path=path), tmp_path / "parts")
    # What was landed is written by DuckDB, too, which reads the Parquet file.
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        read = f"SELECT x::VARCHAR FROM read_parquet('{landed.parts[0].path}')"
        found = [row[0] for row in connection.execute(read).fetchall()]
    assert found == expected
    assert found[-1] is None
    opened = open_source(landed)
    assert list(opened.schema) == ["id", "x"]
    assert pl.read_parquet(opened.files[0]).height == len(expected)


@pytest.mark.parametrize("declared", NESTED)
def test_nested_values(tmp_path: Path, declared: str) -> None:
    values, expected = NESTED[declared]
    rows = ", ".join(f"({n}, ({value})::{declared})" for n, value in enumerate((*values, "NULL")))
    path = filled(tmp_path / "shop.db", f"CREATE TABLE t AS SELECT * FROM (VALUES {rows}) AS v(id, x)")
    table = read(source_of(tmp_path, table=("t",), path=path), tmp_path / "parts")
    if expected is not None:
        assert table.column("x").to_pylist() == expected
    assert table.num_rows == 3


@pytest.mark.parametrize("declared", REFUSED)
def test_type_that_is_refused_by_name(tmp_path: Path, declared: str) -> None:
    path = filled(tmp_path / "shop.db", f"CREATE TABLE t (id INTEGER, x {declared})")
    source = source_of(tmp_path, table=("t",), path=path)
    error = refusal(source, tmp_path / "parts")
    assert str(error).startswith("lake: t: column 'x': ")
    assert "cannot be taken over" in str(error)
    assert REFUSED[declared] in error.hint
    assert source.query is not None
    assert [bool(column.refusal) for column in describe_query(source.query)] == [False, True]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("'infinity'::DATE", "infinity, or outside of the years 1 to 9999"),
        ("'-infinity'::TIMESTAMP", "infinity, or outside"),
        ("'infinity'::TIMESTAMPTZ", "infinity, or outside"),
        ("'infinity'::TIMESTAMP_NS", "infinity, or outside"),
        ("'10000-01-01'::DATE", "outside of the years 1 to 9999"),
        ("'0001-12-31 (BC)'::DATE", "outside of the years 1 to 9999"),
        ("'24:00:00'::TIME", "the time 24:00:00"),
        ("['2026-01-01'::DATE, 'infinity'::DATE]", "infinity, or outside"),
        ("{'a': 'infinity'::DATE}", "infinity, or outside"),
    ],
)
def test_value_without_counterpart_is_refused_with_its_place(tmp_path: Path, value: str, reason: str) -> None:
    sql = f"SELECT range AS id, CASE WHEN range = 30000 THEN {value} END AS x FROM range(40000) ORDER BY id"
    error = refusal(source_of(tmp_path, sql), tmp_path / "parts")
    assert "column 'x'" in str(error)
    assert reason in str(error)
    if value[0] == "'":
        assert "row 30,001:" in str(error)


def test_text_that_is_too_long_is_refused_with_its_place(tmp_path: Path) -> None:
    sql = "SELECT range AS id, repeat('x', CASE range WHEN 2 THEN 16777217 ELSE 16777216 END) AS t FROM range(3)"
    error = refusal(source_of(tmp_path, sql), tmp_path / "parts")
    assert "column 't', row 3: a text of more than 16 MiB" in str(error)
    assert "LEFT(..., n)" in error.hint


def test_number_of_more_digits_than_a_decimal_is_refused(tmp_path: Path) -> None:
    for value in ("170141183460469231731687303715884105727::HUGEINT", f"{'9' * 38}::UHUGEINT * 3"):
        error = refusal(source_of(tmp_path, f"SELECT {value} AS id"), tmp_path / "parts")
        assert "a value" in str(error)
        assert "1701411" not in str(error)
    table = read(source_of(tmp_path, "SELECT sum(range) AS id FROM range(10)"), tmp_path / "parts")
    assert table.column("id").to_pylist() == [45]


def test_columns_are_described(tmp_path: Path) -> None:
    source = source_of(tmp_path, "SELECT 1 AS id, 'x' AS t, 1.50 AS d, uuid() AS u, NULL AS n, now() AS s, sum(1) AS h")
    assert source.query is not None
    assert [(item.name, item.declared, item.read_as) for item in describe_query(source.query)] == [
        ("id", "integer", "integer"),
        ("t", "varchar", "text"),
        ("d", "decimal(3,2)", "decimal"),
        ("u", "uuid", "text"),
        ("n", "null", "null"),
        ("s", "timestamp with time zone", "timestamp"),
        ("h", "hugeint", "decimal"),
    ]


@pytest.mark.parametrize("name", ["memory.db", "system.duckdb", "a b;.db", 'it\'s "x".db', "main"])
def test_file_of_any_name(tmp_path: Path, name: str) -> None:
    path = filled(tmp_path / name, "CREATE TABLE t AS SELECT 1 AS id")
    assert read(source_of(tmp_path, "FROM t", path=path), tmp_path / "parts").num_rows == 1


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_text("id,name\n" * 2000, encoding="utf-8")
    path = filled(tmp_path / "shop.db", "CREATE TABLE t AS SELECT 1 AS id")
    outside = source_of(tmp_path, "FROM t", path=path, roots=[str(tmp_path / "elsewhere")])
    assert "is outside of the folders" in str(refusal(outside, tmp_path / "parts"))
    assert "there is no file" in str(
        refusal(source_of(tmp_path, "FROM t", path=tmp_path / "no.db"), tmp_path / "parts")
    )
    assert "it is no DuckDB database" in str(refusal(source_of(tmp_path, "FROM t", path=other), tmp_path / "parts"))
    script = f"import duckdb, sys\nc = duckdb.connect({str(path)!r})\nprint('open', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == b"open\n"
        error = refusal(source_of(tmp_path, "FROM t", path=path), tmp_path / "parts")
        writer.stdin.close()
    assert isinstance(error, UnavailableError)
    assert "another process has it open for writing" in str(error)
    assert read(source_of(tmp_path, "FROM t", path=path), tmp_path / "parts").num_rows == 1


def test_order_limit_and_empty_result(tmp_path: Path) -> None:
    sql = "SELECT range AS id, uuid() AS u FROM range(300000) ORDER BY hash(range)"
    table = read(source_of(tmp_path, sql), tmp_path / "parts")
    expected = [row[0] for row in duckdb.sql("SELECT range FROM range(300000) ORDER BY hash(range)").fetchall()]
    assert table.column("id").to_pylist() == expected
    for limit in (1, BATCH_ROWS, BATCH_ROWS + 1):
        assert (
            read(source_of(tmp_path, sql), tmp_path / "some", rows=limit).column("id").to_pylist() == expected[:limit]
        )
    empty = read(source_of(tmp_path, "SELECT 1::BIGINT AS id, uuid() AS u WHERE false"), tmp_path / "none")
    assert empty.schema.names == ["id", "u"]
    assert empty.num_rows == 0


SCRIPT = """
import sys
from pathlib import Path
from batchsync.core.job import Source
from batchsync.core.query import Database, Query
from batchsync.interrupts import Interrupted, Interrupts
from batchsync.source import fetch
into, sql = sys.argv[1:]
Interrupts().install()
query = Query(database=Database(name="lake", kind="duckdb", folder="/"), sql=sql)
source = Source(path="q", folder="/", key=("id",), query=query)
print("begun", flush=True)
try:
    fetch(source, Path(into), progress=lambda rows: print("rows", flush=True))
except Interrupted as error:
    sys.exit(int(error.exit_code))
"""


def test_signal_ends_the_statement(tmp_path: Path) -> None:
    sql = "SELECT a.range AS id, repeat('x', 50) AS t FROM range(1000000) a, range(1000000) b"
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "parts"), sql]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert process.stdout.readline() == b"rows\n"
        os.kill(process.pid, signal.SIGTERM)
        for _ in process.stdout:
            pass
        assert process.wait(timeout=30) == 143
    assert not list((tmp_path / "parts").iterdir())


def test_missing_package_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("batchsync.source.duckdb")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    error = refusal(source_of(tmp_path, "SELECT 1 AS id"), tmp_path / "parts")
    assert "DuckDB databases need the package duckdb" in str(error)
    assert error.hint == "Install it: pip install 'batchsync[duckdb]'"
