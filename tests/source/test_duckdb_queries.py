"""Queries of DuckDB: exact values, casts and refusals by type, and nothing read but what the job names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchsync.core.job import Source
from batchsync.core.query import Database, Query
from batchsync.data.row.open_source import open_source
from batchsync.errors import BatchsyncError, SourceError, UnavailableError
from batchsync.source import check_database, describe_query, fetch
from batchsync.source.duckdb_query import BATCH_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROW_VALUE = "hopper@example.com"


def _filled(path: Path, *statements: str) -> Path:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def _source(
    folder: Path, sql: str = "", *, path: Path | None = None, roots: Sequence[str] = (), **options: Any
) -> Source:
    database = Database(name="lake", kind="duckdb", path=str(path or ""), folder=str(folder), roots=tuple(roots))
    query = Query(database=database, sql=sql, **options)
    return Source(path=query.title, folder=str(folder), key=("id",), query=query)


def _read(source: Source, into: Path, **options: Any) -> pa.Table:
    landed = fetch(source, into, **options)
    assert not (into / "spill").exists()
    return pa.concat_tables([pq.read_table(part.path) for part in landed.parts])


def _refusal(source: Source, into: Path) -> BatchsyncError:
    with pytest.raises(BatchsyncError) as caught:
        _read(source, into)
    assert not into.exists() or not list(into.iterdir())
    assert ROW_VALUE not in f"{caught.value} {caught.value.hint}"
    assert caught.value.exit_code == 3
    return caught.value


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
    path = _filled(tmp_path / "shop.db", f"CREATE TABLE t AS SELECT * FROM (VALUES {values}, (9, NULL)) AS v(id, x)")
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        expected = [row[0] for row in connection.execute("SELECT x::VARCHAR FROM t ORDER BY id").fetchall()]
    landed = fetch(_source(tmp_path, "SELECT * FROM t ORDER BY id", path=path), tmp_path / "parts")
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
    path = _filled(tmp_path / "shop.db", f"CREATE TABLE t AS SELECT * FROM (VALUES {rows}) AS v(id, x)")
    table = _read(_source(tmp_path, table=("t",), path=path), tmp_path / "parts")
    if expected is not None:
        assert table.column("x").to_pylist() == expected
    assert table.num_rows == 3


@pytest.mark.parametrize("declared", REFUSED)
def test_type_that_is_refused_by_name(tmp_path: Path, declared: str) -> None:
    path = _filled(tmp_path / "shop.db", f"CREATE TABLE t (id INTEGER, x {declared})")
    source = _source(tmp_path, table=("t",), path=path)
    error = _refusal(source, tmp_path / "parts")
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
    error = _refusal(_source(tmp_path, sql), tmp_path / "parts")
    assert "column 'x'" in str(error)
    assert reason in str(error)
    if value[0] == "'":
        assert "row 30,001:" in str(error)


def test_text_that_is_too_long_is_refused_with_its_place(tmp_path: Path) -> None:
    sql = "SELECT range AS id, repeat('x', CASE range WHEN 2 THEN 16777217 ELSE 16777216 END) AS t FROM range(3)"
    error = _refusal(_source(tmp_path, sql), tmp_path / "parts")
    assert "column 't', row 3: a text of more than 16 MiB" in str(error)
    assert "LEFT(..., n)" in error.hint


def test_number_of_more_digits_than_a_decimal_is_refused(tmp_path: Path) -> None:
    for value in ("170141183460469231731687303715884105727::HUGEINT", f"{'9' * 38}::UHUGEINT * 3"):
        error = _refusal(_source(tmp_path, f"SELECT {value} AS id"), tmp_path / "parts")
        assert "a value" in str(error)
        assert "1701411" not in str(error)
    table = _read(_source(tmp_path, "SELECT sum(range) AS id FROM range(10)"), tmp_path / "parts")
    assert table.column("id").to_pylist() == [45]


def test_columns_are_described(tmp_path: Path) -> None:
    source = _source(tmp_path, "SELECT 1 AS id, 'x' AS t, 1.50 AS d, uuid() AS u, NULL AS n, now() AS s, sum(1) AS h")
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


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder with files, and one outside of it."""
    folder = tmp_path / "jobs"
    (folder / "data").mkdir(parents=True)
    pl.DataFrame({"id": [1, 2], "n": [10, 20]}).write_parquet(folder / "data/a.parquet")
    pl.DataFrame({"id": [3], "n": [30]}).write_parquet(folder / "data/b.parquet")
    (folder / "cities.csv").write_text('id,code,name\n1,00123,Oslo\n2,1e5,"a, ""b"""\n3,,""\n', encoding="utf-8")
    (folder / "x.tsv").write_text("id\tt\n1\ta,b\n", encoding="utf-8")
    pl.DataFrame({"id": [ROW_VALUE]}).write_parquet(tmp_path / "outside.parquet")
    (folder / "link.parquet").symlink_to(tmp_path / "outside.parquet")
    return folder


