"""Databases among the connections, and sources that read them by a query or a table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.spec import jobs_schema
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spec.conftest import Workshop

    from batchsync.core.deployment import Deployment

SOURCE = "source: {path: guests.csv, key: id}"
CARS = "  cars:\n"


def _text(workshop: Workshop, source: str, database: str = "{database: sqlite, path: shop.db}") -> str:
    """Return the valid file with a database, and a source that reads it."""
    return workshop.changed((CARS, f"  shop: {database}\n{CARS}"), (SOURCE, f"source: {{{source}, key: id}}"))


def _loaded(workshop: Workshop, source: str, **options: Any) -> Deployment:
    return workshop.load(_text(workshop, source), **options)


def _problem(workshop: Workshop, source: str, **options: Any) -> str:
    (problem,) = workshop.problems(_text(workshop, source), **options)
    return problem


@pytest.mark.parametrize(
    ("source", "statement", "title"),
    [
        ("connection: shop, table: guests", 'SELECT * FROM "guests"', "shop: guests"),
        ("connection: shop, table: mart.guests", 'SELECT * FROM "mart"."guests"', "shop: mart.guests"),
        ("connection: shop, table: 'a\"b'", 'SELECT * FROM "a""b"', 'shop: a"b'),
        ("connection: shop, query: select id from t", "select id from t", "shop: query"),
        ("connection: shop, query: SELECT 1 FROM main.sql", "SELECT 1 FROM main.sql", "shop: query"),
        ('connection: shop, query: "(VALUES (1))"', "(VALUES (1))", "shop: query"),
        ('connection: shop, query: "/* a */ SELECT $${x}"', "/* a */ SELECT ${x}", "shop: query"),
        ("connection: shop, query: sql/my guests.SQL", "SELECT '${HOME}' AS id\n", "shop: sql/my guests.SQL"),
    ],
)
def test_sources_read_a_statement_or_a_table(workshop: Workshop, source: str, statement: str, title: str) -> None:
    folder = workshop.path.parent
    (folder / "sql").mkdir()
    (folder / "sql" / "my guests.SQL").write_text("SELECT '${HOME}' AS id\n", encoding="utf-8")
    found = _loaded(workshop, source)
    (job,) = (job for job in found.jobs if job.name == "guests")
    assert job.source.query is not None
    assert (job.source.query.statement(), job.source.path) == (statement, title)
    assert not job.source.is_local
    assert found.databases["shop"].path == str(folder / "shop.db")
    assert sorted(found.connections) == ["cars", "crm"]


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ("connection: shop", "13:5", '"source" has no "query"'),
        ("query: SELECT 1", "13:5", '"source" has "query" without "connection"\n'),
        ("table: guests", "13:5", '"source" has "table" without "connection"'),
        ("connection: shop, table: a, query: SELECT 1", "13:39", '"source" has both query and table'),
        ("connection: shop, table: a, path: b.csv", "13:48", '"path" with a connection'),
        ("connection: shop, table: a, job: checks", "13:47", '"job" with a connection'),
        ("connection: shop, table: a, version: 3", "13:51", '"version" with a connection'),
        ("connection: shop, table: a, format: csv", "13:50", '"format" with a connection'),
        ("connection: shop, table: a, delimiter: ';'", "13:53", '"delimiter" with a connection'),
        ("connection: shop, table: a, skip_rows: 1", "13:53", '"skip_rows" with a connection'),
        ("connection: shpo, table: a", "13:26", 'unknown connection "shpo"'),
        ("connection: crm, table: a", "13:26", '"crm" is an account of a vendor, not a database'),
        ("connection: shop, table: a.b.c", "13:39", '"table" is no name of a table'),
        ("connection: shop, table: a.", "13:39", '"table" is no name of a table'),
        ("connection: shop, query: DELETE FROM t", "13:39", '"query" is no SELECT statement'),
        ("connection: shop, query: selection", "13:39", '"query" is no SELECT statement'),
        ("connection: shop, query: missing.sql", "13:39", 'the file of "query" cannot be read: no such file'),
        ("connection: shop, query: empty.sql", "13:39", 'the file of "query" is no SELECT statement'),
        ("connection: shop, query: delete.sql", "13:39", 'the file of "query" is no SELECT statement'),
        ("connection: shop, query: comment.sql", "13:39", 'the file of "query" has no statement, only comments'),
        ("connection: shop, query: '-- SELECT 1 ;'", "13:39", '"query" has no statement, only comments'),
        ("connection: shop, query: null.sql", "13:39", 'the file of "query" contains a null character'),
        ("connection: shop, query: latin.sql", "13:39", 'the file of "query" is not UTF-8 text'),
        ("connection: shop, query: large.sql", "13:39", 'the file of "query" is larger than 1,048,576 bytes'),
        ("connection: shop, query: pipe.sql", "13:39", '"query" is no regular file'),
        ("connection: shop, query: '${X} FROM t'", "13:39", "which never becomes SQL"),
        ("connection: shop, query: 'SELECT ${X:-1}'", "13:39", "which never becomes SQL"),
        ("connection: shop, table: '${X}'", "13:39", "which never becomes SQL"),
        ("connection: shop, table: a, join: [{path: 's3://x.csv', on: id}]", "13:56", "no installed package"),
    ],
)
def test_sources_that_cannot_be_read_are_refused_with_their_place(
    workshop: Workshop, source: str, place: str, message: str
) -> None:
    folder = workshop.path.parent
    (folder / "empty.sql").write_text(" \n", encoding="utf-8")
    (folder / "delete.sql").write_text("DELETE FROM t", encoding="utf-8")
    (folder / "comment.sql").write_text("-- SELECT 1\n/* * ; */ ;\n", encoding="utf-8")
    (folder / "null.sql").write_text("SELECT '\0'", encoding="utf-8")
    (folder / "latin.sql").write_bytes("SELECT 'Zoë'".encode("latin-1"))
    (folder / "large.sql").write_text("SELECT 1 " + "-" * (1 << 20), encoding="utf-8")
    os.mkfifo(folder / "pipe.sql")
    problem = _problem(workshop, source, environ={"X": "SELECT 1"})
    assert problem.startswith(f"jobs.yaml:{place}: ")
    assert message in problem
    assert "expected" in problem


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("{database: sqlite}", '"shop" has no "path"'),
        ("{database: sqlite, path: ''}", '"path"'),
        ("{database: oracle, path: shop.db}", '"database" cannot be "oracle"'),
        ("{database: sqlite, path: shop.db, vendor: x}", 'unknown key "vendor"'),
        ("{database: sqlite, path: /proc/self/mem}", '"path" is below /proc'),
    ],
)
def test_databases_that_cannot_be_used_are_refused(workshop: Workshop, database: str, message: str) -> None:
    problems = workshop.problems(_text(workshop, "connection: shop, table: a", database))
    assert message in problems[0]


def test_secret_beside_a_database_is_not_shown(workshop: Workshop) -> None:
    text = _text(workshop, "connection: shop, table: a", "{database: sqlite, path: shop.db, password: hunter2x}")
    assert "hunter2x" not in "".join(workshop.problems(text))


def test_nothing_is_sent_to_a_database(workshop: Workshop) -> None:
    text = _text(workshop, "connection: shop, table: a").replace("connection: crm, schema", "connection: shop, schema")
    (problem,) = workshop.problems(text)
    assert '"shop" is a database, to which nothing is sent' in problem
    assert "expected crm or cars" in problem


def test_paths_stay_within_the_fence(workshop: Workshop, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "outer.sql").write_text("SELECT 1", encoding="utf-8")
    workshop.path = inner / "jobs.yaml"
    fence = PathFence.below([inner])
    text = _text(workshop, "connection: shop, query: ../outer.sql", "{database: sqlite, path: ../shop.db}")
    problems = workshop.problems(text.replace("${file:/run/secrets/crm}", "${CRM}"), fence=fence)
    assert [item.partition(" of the folders")[0] for item in problems] == [
        'jobs.yaml:7:34: "path" is outside',
        'jobs.yaml:13:39: "query" is outside',
    ]


def test_joined_files_keep_their_csv_settings(workshop: Workshop) -> None:
    joined = "connection: shop, table: a, delimiter: ';', join: [{path: j.csv, on: id}]"
    (job,) = (job for job in _loaded(workshop, joined).jobs if job.name == "guests")
    assert (job.source.delimiter, job.source.joins[0].path) == (";", "j.csv")


def test_hashes_follow_the_query_and_not_the_name_of_its_file(workshop: Workshop) -> None:
    folder = workshop.path.parent

    def hashes(source: str) -> tuple[str, str]:
        (job,) = (job for job in _loaded(workshop, source).jobs if job.name == "guests")
        return job.spec_hash, job.removal_hash

    (folder / "a.sql").write_text("SELECT id, email FROM t", encoding="utf-8")
    first = hashes("connection: shop, query: a.sql")
    assert hashes('connection: shop, query: "SELECT id, email FROM t"') == first
    (folder / "a.sql").write_text("SELECT id, email FROM t WHERE id > 1", encoding="utf-8")
    others = {hashes("connection: shop, query: a.sql"), hashes("connection: shop, table: t"), first}
    assert len({spec for spec, _ in others}) == len({removal for _, removal in others}) == 3


def test_placeholder_in_the_path_of_a_database_is_substituted(workshop: Workshop) -> None:
    text = _text(workshop, "connection: shop, table: a", '{database: sqlite, path: "${DATA}/shop.db"}')
    assert workshop.load(text, environ={"DATA": "/srv/data"}).databases["shop"].path == "/srv/data/shop.db"
    (problem,) = workshop.problems(text)
    assert "DATA is not set" in problem


def test_schema_allows_each_origin_of_rows_alone() -> None:
    schema = jobs_schema()
    origins = [["path"], ["connection", "query"], ["connection", "table"], ["connection", "dbt"], ["delta"]]
    assert [item["required"] for item in schema["$defs"]["JoinModel"]["oneOf"]] == origins
    assert [item["required"] for item in schema["$defs"]["SourceModel"]["oneOf"]] == [["job"], *origins]
    connection = schema["properties"]["connections"]["additionalProperties"]
    kinds = [connection["then"], connection["else"]["then"], connection["else"]["else"]]
    assert [item["$ref"].rpartition("/")[2] for item in kinds] == ["StorageModel", "DatabaseModel", "ConnectionModel"]


def test_rules_for_columns_are_no_settings_of_a_file(workshop: Workshop) -> None:
    rules = "columns: {name: {not_null: true}}, freshness: {column: at, max_age: 1d}"
    (job,) = (job for job in _loaded(workshop, f"connection: shop, table: a, {rules}").jobs if job.name == "guests")
    assert job.source.contract is not None
    assert [rule.column for rule in job.source.contract.columns] == ["name"]
    problems = workshop.problems(_text(workshop, "connection: shop, table: a, columns: [id, name]"))
    assert any('"columns" with a connection' in problem for problem in problems)


def test_settings_of_joined_files_are_refused_without_one(workshop: Workshop) -> None:
    join = "join: [{connection: shop, table: b, on: id}]"
    problem = _problem(workshop, f"connection: shop, table: a, {join}, delimiter: ';'")
    assert '"delimiter" with a connection' in problem


def test_joins_take_delta_tables(workshop: Workshop) -> None:
    join = "join: [{delta: levels, version: 3, on: id}]"
    (job,) = (job for job in _loaded(workshop, f"connection: shop, table: a, {join}").jobs if job.name == "guests")
    joined = job.source.joins[0].source
    assert joined is not None
    assert joined.stored is not None
    assert (joined.stored.written, joined.stored.version) == ("levels", 3)
    assert '"version" without delta' in _problem(
        workshop, "connection: shop, table: a, join: [{path: a.csv, version: 3, on: id}]"
    )
