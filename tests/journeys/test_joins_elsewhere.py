"""Joins with rows of databases, from the command line to the ledger of the mocks."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from kit.deployment import CDP, Deployment
from kit.sqlite_file import execute

if TYPE_CHECKING:
    from pathlib import Path

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  warehouse: {database: sqlite, path: shop.db}
jobs:
  guests:
    source:
      SOURCE
      key: id
      join:
        - {connection: warehouse, table: segments, on: segment}
        - {connection: warehouse, query: cities.sql, on: {city: code}}
        - {path: titles.csv, on: title}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      firstName: =salutation
      lastName: =name || ' ' || label || ' ' || town
      identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]
    on_removed: delete
"""
FILE, TABLE = "path: guests.csv", "{connection: warehouse, table: guests}"
ROWS = [("1", "Ada", "g", "O", "d"), ("2", "Bo", "s", "B", "m"), ("3", "Cy", "g", "B", "m")]


def _jobs(source: str) -> str:
    lines = "connection: warehouse\n      table: guests" if source == TABLE else source
    return JOBS.replace("SOURCE", lines)


@pytest.fixture(params=[FILE, TABLE], ids=["file", "table"])
def shop(request: pytest.FixtureRequest, deployment: Deployment) -> Deployment:
    """A deployment whose rows, in a file or a table, are joined with a table, a query and a file."""
    folder = deployment.folder
    (folder / "jobs.yaml").write_text(_jobs(request.param), encoding="utf-8")
    lines = "".join(",".join(row) + "\n" for row in ROWS)
    (folder / "guests.csv").write_text("id,name,segment,city,title\n" + lines, encoding="utf-8")
    (folder / "titles.csv").write_text("title,salutation\nd,Dr\nm,Mx\n", encoding="utf-8")
    (folder / "cities.sql").write_text("SELECT code, upper(name) AS town FROM cities\n", encoding="utf-8")
    execute(folder / "shop.db", "CREATE TABLE guests (id TEXT, name TEXT, segment TEXT, city TEXT, title TEXT)")
    execute(
        folder / "shop.db",
        "CREATE TABLE segments (segment TEXT, label TEXT)",
        "CREATE TABLE cities (code TEXT, name TEXT)",
    )
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.executemany("INSERT INTO guests VALUES (?, ?, ?, ?, ?)", ROWS)
    connection.close()
    execute(folder / "shop.db", "INSERT INTO segments VALUES ('g', 'gold'), ('s', 'silver'), ('x', 'unused')")
    execute(folder / "shop.db", "INSERT INTO cities VALUES ('O', 'Oslo'), ('B', 'Bern')")
    return deployment


def _names(deployment: Deployment) -> list[str]:
    return sorted(f"{item['value']['firstName']} {item['value']['lastName']}" for item in deployment.mocks.store(CDP))


def _parts(deployment: Deployment) -> list[Path]:
    return [*deployment.folder.glob(".batchsync/**/*part-*")]


ALL = ["Dr Ada gold OSLO", "Mx Bo silver BERN", "Mx Cy gold BERN"]


def test_joined_rows_of_tables_queries_and_files_reach_the_vendor_once(shop: Deployment) -> None:
    shop.run("validate")
    shop.run("sync")
    assert _names(shop) == ALL
    assert "unchanged 3" in shop.run("sync")
    assert all(count == 1 for count in shop.delivered(CDP).values())
    assert _parts(shop) == []


def test_rows_of_a_join_that_change_change_their_records(shop: Deployment) -> None:
    shop.run("sync")
    execute(shop.folder / "shop.db", "UPDATE segments SET label = 'golden' WHERE segment = 'g'")
    assert "0 added, 2 changed, 0 removed" in shop.run("sync")
    assert _names(shop) == ["Dr Ada golden OSLO", "Mx Bo silver BERN", "Mx Cy golden BERN"]
    assert all(count == 1 for count in shop.delivered(CDP).values())


def test_edit_of_the_query_of_a_join_holds_removals(shop: Deployment) -> None:
    shop.edit("      key: id\n", "      key: id\n      where: town IS NOT NULL\n")
    shop.run("sync")
    (shop.folder / "cities.sql").write_text("SELECT code, upper(name) AS town FROM cities WHERE code = 'B'", "utf-8")
    shop.run("sync", expect=6)
    assert _names(shop) == ALL
    shop.run("approve", "guests")
    shop.run("sync")
    assert _names(shop) == ALL[1:]


def test_key_that_a_joined_table_has_twice_is_refused(shop: Deployment) -> None:
    execute(shop.folder / "shop.db", "INSERT INTO segments VALUES ('g', 'secret label')")
    shop.run("sync", expect=3)
    assert "jobs.yaml:1" in shop.shown()
    assert "warehouse: segments has the same segment in more than one row (rows 1, 4)" in shop.shown()
    assert "secret label" not in shop.shown()
    assert not shop.mocks.store(CDP)
    assert _parts(shop) == []


def test_join_that_fails_sends_nothing_and_names_the_query(shop: Deployment) -> None:
    execute(shop.folder / "shop.db", "DROP TABLE cities")
    shop.run("sync", expect=3)
    assert "warehouse: cities.sql: no such table: cities" in shop.shown()
    assert not shop.mocks.store(CDP)
    assert _parts(shop) == []


def test_kill_after_landing_delivers_the_rows_that_were_landed(shop: Deployment) -> None:
    shop.kill_during(CDP, "PUT", "^/_storage/", "sync")
    execute(shop.folder / "shop.db", "UPDATE segments SET label = 'later'")
    shop.run("resume")
    assert _names(shop) in ([], ALL)
    shop.run("sync")
    assert all("later" in name for name in _names(shop))
    assert all(count == 1 for count in shop.delivered(CDP).values())
    assert _parts(shop) == []


def test_untrusted_file_opens_no_joined_database(shop: Deployment) -> None:
    (shop.folder / "shop.db").unlink()
    shop.run("validate", "--untrusted")
    shop.run("plan", "--untrusted")
    assert "not planned: its source is elsewhere" in shop.shown()
    shop.run("validate", "--untrusted", "--online", expect=2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("table: segments, on", "table: '${X}', on", "which never becomes SQL"),
        ("query: cities.sql, on", "query: 'SELECT ${X:-1}', on", "which never becomes SQL"),
        ("table: segments, on", "path: a.csv, table: segments, on", '"path" with a connection'),
        ("connection: warehouse, table: segments", "table: segments", '"join" has "table" without "connection"'),
        ("connection: warehouse, table: segments", "connection: warehouse", '"join" has no "query"'),
        ("{path: titles.csv, on", "{on", '"join" has no "path"'),
        ("table: segments, on", "table: segments, query: SELECT 1, on", '"join" has both query and table'),
        ("warehouse, table: segments", "sitecore, table: segments", "is an account of a vendor"),
        ("warehouse, table: segments", "warehose, table: segments", 'did you mean "warehouse"?'),
        ("cities.sql", "missing.sql", 'the file of "query" cannot be read'),
        ("table: segments, on", "table: segments, sheet: S, on", '"sheet" without a workbook'),
    ],
)
def test_joins_that_cannot_be_read_are_refused(shop: Deployment, old: str, new: str, message: str) -> None:
    shop.edit(old, new)
    shop.run("validate", expect=2)
    assert message in shop.shown()
    assert "jobs.yaml:1" in shop.shown()