def test_files_are_tables(lake: Path, tmp_path: Path) -> None:
    sql = """
        SELECT a.id, a.n, c.code, c.name FROM 'data/*.parquet' a
        LEFT JOIN "cities.csv" c ON c.id::BIGINT = a.id ORDER BY a.id DESC; -- all
    """
    table = _read(_source(lake, sql), tmp_path / "parts")
    assert table.to_pylist() == [
        {"id": 3, "n": 30, "code": None, "name": ""},
        {"id": 2, "n": 20, "code": "1e5", "name": 'a, "b"'},
        {"id": 1, "n": 10, "code": "00123", "name": "Oslo"},
    ]
    assert _read(_source(lake, "FROM 'x.tsv'"), tmp_path / "parts").to_pylist() == [{"id": "1", "t": "a,b"}]
    inner = "SELECT id FROM 'data/a.parquet'"
    absolute = f"WITH x AS (SELECT id FROM '{lake}/data/a.parquet') SELECT * FROM x WHERE id IN ({inner})"
    assert _read(_source(lake, absolute), tmp_path / "parts").num_rows == 2


@pytest.mark.parametrize("folder", ["a [b]*", "it's", "\u00fc \U0001f600"])
def test_folder_with_any_name(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / folder / "x'y.parquet")
    source = _source(tmp_path / folder, 'SELECT * FROM "x\'y.parquet"')
    assert _read(source, tmp_path / "parts").num_rows == 1


@pytest.mark.parametrize(
    ("sql", "expected", "hint"),
    [
        ("SELECT * FROM 'none.parquet'", "there is no file 'none.parquet'", "relative to jobs.yaml"),
        ("SELECT * FROM 'none/*.csv'", "there is no file 'none/*.csv'", "relative to jobs.yaml"),
        ("SELECT * FROM '../outside.parquet'", "is outside of the folders", "a path below"),
        ("SELECT * FROM 'link.parquet'", "leads through a link out of the folders", "a path below"),
        ("SELECT * FROM '*.parquet'", "leads through a link out of the folders", "a path below"),
        ("SELECT * FROM '/etc/passwd'", "Table with name /etc/passwd does not exist", "Correct the query"),
        ("SELECT * FROM read_csv('/etc/passwd')", "a file that is not named as a table", "FROM 'data/*.parquet'"),
        ("SELECT * FROM read_text('/etc/hostname')", "a file that is not named as a table", "FROM 'data/*.parquet'"),
        ("SELECT * FROM read_blob('data/a.parquet')", "a file that is not named as a table", "FROM 'data/*.parquet'"),
        ("SELECT * FROM glob('/etc/*')", "a file that is not named as a table", "FROM 'data/*.parquet'"),
        ("SELECT * FROM 'https://example.com/x.parquet'", "there is no file", ""),
        ("SELECT * FROM 's3://bucket/x.parquet'", "there is no file", ""),
        ("SELECT * FROM query('SELECT * FROM read_text(''/etc/hostname'')')", "not named as a table", ""),
        ("SELECT * FROM sqlite_scan('x.db', 't')", "sqlite_scan", ""),
        ("ATTACH 'x.db'", "is no single SELECT", "Write one SELECT"),
        ("INSTALL httpfs", "is no single SELECT", "Write one SELECT"),
        ("LOAD httpfs", "is no single SELECT", "Write one SELECT"),
        ("SET memory_limit = '10GB'", "is no single SELECT", "Write one SELECT"),
        ("COPY (SELECT 1) TO 'out.csv'", "is no single SELECT", "Write one SELECT"),
        ("SELECT 1; SELECT 2", "is no single SELECT", "Write one SELECT"),
        ("SELECT ?", "has parameters", "Write values"),
        ("SELECT $1", "has parameters", "Write values"),
        ("SELECT * FROM nope", "Table with name nope does not exist", "Correct the query"),
        ("SELECT nope FROM 'data/a.parquet'", 'Referenced column "nope" not found', "Correct the query"),
        ("SELECT id\nFORM x", "line 2 of the query: syntax error", "Correct the query"),
        ("SELECT 1 AS id, 2 AS id", "several columns are named 'id'", "Name each column"),
        (f"SELECT '{ROW_VALUE}'::INTEGER AS id", "a value cannot be cast", "TRY_CAST"),
        (f"SELECT t::INTEGER AS id FROM (VALUES ('{ROW_VALUE}')) v(t)", "a value cannot be cast", "TRY_CAST"),
        ("SELECT id + 9223372036854775807 AS id FROM 'data/a.parquet'", "out of the range of its type", ""),
    ],
)  # fmt: skip
def test_statement_that_is_refused(lake: Path, tmp_path: Path, sql: str, expected: str, hint: str) -> None:
    source = _source(lake, sql, roots=[os.path.realpath(lake)])
    error = _refusal(source, tmp_path / "parts")
    assert str(error).startswith("lake: query")
    assert expected in str(error)
    assert hint in error.hint
    assert not (lake / "out.csv").exists()


