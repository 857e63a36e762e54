"""Queries of SQLite databases: values with the types they are stored with, and refusals in words."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.job import Source
from batchsync.core.query import Database, Query
from batchsync.data.row.open_source import open_source
from batchsync.errors import SourceError, UnavailableError
from batchsync.source import fetch, query_rows, sqlite_query

if TYPE_CHECKING:
    from collections.abc import Sequence


def _filled(path: Path, columns: str, rows: Sequence[Sequence[Any]], table: str = "t") -> Path:
    """Create a database with one table."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} ({columns})")
        if rows:
            insert = f"INSERT INTO {table}"
            connection.executemany(f"{insert} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    connection.close()
    return path


def _source(path: Path, sql: str = "", *, table: tuple[str, ...] = (), roots: tuple[str, ...] = ()) -> Source:
    database = Database(name="shop", kind="sqlite", path=str(path), roots=roots)
    return Source(
        path="shop: query", folder=str(path.parent), key=("id",), query=Query(database=database, sql=sql, table=table)
    )


def _read(source: Source, into: Path, **options: Any) -> pl.DataFrame:
    """Land a source and return what the reader of parts makes of it."""
    landed = fetch(source, into, **options)
    assert landed.is_local
    opened = open_source(landed)
    frames = [pl.read_parquet(file) for file in opened.files]
    return pl.concat(frames, how="vertical_relaxed").cast(dict(opened.schema))


VALUES = {
    "integers": [1, -(2**63), 2**63 - 1, 0, None],
    "reals": [0.1, -1e308, 5e-324, float("inf"), None],
    "texts": ["", "Zoë 🚲", "a\0b", "NULL", None],
    "both": [1, 1.5, -(2**53), 2**53, None],
    "empty": [None] * 5,
}


def test_values_have_the_types_that_they_are_stored_with(tmp_path: Path) -> None:
    rows = list(zip(*VALUES.values(), strict=True))
    shop = _filled(tmp_path / "shop.db", ", ".join(VALUES), rows)
    found = _read(_source(shop, table=("t",)), tmp_path / "into")
    assert found.to_dict(as_series=False) == VALUES
    kinds = [pl.Int64(), pl.Float64(), pl.String(), pl.Float64(), pl.Null()]
    assert found.dtypes == kinds


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_types_do_not_depend_on_where_batches_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(sqlite_query, "BATCH_ROWS", size)
    rows = [(None, None, 1, None), (1, "a", 2, None), (None, None, 3, None), (2.5, "b", 4, 7)]
    shop = _filled(tmp_path / "shop.db", "a, b, c, d", rows)
    found = _read(_source(shop, "SELECT * FROM t"), tmp_path / "into")
    assert found.rows() == [(None, None, 1, None), (1.0, "a", 2, None), (None, None, 3, None), (2.5, "b", 4, 7)]
    assert found.dtypes == [pl.Float64(), pl.String(), pl.Int64(), pl.Int64()]


STORED = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(st.characters(codec="utf-8"))
)


@given(st.lists(st.tuples(STORED, STORED), max_size=12), st.integers(1, 4))
def test_any_rows_are_taken_over_exactly_or_refused(rows: list[tuple[Any, Any]], size: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(sqlite_query, "BATCH_ROWS", size)
        source = _source(_filled(folder / "shop.db", "a, b", rows), "SELECT * FROM t ORDER BY rowid")
        kinds = [{type(row[at]) for row in rows if row[at] is not None} for at in (0, 1)]
        large = [any(type(row[at]) is int and abs(row[at]) > 2**53 for row in rows) for at in (0, 1)]
        refused = any(
            (str in kind and len(kind) > 1) or ({int, float} <= kind and big)
            for kind, big in zip(kinds, large, strict=True)
        )
        try:
            found = _read(source, folder / "into").rows()
        except SourceError:
            assert refused
        else:
            assert not refused
            assert found == rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 5), (2, None), (3, "x")], r"column 'v' mixes types: integer in row 1, text in row 3"),
        ([(1, "x"), (2, 0.5)], r"column 'v' mixes types: text in row 1, real in row 2"),
        ([(1, None), (2, b"\0\1")], r"column 'v', row 2: a blob"),
        ([(1, 2**53 + 1), (2, 0.5)], r"column 'v' mixes reals with the integer in row 1, which no real holds exactly"),
        ([(1, 0.5), (2, -(2**53) - 1)], r"column 'v' mixes reals with the integer in row 2"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_values_without_a_common_exact_type_are_refused_with_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[Any, Any]], message: str, size: int
) -> None:
    monkeypatch.setattr(sqlite_query, "BATCH_ROWS", size)
    shop = _filled(tmp_path / "shop.db", "id, v", rows)
    with pytest.raises(SourceError, match=message) as found:
        fetch(_source(shop, "SELECT id, v FROM t ORDER BY id"), tmp_path / "into")
    assert found.value.hint
    assert list((tmp_path / "into").iterdir()) == []


