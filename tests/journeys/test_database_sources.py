"""Sources in a SQLite database, from the command line to the ledger of the mocks."""

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
    source: {connection: warehouse, query: guests.sql, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
    on_removed: delete
"""
QUERY = "SELECT g.id, c.name || ' ' || g.name AS name FROM guests g JOIN cities c ON c.id = g.city\n"


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment whose source is a query of a database."""
    folder = deployment.folder
    (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    (folder / "guests.sql").write_text(QUERY, encoding="utf-8")
    execute(folder / "shop.db", "CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT)")
    execute(folder / "shop.db", "CREATE TABLE guests (id INTEGER PRIMARY KEY, name TEXT, city INTEGER)")
    execute(folder / "shop.db", "INSERT INTO cities VALUES (1, 'Oslo'), (2, 'Bern')")
    execute(folder / "shop.db", "INSERT INTO guests VALUES (1, 'Ada', 1), (2, 'Bo', 2), (3, 'Cy', 1)")
    return deployment


def _parts(deployment: Deployment) -> list[Path]:
    return [*deployment.folder.glob(".batchsync/**/*part-*")]


def test_changes_of_a_database_reach_the_vendor_once(shop: Deployment) -> None:
    assert shop.json("validate")["notes"] == ["guests: not checked: its source is read from a database by each run"]
    assert "not checked" not in shop.run("plan", "--detailed-exitcode", expect=10)
    shop.run("sync")
    assert shop.last_names() == ["Bern Bo", "Oslo Ada", "Oslo Cy"]
    assert "unchanged 3" in shop.run("sync")
    execute(shop.folder / "shop.db", "UPDATE guests SET name = 'Bob' WHERE id = 2", "DELETE FROM guests WHERE id = 3")
    execute(shop.folder / "shop.db", "INSERT INTO guests VALUES (4, 'Di', 2)")
    assert "1 added, 1 changed, 1 removed" in shop.run("sync")
    assert shop.last_names() == ["Bern Bob", "Bern Di", "Oslo Ada"]
    assert all(count == 1 for count in shop.delivered(CDP).values())
    assert _parts(shop) == []


def test_edit_of_the_query_holds_removals(shop: Deployment) -> None:
    shop.run("sync")
    (shop.folder / "guests.sql").write_text(f"{QUERY} WHERE g.id > 1", encoding="utf-8")
    shop.run("sync", expect=6)
    assert len(shop.last_names()) == 3
    shop.run("approve", "guests")
    shop.run("sync")
    assert shop.last_names() == ["Bern Bo", "Oslo Cy"]


def test_database_without_rows_removes_nothing_before_approval(shop: Deployment) -> None:
    shop.run("sync")
    execute(shop.folder / "shop.db", "DELETE FROM guests")
    shop.run("sync", expect=6)
    assert len(shop.last_names()) == 3


def test_table_without_rows_settles_at_once(shop: Deployment) -> None:
    execute(shop.folder / "shop.db", "DELETE FROM guests")
    text = JOBS.replace("query: guests.sql", "table: guests")
    (shop.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    assert "nothing to send" in shop.run("sync")


def test_query_that_fails_sends_nothing(shop: Deployment) -> None:
    execute(shop.folder / "shop.db", "DROP TABLE cities")
    shop.run("sync", expect=3)
    assert "warehouse: guests.sql: no such table: cities" in shop.shown()
    assert not shop.mocks.store(CDP)


def test_mixed_column_is_refused_with_its_row_and_sends_nothing(shop: Deployment) -> None:
    text = JOBS.replace("query: guests.sql", "table: other")
    (shop.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    execute(
        shop.folder / "shop.db", "CREATE TABLE other (id, name)", "INSERT INTO other VALUES (1, 'Hopper'), ('x', 'y')"
    )
    shop.run("sync", expect=3)
    assert "warehouse: other: column 'id' mixes types: integer in row 1, text in row 2" in shop.shown()
    assert "Hopper" not in shop.shown()
    assert not shop.mocks.store(CDP)
    assert _parts(shop) == []


def test_missing_database_stops_the_run_and_not_validate(shop: Deployment) -> None:
    (shop.folder / "shop.db").unlink()
    shop.run("validate")
    shop.run("sync", expect=3)
    assert 'connection "warehouse": there is no file' in shop.shown()
    assert "jobs.yaml:7:3" in shop.shown()


def test_doctor_opens_databases(shop: Deployment) -> None:
    checks = {item["check"]: item for item in shop.json("doctor")["checks"]}
    assert checks["warehouse"]["found"] == "SQLite, read-only, 2 tables and views"
    (shop.folder / "shop.db").write_text("id,name\n" * 200, encoding="utf-8")
    shop.run("doctor", expect=3)
    assert "file is not a database" in shop.shown()
    assert "jobs.yaml:7:3" in shop.shown()


def test_duplicate_keys_name_the_query_and_rows(shop: Deployment) -> None:
    (shop.folder / "guests.sql").write_text("SELECT 1 AS id, 'a' AS name UNION ALL SELECT 1, 'b'", encoding="utf-8")
    shop.run("sync", expect=3)
    assert "1 key of warehouse: guests.sql occurs more than once: rows 1, 2" in shop.shown()


def test_untrusted_file_opens_no_database(shop: Deployment) -> None:
    shop.run("validate", "--untrusted")
    shop.run("plan", "--untrusted")
    assert "not planned: its source is elsewhere" in shop.shown()


def _many(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("DELETE FROM guests")
        rows = [(n, f"guest {n}", 1 + n % 2) for n in range(1, 3_001)]
        connection.executemany("INSERT INTO guests VALUES (?, ?, ?)", rows)
    connection.close()


@pytest.mark.parametrize("path", ["^/v2/batches/", "^/_storage/"])
def test_kill_between_landing_and_settlement_delivers_each_row_once(shop: Deployment, path: str) -> None:
    _many(shop.folder)
    shop.kill_during(CDP, "PUT", path, "sync")
    # The rows that were landed are those that are sent, whatever the database holds now.
    execute(shop.folder / "shop.db", "UPDATE guests SET name = 'later'")
    shop.run("resume")
    assert _parts(shop) == []
    sent = [name for name in shop.last_names() if "later" not in name]
    assert len(sent) in {0, 3_000}
    shop.run("sync")
    assert len(shop.last_names()) == 3_000
    assert all("later" in name for name in shop.last_names())
    assert all(count == 1 for count in shop.delivered(CDP).values())


def test_kill_while_rows_are_landed_sends_nothing_and_leaves_no_part(shop: Deployment) -> None:
    endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i AS id, 'x' AS name FROM n"
    (shop.folder / "guests.sql").write_text(endless, encoding="utf-8")
    shop.kill_when(lambda: bool(_parts(shop)), "sync")
    assert not shop.mocks.store(CDP)
    (shop.folder / "guests.sql").write_text(QUERY, encoding="utf-8")
    shop.run("sync")
    assert shop.last_names() == ["Bern Bo", "Oslo Ada", "Oslo Cy"]
    assert _parts(shop) == []
