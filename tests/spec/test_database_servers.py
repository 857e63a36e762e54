"""Databases on servers among the connections: settings, references, and reading since a column."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.job import Send
from batchsync.core.query import Server, Since
from batchsync.spec import resolve_login, secret_files
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spec.conftest import Workshop

    from batchsync.core.job import Job
    from batchsync.core.query import Database

SOURCE = "source: {path: guests.csv, key: id}"
CARS = "  cars:\n"
URL = '{database: postgres, url: "${WAREHOUSE_URL}"}'


def _text(workshop: Workshop, database: str, source: str = "connection: shop, table: t") -> str:
    return workshop.changed((CARS, f"  shop: {database}\n{CARS}"), (SOURCE, f"source: {{{source}, key: id}}"))


def _database(workshop: Workshop, text: str, **options: Any) -> Database:
    return workshop.load(_text(workshop, text), **options).databases["shop"]


def _job(workshop: Workshop, text: str) -> Job:
    (job,) = (job for job in workshop.load(text).jobs if job.name == "guests")
    return job


@pytest.mark.parametrize("kind", ["postgres", "redshift", "mysql", "mariadb"])
def test_url_stays_a_reference(workshop: Workshop, kind: str) -> None:
    found = _database(workshop, URL.replace("postgres", kind))
    assert found.server == Server(url="${WAREHOUSE_URL}")
    assert (found.kind, found.statement_timeout) == (kind, timedelta(hours=1))
    assert "WAREHOUSE" not in repr(found.server)


def test_settings_of_a_server(workshop: Workshop) -> None:
    text = (
        '{database: postgres, host: "${HOST}", port: "${PORT}", dbname: mart, user: reader, statement_timeout: 10m, '
        'password: "${file:/run/secrets/pw}", sslmode: verify-full, sslrootcert: certs/ca.pem}'
    )
    found = _database(workshop, text, environ={"HOST": "db.example.com", "PORT": "5433"})
    assert found.server == Server(
        host="db.example.com",
        port=5433,
        dbname="mart",
        user="reader",
        password="${file:/run/secrets/pw}",  # noqa: S106 - a reference
        sslmode="verify-full",
        sslrootcert=str(workshop.path.parent / "certs" / "ca.pem"),
    )
    assert found.statement_timeout == timedelta(minutes=10)
    assert secret_files([], [found]) == ("/run/secrets/pw",)
    assert resolve_login(found, {}, lambda path: f"from {path}\n") == {"password": "from /run/secrets/pw"}


def test_duckdb_needs_no_file(workshop: Workshop) -> None:
    assert _database(workshop, "{database: duckdb}").path == ""
    assert _database(workshop, "{database: duckdb, path: a.db}").path == str(workshop.path.parent / "a.db")


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("{database: postgres}", '"shop" has no "host"'),
        ("{database: postgres, host: a}", '"shop" has no "dbname"'),
        ("{database: postgres, path: a.db}", '"path" of a PostgreSQL database'),
        ('{database: postgres, url: "${U}", host: a}', '"host" in addition to a url'),
        ('{database: postgres, url: "${U}", password: "${P}"}', '"password" in addition to a url'),
        ("{database: sqlite, path: a.db, host: a}", '"host" of a SQLite database'),
        ("{database: duckdb, statement_timeout: 1m}", '"statement_timeout" of a DuckDB database'),
        ("{database: postgres, host: 'a b', dbname: x}", '"host" is no host'),
        ("{database: postgres, host: 'a,b', dbname: x}", '"host" is no host'),
        ("{database: postgres, host: a, dbname: x, port: 0}", "invalid port"),
        ("{database: postgres, host: a, dbname: x, port: 65536}", "invalid port"),
        ("{database: postgres, host: a, dbname: x, port: true}", "invalid port"),
        ("{database: postgres, host: a, dbname: x, port: '5432 '}", "invalid port"),
        ("{database: postgres, host: a, dbname: x, port: '-1'}", "invalid port"),
        ("{database: postgres, host: a, dbname: x, sslmode: allow}", '"sslmode" cannot be "allow"'),
        ("{database: postgres, host: a, dbname: x, statement_timeout: 0s}", "invalid duration"),
        ("{database: postgres, host: a, dbname: x, sslrootcert: /proc/self/environ}", '"sslrootcert" is below /proc'),
        ('{database: postgres, url: "${file:/proc/self/environ}"}', '"url" is below /proc'),
    ],
)
def test_settings_that_cannot_be_used_are_refused(workshop: Workshop, database: str, message: str) -> None:
    problems = workshop.problems(_text(workshop, database))
    assert any(message in problem for problem in problems)
    assert all(problem.startswith("jobs.yaml:7:") for problem in problems)


@pytest.mark.parametrize(
    ("database", "name"),
    [
        ("{database: postgres, url: 'postgresql://u:hunter2x@db/mart'}", "url"),
        ("{database: postgres, url: hunter2x}", "url"),
        ("{database: postgres, url: '${U:-hunter2x}'}", "url"),
        ("{database: postgres, url: 'postgresql://u:${P}@hunter2x'}", "url"),
        ("{database: postgres, host: a, dbname: b, password: hunter2x}", "password"),
        ("{database: postgres, host: a, dbname: b, password: '${P:-hunter2x}'}", "password"),
        ("{database: mysql, host: a, dbname: b, password: 'x${P}hunter2x'}", "password"),
    ],
)
def test_literal_secrets_are_refused_and_not_shown(workshop: Workshop, database: str, name: str) -> None:
    (problem,) = workshop.problems(_text(workshop, database))
    assert f'"{name}": ' in problem
    assert f"write {name}: ${{SHOP_{name.upper()}}}" in problem
    assert "hunter2x" not in problem


def test_url_in_another_key_is_not_shown(workshop: Workshop) -> None:
    text = _text(workshop, "{database: postgres, host: 'postgresql://u:hunter2x@db', dbname: mart}")
    (problem,) = workshop.problems(text)
    assert '"host" is no host' in problem
    assert "hunter2x" not in problem


def test_references_are_not_read_before_they_are_used(workshop: Workshop) -> None:
    found = workshop.load(_text(workshop, URL), environ={"WAREHOUSE_URL": "postgresql://u:hunter2x@db/mart"})
    assert "hunter2x" not in repr(found)
    assert not found.substituted


def test_secret_files_stay_within_the_fence(workshop: Workshop, tmp_path: Path) -> None:
    fence = PathFence.below([tmp_path])
    text = _text(workshop, '{database: postgres, url: "${file:/run/secrets/url}"}').replace(
        "${file:/run/secrets/crm}", "${CRM}"
    )
    (problem,) = workshop.problems(text, fence=fence)
    assert '"url" is outside of the folders' in problem


def test_other_secrets_leave_hashes_as_they_are(workshop: Workshop) -> None:
    first = _job(workshop, _text(workshop, URL))
    other = _job(workshop, _text(workshop, '{database: postgres, host: a, dbname: b, password: "${P}"}'))
    assert first.spec_hash == other.spec_hash


def _since(workshop: Workshop, since: str = "{column: updated_at}", database: str = URL) -> str:
    text = _text(workshop, database, f"connection: shop, table: t, since: {since}")
    return text.replace("    on_removed: delete\n", "")


def test_since_reads_and_sends_by_a_column(workshop: Workshop) -> None:
    job = _job(workshop, _since(workshop, "{column: updated_at, lag: 15m, full_every: 7d}"))
    assert job.source.query is not None
    assert job.source.query.since == Since(column="updated_at", lag=timedelta(minutes=15), full_every=timedelta(days=7))
    assert job.send == Send(rows="since", since="updated_at")
    assert not job.source.is_partial
    numbers = _job(workshop, _since(workshop, "{column: id, lag: 1000}"))
    assert numbers.source.query is not None
    assert numbers.source.query.since == Since(column="id", lag=1000)
    assert len({job.spec_hash, numbers.spec_hash, _job(workshop, _text(workshop, URL)).spec_hash}) == 3


@pytest.mark.parametrize(
    ("since", "more", "message"),
    [
        ("{lag: 1m}", "", 'has no "column"'),
        ("{column: a, lag: -1}", "", "invalid lag"),
        ("{column: a, lag: soon}", "", "invalid lag"),
        ("{column: a}", "    on_removed: delete\n", "cannot detect keys that left the source"),
        ("{column: a}", "    send: all\n", '"send" with a source that is read since "a"'),
        ("{column: a}", "    send: {since: b}\n", '"send" with a source that is read since "a"'),
        ("{column: a}, duplicates: last", "", '"since" with duplicates'),
        ("{column: a}, duplicates: {by: b}", "", '"since" with duplicates'),
    ],
)
def test_since_that_could_miss_something_is_refused(workshop: Workshop, since: str, more: str, message: str) -> None:
    text = _since(workshop, since).replace("    mode: upsert\n", f"    mode: upsert\n{more}", 1)
    assert any(message in problem for problem in workshop.problems(text))


@pytest.mark.parametrize(
    ("database", "source"),
    [
        ("{database: sqlite, path: a.db}", "connection: shop, table: t, since: {column: a}"),
        ("{database: duckdb}", "connection: shop, table: t, since: {column: a}"),
        (URL, "path: guests.csv, since: {column: a}"),
    ],
)
def test_since_needs_a_server(workshop: Workshop, database: str, source: str) -> None:
    text = _text(workshop, database, source).replace("    on_removed: delete\n", "")
    (problem,) = workshop.problems(text)
    assert "of which all rows are read" in problem
    assert "send: {since: a}" in problem


def test_since_is_refused_where_records_collect_rows(workshop: Workshop) -> None:
    text = _since(workshop).replace("identifiers: [{provider: CRM, id: =id}]", "identifiers: [{each: {id: =id}}]")
    assert any("each:, whose records need all rows of their key" in problem for problem in workshop.problems(text))