def test_files_of_a_csv_that_do_not_fit_name_no_values(lake: Path, tmp_path: Path) -> None:
    (lake / "bad.csv").write_text(f"id,t\n1,a\n2,b,{ROW_VALUE}\n", encoding="utf-8")
    error = _refusal(_source(lake, "SELECT * FROM 'bad.csv'"), tmp_path / "parts")
    assert "a value or a file is not as the statement expects" in str(error)
    (lake / "bad.parquet").write_bytes((lake / "data/a.parquet").read_bytes()[:-10])
    _refusal(_source(lake, "SELECT * FROM 'bad.parquet'"), tmp_path / "parts")


def test_variables_of_python_are_no_tables(tmp_path: Path) -> None:
    secret_frame = pl.DataFrame({"id": [ROW_VALUE]})
    assert secret_frame.height == 1
    error = _refusal(_source(tmp_path, "SELECT * FROM secret_frame"), tmp_path / "parts")
    assert "Table with name secret_frame does not exist" in str(error)


def test_configuration_is_locked(tmp_path: Path) -> None:
    path = _filled(tmp_path / "shop.db", "CREATE TABLE t AS SELECT 1 AS id")
    names = ["enable_external_access", "lock_configuration", "autoload_known_extensions", "python_enable_replacements"]
    sql = f"SELECT {', '.join(f'current_setting({name!r})::VARCHAR AS {name}' for name in names)}"
    for source in (_source(tmp_path, sql), _source(tmp_path, sql, path=path)):
        assert list(_read(source, tmp_path / "parts").to_pylist()[0].values()) == ["false", "true", "false", "false"]


def test_database_reads_its_tables_only(lake: Path, tmp_path: Path) -> None:
    path = _filled(
        lake / "shop.db",
        "CREATE SCHEMA mart",
        "CREATE TABLE mart.guests AS SELECT 1 AS id",
        f"CREATE VIEW outside AS SELECT * FROM '{tmp_path}/outside.parquet'",
    )
    assert _read(_source(lake, table=("mart", "guests"), path=path), tmp_path / "parts").num_rows == 1
    assert _read(_source(lake, "FROM shop.mart.guests", path=path), tmp_path / "parts").num_rows == 1
    for sql in ("FROM outside", "FROM 'data/a.parquet'", "FROM read_parquet('data/a.parquet')"):
        error = _refusal(_source(lake, sql, path=path), tmp_path / "refused")
        assert "the statement may read no other file than its database" in str(error)
    assert check_database(_source(lake, path=path).query.database).endswith("read-only, 2 tables and views")
    assert check_database(_source(lake).query.database).endswith("in memory, for local files")