def test_text_that_is_not_utf8_is_refused_without_its_bytes(tmp_path: Path) -> None:
    shop = _filled(tmp_path / "shop.db", "id, v", [(1, "a")])
    sql = "SELECT id, v FROM t UNION ALL SELECT 2, CAST(X'FF6162' AS TEXT)"
    with pytest.raises(SourceError, match="column 'v', row 2: text that is not UTF-8") as found:
        fetch(_source(shop, sql), tmp_path / "into")
    assert "ab" not in found.value.message.replace("query", "")


REFUSED = {
    "INSERT INTO t VALUES (9, 9)": "the query changes the database",
    "WITH x AS (SELECT 1) DELETE FROM t": "the query changes the database",
    "ATTACH 'other.db' AS other": "the query uses ATTACH",
    "PRAGMA writable_schema = ON": "the query uses a pragma",
    "SELECT * FROM pragma_table_info('t')": "the query uses a",
    "VACUUM INTO 'other.db'": "shop: query: ",
    "DROP TABLE t": "the query changes the database",
    "CREATE TEMP TABLE x AS SELECT 1": "shop: query: ",
    "COMMIT": "the query uses a transaction",
    "SELECT 1; DROP TABLE t": "one statement at a time",
    "SELECT * FROM missing": "no such table: missing",
    "SELECT id FROM t WHERE v = :secret": "shop: query: ",
    "SELEC id": "syntax error",
    "SELECT 1 AS a, 2 AS a": "several columns are named 'a'",
    "-- nothing": "the statement returns no rows",
    "SELECT load_extension('evil.so')": "shop: query: ",
    "SELECT id, json_extract('{\"a\": 1}', '$.[Hopper') FROM t": "shop: query: ",
    "SELECT zeroblob(20000000)": "too big",
    "SELECT abs(-9223372036854775807 - 1)": "integer overflow",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_statements_that_do_more_than_read_are_refused(tmp_path: Path, sql: str) -> None:
    shop = _filled(tmp_path / "shop.db", "id, v", [(1, 1)])
    before = shop.read_bytes()
    with pytest.raises(SourceError) as found:
        fetch(_source(shop, sql), tmp_path / "into")
    assert REFUSED[sql] in found.value.message
    assert found.value.message.startswith("shop: query: ")
    assert "Hopper" not in found.value.message
    assert found.value.hint
    assert shop.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["into", "shop.db"]


def test_table_and_column_names_are_identifiers(tmp_path: Path) -> None:
    shop = _filled(tmp_path / "shop.db", 'id, "a; b ""c"""', [(1, "x")], table='"t""; DROP TABLE t; --"')
    for table in (('t"; DROP TABLE t; --',), ("main", 't"; DROP TABLE t; --')):
        found = _read(_source(shop, table=table), tmp_path / "into")
        assert found.to_dict(as_series=False) == {"id": [1], 'a; b "c"': ["x"]}


@pytest.mark.parametrize(
    "sql",
    ['SELECT id, "nmae" FROM t', 'SELECT id FROM t WHERE name = "Ada"', """SELECT '"', "x""y`z" FROM t -- '"""],
)
def test_names_in_double_quotes_are_never_texts(tmp_path: Path, sql: str) -> None:
    path = _filled(tmp_path / "shop.db", "id, name", [(1, "Ada")])
    with pytest.raises(SourceError, match="no such column: ") as caught:
        _read(_source(path, sql), tmp_path / "into")
    assert "a text is in single ones" in caught.value.hint


def test_names_in_double_quotes_are_columns_tables_and_aliases(tmp_path: Path) -> None:
    path = _filled(tmp_path / "shop.db", 'id, "na`me"', [(1, "Ada")])
    sql = """SELECT "t"."id" AS "the ""id", "na`me", '"quoted" -- text' AS "o'k" FROM "t" /* " */"""
    row = _read(_source(path, sql), tmp_path / "into").row(0, named=True)
    assert row == {'the "id': 1, "na`me": "Ada", "o'k": '"quoted" -- text'}


def test_views_full_text_tables_and_recursion_are_read(tmp_path: Path) -> None:
    shop = _filled(tmp_path / "shop.db", "id, v", [(1, "ada"), (2, "bo")])
    with sqlite3.connect(shop) as connection:
        connection.execute("CREATE VIEW w AS SELECT id, upper(v) AS v FROM t")
        connection.execute("CREATE VIRTUAL TABLE f USING fts5(v)")
        connection.execute("INSERT INTO f VALUES ('ada lovelace'), ('bo')")
        connection.execute("CREATE VIRTUAL TABLE r USING rtree(id, low, high)")
        connection.execute("INSERT INTO r VALUES (1, 2, 3)")
    connection.close()
    assert _read(_source(shop, table=("w",)), tmp_path / "a").rows() == [(1, "ADA"), (2, "BO")]
    assert _read(_source(shop, "SELECT v FROM f WHERE f MATCH 'ada'"), tmp_path / "b").rows() == [("ada lovelace",)]
    assert _read(_source(shop, "SELECT id FROM r WHERE low < 5"), tmp_path / "d").rows() == [(1,)]
    counted = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) AS s FROM n"
    assert _read(_source(shop, counted), tmp_path / "c").rows() == [(15,)]


