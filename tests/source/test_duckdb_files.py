"""Files that a query of DuckDB names as tables: those that the job may read, and no others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import polars as pl
import pytest

from batchsync.errors import SourceError
from batchsync.source import check_database, fetch

if TYPE_CHECKING:
    from pathlib import Path
from kit.duckdb_sources import ROW_VALUE, filled, read, refusal, source_of


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
    table = read(source_of(lake, sql), tmp_path / "parts")
    assert table.to_pylist() == [
        {"id": 3, "n": 30, "code": None, "name": ""},
        {"id": 2, "n": 20, "code": "1e5", "name": 'a, "b"'},
        {"id": 1, "n": 10, "code": "00123", "name": "Oslo"},
    ]
    assert read(source_of(lake, "FROM 'x.tsv'"), tmp_path / "parts").to_pylist() == [{"id": "1", "t": "a,b"}]
    inner = "SELECT id FROM 'data/a.parquet'"
    absolute = f"WITH x AS (SELECT id FROM '{lake}/data/a.parquet') SELECT * FROM x WHERE id IN ({inner})"
    assert read(source_of(lake, absolute), tmp_path / "parts").num_rows == 2


@pytest.mark.parametrize("folder", ["a [b]*", "it's", "\u00fc \U0001f600"])
def test_folder_with_any_name(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / folder / "x'y.parquet")
    source = source_of(tmp_path / folder, 'SELECT * FROM "x\'y.parquet"')
    assert read(source, tmp_path / "parts").num_rows == 1


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
    source = source_of(lake, sql, roots=[os.path.realpath(lake)])
    error = refusal(source, tmp_path / "parts")
    assert str(error).startswith("lake: query")
    assert expected in str(error)
    assert hint in error.hint
    assert not (lake / "out.csv").exists()


def test_files_of_a_csv_that_do_not_fit_name_no_values(lake: Path, tmp_path: Path) -> None:
    (lake / "bad.csv").write_text(f"id,t\n1,a\n2,b,{ROW_VALUE}\n", encoding="utf-8")
    error = refusal(source_of(lake, "SELECT * FROM 'bad.csv'"), tmp_path / "parts")
    assert "a value or a file is not as the statement expects" in str(error)
    (lake / "bad.parquet").write_bytes((lake / "data/a.parquet").read_bytes()[:-10])
    refusal(source_of(lake, "SELECT * FROM 'bad.parquet'"), tmp_path / "parts")


def test_variables_of_python_are_no_tables(tmp_path: Path) -> None:
    secret_frame = pl.DataFrame({"id": [ROW_VALUE]})
    assert secret_frame.height == 1
    error = refusal(source_of(tmp_path, "SELECT * FROM secret_frame"), tmp_path / "parts")
    assert "Table with name secret_frame does not exist" in str(error)


def test_configuration_is_locked(tmp_path: Path) -> None:
    path = filled(tmp_path / "shop.db", "CREATE TABLE t AS SELECT 1 AS id")
    names = ["enable_external_access", "lock_configuration", "autoload_known_extensions", "python_enable_replacements"]
    sql = f"SELECT {', '.join(f'current_setting({name!r})::VARCHAR AS {name}' for name in names)}"
    for source in (source_of(tmp_path, sql), source_of(tmp_path, sql, path=path)):
        assert list(read(source, tmp_path / "parts").to_pylist()[0].values()) == ["false", "true", "false", "false"]


def test_database_reads_its_tables_only(lake: Path, tmp_path: Path) -> None:
    path = filled(
        lake / "shop.db",
        "CREATE SCHEMA mart",
        "CREATE TABLE mart.guests AS SELECT 1 AS id",
        f"CREATE VIEW outside AS SELECT * FROM '{tmp_path}/outside.parquet'",
    )
    assert read(source_of(lake, table=("mart", "guests"), path=path), tmp_path / "parts").num_rows == 1
    assert read(source_of(lake, "FROM shop.mart.guests", path=path), tmp_path / "parts").num_rows == 1
    for sql in ("FROM outside", "FROM 'data/a.parquet'", "FROM read_parquet('data/a.parquet')"):
        error = refusal(source_of(lake, sql, path=path), tmp_path / "refused")
        assert "the statement may read no other file than its database" in str(error)
    assert check_database(source_of(lake, path=path).query.database).endswith("read-only, 2 tables and views")
    assert check_database(source_of(lake).query.database).endswith("in memory, for local files")


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
    table = read(source_of(tmp_path, "FROM 'x.csv'"), tmp_path / "parts")
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
    assert isinstance(refusal(source_of(tmp_path, "FROM 'x.csv'"), tmp_path / "parts"), SourceError)


def test_text_files_have_one_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,t\n1,a\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("t,id\n1,a\n", encoding="utf-8")
    error = refusal(source_of(tmp_path, "FROM '*.csv'"), tmp_path / "parts")
    assert "b.csv: the header differs from that of" in str(error)


def test_file_that_changes_while_it_is_read_is_no_source(lake: Path, tmp_path: Path) -> None:
    def change(_: int) -> None:
        (lake / "cities.csv").write_text("id,code,name\n", encoding="utf-8")

    sql = "SELECT r.range AS id, c.code FROM range(200000) r, 'cities.csv' c"
    with pytest.raises(SourceError, match=r"cities.csv was changed while it was read"):
        fetch(source_of(lake, sql), tmp_path / "parts", progress=change)
    assert not list((tmp_path / "parts").iterdir())