@pytest.mark.parametrize("name", ["memory.db", "system.duckdb", "a b;.db", 'it\'s "x".db', "main"])
def test_file_of_any_name(tmp_path: Path, name: str) -> None:
    path = _filled(tmp_path / name, "CREATE TABLE t AS SELECT 1 AS id")
    assert _read(_source(tmp_path, "FROM t", path=path), tmp_path / "parts").num_rows == 1


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_text("id,name\n" * 2000, encoding="utf-8")
    path = _filled(tmp_path / "shop.db", "CREATE TABLE t AS SELECT 1 AS id")
    outside = _source(tmp_path, "FROM t", path=path, roots=[str(tmp_path / "elsewhere")])
    assert "is outside of the folders" in str(_refusal(outside, tmp_path / "parts"))
    assert "there is no file" in str(_refusal(_source(tmp_path, "FROM t", path=tmp_path / "no.db"), tmp_path / "parts"))
    assert "it is no DuckDB database" in str(_refusal(_source(tmp_path, "FROM t", path=other), tmp_path / "parts"))
    script = f"import duckdb, sys\nc = duckdb.connect({str(path)!r})\nprint('open', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == b"open\n"
        error = _refusal(_source(tmp_path, "FROM t", path=path), tmp_path / "parts")
        writer.stdin.close()
    assert isinstance(error, UnavailableError)
    assert "another process has it open for writing" in str(error)
    assert _read(_source(tmp_path, "FROM t", path=path), tmp_path / "parts").num_rows == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'id,t\r\n1,a\r\n2,"b\r\nc"\r\n', [("1", "a"), ("2", "b\r\nc")]),
        (b"\xef\xbb\xbfid,t\n1,a", [("1", "a")]),
        (b'"id","t"\n,""\n', [(None, "")]),
        ("id,t\n1,\u00fc\U0001f600 \n".encode(), [("1", "\u00fc\U0001f600 ")]),
        (b"id,t\n", []),
    ],
)
def test_text_files(tmp_path: Path, content: bytes, expected: list[tuple[str | None, str]]) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    table = _read(_source(tmp_path, "FROM 'x.csv'"), tmp_path / "parts")
    assert [tuple(row.values()) for row in table.to_pylist()] == expected


@pytest.mark.parametrize(
    "content",
    [
        b"id,t\n1,a,b\n",
        b"id,t\n1\n",
        b'id,t\n1,"a\n',
        b"id,t\n1,\xff\n",
        b"id,id\n1,2\n",
        b"id,\n1,2\n",
        b"",
        b"\xff\n",
    ],
)
def test_text_files_that_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    assert isinstance(_refusal(_source(tmp_path, "FROM 'x.csv'"), tmp_path / "parts"), SourceError)


def test_text_files_have_one_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,t\n1,a\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("t,id\n1,a\n", encoding="utf-8")
    error = _refusal(_source(tmp_path, "FROM '*.csv'"), tmp_path / "parts")
    assert "b.csv: the header differs from that of" in str(error)


def test_order_limit_and_empty_result(tmp_path: Path) -> None:
    sql = "SELECT range AS id, uuid() AS u FROM range(300000) ORDER BY hash(range)"
    table = _read(_source(tmp_path, sql), tmp_path / "parts")
    expected = [row[0] for row in duckdb.sql("SELECT range FROM range(300000) ORDER BY hash(range)").fetchall()]
    assert table.column("id").to_pylist() == expected
    for limit in (1, BATCH_ROWS, BATCH_ROWS + 1):
        assert _read(_source(tmp_path, sql), tmp_path / "some", rows=limit).column("id").to_pylist() == expected[:limit]
    empty = _read(_source(tmp_path, "SELECT 1::BIGINT AS id, uuid() AS u WHERE false"), tmp_path / "none")
    assert empty.schema.names == ["id", "u"]
    assert empty.num_rows == 0


def test_file_that_changes_while_it_is_read_is_no_source(lake: Path, tmp_path: Path) -> None:
    def change(_: int) -> None:
        (lake / "cities.csv").write_text("id,code,name\n", encoding="utf-8")

    sql = "SELECT r.range AS id, c.code FROM range(200000) r, 'cities.csv' c"
    with pytest.raises(SourceError, match=r"cities.csv was changed while it was read"):
        fetch(_source(lake, sql), tmp_path / "parts", progress=change)
    assert not list((tmp_path / "parts").iterdir())


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
    error = _refusal(_source(tmp_path, "SELECT 1 AS id"), tmp_path / "parts")
    assert "DuckDB databases need the package duckdb" in str(error)
    assert error.hint == "Install it: pip install 'batchsync[duckdb]'"