def test_empty_result_has_its_columns_and_no_rows(tmp_path: Path) -> None:
    shop = _filled(tmp_path / "shop.db", "id, v", [])
    found = _read(_source(shop, table=("t",)), tmp_path / "into")
    assert (found.columns, found.height) == (["id", "v"], 0)


def test_limit_ends_the_read_and_progress_counts_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_query, "BATCH_ROWS", 10)
    shop = _filled(tmp_path / "shop.db", "id", [(n,) for n in range(95)])
    counts: list[int] = []
    assert _read(_source(shop, table=("t",)), tmp_path / "a", progress=counts.append).height == 95
    assert counts[-1] == 95
    assert _read(_source(shop, table=("t",)), tmp_path / "b", rows=7).height == 7


def test_long_texts_end_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_query, "BATCH_BYTES", 100)
    shop = _filled(tmp_path / "shop.db", "id, v", [(n, "x" * 60) for n in range(9)])
    sizes: list[int] = []
    add = query_rows.Landing.add
    monkeypatch.setattr(query_rows.Landing, "add", lambda self, table: (sizes.append(table.num_rows), add(self, table)))
    assert _read(_source(shop, table=("t",)), tmp_path / "into").height == 9
    assert max(sizes) == 2


def test_many_columns_end_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_query, "BATCH_VALUES", 12)
    shop = _filled(tmp_path / "shop.db", "a, b, c, d", [(n,) * 4 for n in range(20)])
    sizes: list[int] = []
    add = query_rows.Landing.add

    def and_note(self: Any, table: Any) -> None:
        sizes.append(table.num_rows)
        add(self, table)

    monkeypatch.setattr(query_rows.Landing, "add", and_note)
    assert _read(_source(shop, table=("t",)), tmp_path / "into").height == 20
    assert max(sizes) == 3


