"""`validate --online` and `doctor`: columns of sources elsewhere, and jobs that do not match them."""

from __future__ import annotations

import pytest

from kit.deployment import CDP, Deployment
from kit.sqlite_file import execute

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  warehouse: {database: sqlite, path: shop.db}
  other: {database: sqlite, path: other.db}
jobs:
  guests:
    source:
      connection: warehouse
      query: guests.sql
      key: id
      join: [{connection: warehouse, table: segments, on: segment}]
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name || label, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
  local:
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =id}]}
"""


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with a job that reads a database, and one that reads a file."""
    folder = deployment.folder
    (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    (folder / "guests.sql").write_text("SELECT id, name, segment, 1.5 AS weight FROM guests\n", encoding="utf-8")
    (folder / "guests.csv").write_text("id,name\n1,a\n", encoding="utf-8")
    execute(folder / "shop.db", "CREATE TABLE guests (id INTEGER, name TEXT, segment TEXT)")
    execute(
        folder / "shop.db",
        "CREATE TABLE segments (segment TEXT, label TEXT)",
        "INSERT INTO segments VALUES ('g', 'gold')",
    )
    execute(folder / "shop.db", "INSERT INTO guests VALUES (1, 'Hopper', 'g')")
    execute(folder / "other.db", "CREATE TABLE t (x)")
    return deployment


def test_validate_says_what_it_did_not_check_and_which_command_does(shop: Deployment) -> None:
    (shop.folder / "shop.db").unlink()
    text = shop.run("validate")
    assert "guests: not checked: its source is read from a database by each run" in text
    assert "`batchsync --mocks validate --online`" in text or "`batchsync validate --online`" in text


def test_columns_are_listed_with_their_types(shop: Deployment) -> None:
    text = shop.run("validate", "--online")
    assert "guests: warehouse: guests.sql: 4 columns: id integer, name text, segment text, weight float" in text
    assert "guests: warehouse: segments: 2 columns: segment text, label text" in text
    assert "not checked" not in text
    assert "Hopper" not in text
    (own, joined) = shop.json("validate", "--online")["columns"]["guests"]
    assert own["source"] == "warehouse: guests.sql"
    assert own["columns"][0] == {"name": "id", "type": None, "read_as": "integer", "refused": None}
    assert [item["name"] for item in joined["columns"]] == ["segment", "label"]
    assert not shop.mocks.store(CDP)


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("=name || label", "=name || lable", "jobs.yaml:18:45", "lable"),
        ("      key: id\n", "      key: idd\n", "jobs.yaml:14:12", "idd"),
        ("=name || label", "=abs(name)", "jobs.yaml:18:45", "abs"),
        ("on: segment}", "on: {segment: nothing}}", "jobs.yaml:15:14", "nothing"),
        ("      key: id\n", "      key: id\n      freshness: {column: at, max_age: 1h}\n", "jobs.yaml:15:", "at"),
        ("    mode: upsert\n    record: {guestType: customer, lastName: =name ||",
         "    mode: upsert\n    send: {since: changed}\n    record: {guestType: customer, lastName: =name ||",
         "jobs.yaml:", "changed"),
    ],
)  # fmt: skip
def test_job_that_does_not_match_its_database_is_refused(
    shop: Deployment, old: str, new: str, place: str, message: str
) -> None:
    shop.edit(old, new)
    shop.run("validate")
    code = 3 if "nothing" in message else 2
    shop.run("validate", "--online", expect=code)
    assert place in shop.shown()
    assert message in shop.shown()
    assert "Hopper" not in shop.shown()


def test_problems_of_every_job_are_shown_at_once(shop: Deployment) -> None:
    shop.edit("=name || label", "=nme")
    shop.edit("lastName: =name,", "lastName: =nmae,")
    shop.run("validate", "--online", expect=2)
    assert "nme" in shop.shown()
    assert "nmae" in shop.shown()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DROP TABLE guests", "guests: warehouse: guests.sql: no such table: guests"),
        ("ALTER TABLE guests DROP COLUMN segment", "guests: warehouse: guests.sql: no such column: segment"),
        ("UPDATE guests SET name = x'00'", "column 'name', row 1: a blob"),
    ],
)
def test_statement_that_a_run_would_refuse_is_refused_with_its_connection(
    shop: Deployment, statement: str, message: str
) -> None:
    execute(shop.folder / "shop.db", statement)
    shop.run("validate", "--online", expect=3)
    assert message in shop.shown()
    assert "1 job not checked online: guests" in shop.shown()


def test_missing_database_is_an_error_of_the_environment_with_its_place(shop: Deployment) -> None:
    (shop.folder / "shop.db").unlink()
    found = shop.json("validate", "--online", expect=3)
    assert 'connection "warehouse": there is no file' in found["failed"]["guests"]["message"]
    assert "jobs.yaml:7:3" in found["failed"]["guests"]["hint"]


def test_doctor_shows_columns_and_mismatches(shop: Deployment) -> None:
    checks = {item["check"]: item for item in shop.json("doctor")["checks"]}
    assert checks["guests/source"]["found"].startswith("warehouse: guests.sql: 4 columns: id integer, name text")
    shop.edit("=name || label", "=nme || lable")
    checks = {item["check"]: item for item in shop.json("doctor", expect=3)["checks"]}
    assert "nme" in checks["guests/source"]["found"]
    assert "validate --online" in checks["guests/source"]["fix"]
    execute(shop.folder / "shop.db", "DROP TABLE guests")
    checks = {item["check"]: item for item in shop.json("doctor", expect=3)["checks"]}
    assert checks["guests/source"]["found"] == "warehouse: guests.sql: no such table: guests"


def test_few_rows_suffice_for_the_columns(shop: Deployment) -> None:
    query = """
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)
        SELECT i AS id, 'x' AS name, 'g' AS segment FROM n"""
    (shop.folder / "guests.sql").write_text(query, encoding="utf-8")
    assert "3 columns: id integer, name text, segment text" in shop.run("validate", "--online")