def test_blobs_are_refused_before_many_of_them_are_in_memory(tmp_path: Path) -> None:
    _filled(tmp_path / "shop.db", "id", [(n,) for n in range(2_000)])
    code = """
        import pathlib, resource, sys
        from batchsync.core.job import Source
        from batchsync.core.query import Database, Query
        from batchsync.errors import SourceError
        from batchsync.source import fetch, sqlite_query

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        folder = pathlib.Path(sys.argv[1])
        sql = "SELECT id, CASE WHEN id > 2 THEN zeroblob(10000000) END AS v FROM t"
        query = Query(database=Database(name="shop", kind="sqlite", path=str(folder / "shop.db")), sql=sql)
        try:
            fetch(Source(path="x", folder=str(folder), key=("id",), query=query), folder / "into")
        except SourceError as error:
            print(error.message, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, sep="|")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=True
    )
    message, grown = done.stdout.strip().split("|")
    assert message == "shop: query: column 'v', row 4: a blob"
    assert int(grown) < 200


def test_one_snapshot_is_read_while_another_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_query, "BATCH_ROWS", 1)
    shop = _filled(tmp_path / "shop.db", "id", [(n,) for n in range(200)])
    writer = sqlite3.connect(shop, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    add, changed = query_rows.Landing.add, []

    def and_write(self: Any, table: Any) -> None:
        if not changed:
            changed.append(writer.execute("DELETE FROM t WHERE id >= 100").rowcount)
        add(self, table)

    monkeypatch.setattr(query_rows.Landing, "add", and_write)
    assert _read(_source(shop, "SELECT id FROM t ORDER BY id"), tmp_path / "into").height == 200
    assert changed == [100]
    writer.close()


def test_locked_database_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_query, "BUSY_SECONDS", 0.05)
    shop = _filled(tmp_path / "shop.db", "id", [(1,)])
    writer = sqlite3.connect(shop, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UnavailableError, match="shop: t: database is locked"):
        fetch(_source(shop, table=("t",)), tmp_path / "into")
    writer.close()


def _damaged(shop: Path) -> None:
    content = bytearray(shop.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    shop.write_bytes(content)


DAMAGES = {
    "removed": (lambda shop: shop.unlink(), "there is no file"),
    "no database": (lambda shop: shop.write_text("id,name\n1,x\n" * 100, encoding="utf-8"), "not a database"),
    "folder": (lambda shop: (shop.unlink(), shop.mkdir()), "is no regular file"),
    "pipe": (lambda shop: (shop.unlink(), os.mkfifo(shop)), "is no regular file"),
    "damaged": (_damaged, "malformed"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_database_that_cannot_be_read_is_unavailable(tmp_path: Path, kind: str) -> None:
    shop = _filled(tmp_path / "shop.db", "id, v", [(n, "x" * 100) for n in range(500)])
    damage, message = DAMAGES[kind]
    damage(shop)
    with pytest.raises(UnavailableError, match=message) as found:
        fetch(_source(shop, table=("t",)), tmp_path / "into")
    assert found.value.hint


def test_file_outside_of_the_roots_is_not_opened(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    outer.mkdir()
    _filled(outer / "shop.db", "id", [(1,)])
    (inner / "shop.db").symlink_to(outer / "shop.db")
    with pytest.raises(UnavailableError, match="leads through a link out of the folders"):
        fetch(_source(inner / "shop.db", table=("t",), roots=(str(inner),)), tmp_path / "into")


def test_path_with_marks_of_urls_is_one_file(tmp_path: Path) -> None:
    shop = _filled(tmp_path / "a b?mode=rwc#x%41.db", "id", [(1,)])
    assert _read(_source(shop, table=("t",)), tmp_path / "into").height == 1


def test_signal_ends_a_long_statement(tmp_path: Path) -> None:
    code = """
        import pathlib, signal, sys
        from batchsync.core.job import Source
        from batchsync.core.query import Database, Query
        from batchsync.source import fetch, sqlite_query

        class Ended(BaseException): pass

        def end(number, frame):
            raise Ended

        signal.signal(signal.SIGTERM, end)
        folder = pathlib.Path(sys.argv[1])
        sql = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        query = Query(database=Database(name="shop", kind="sqlite", path=str(folder / "shop.db")), sql=sql)
        print("begin", flush=True)
        try:
            fetch(Source(path="x", folder=str(folder), key=("id",), query=query), folder / "into")
        except Ended:
            print("ended", *(folder / "into").iterdir())
    """
    _filled(tmp_path / "shop.db", "id", [])
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    while not (tmp_path / "into").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "ended\n")


def test_failed_read_leaves_the_database_unlocked(tmp_path: Path) -> None:
    shop = _filled(tmp_path / "shop.db", "id, v", [(1, b"x")])
    with pytest.raises(SourceError):
        fetch(_source(shop, table=("t",)), tmp_path / "into")
    with sqlite3.connect(shop, timeout=0) as connection:
        connection.execute("DELETE FROM t")
    connection.close()
