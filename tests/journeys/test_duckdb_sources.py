"""Sources by DuckDB, from the command line to the ledger of the mocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

if TYPE_CHECKING:
    from kit.deployment import Deployment

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  shop: {database: duckdb, path: shop.duckdb}
  files: {database: duckdb}
jobs:
  guests:
    source: {connection: shop, table: mart.guests, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
    on_removed: delete
  orders:
    source: {connection: files, query: orders.sql, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: SHOP, id: =id}]}
"""
QUERY = """
SELECT c.id, c.name || ' ' || sum(o.amount)::DECIMAL(12, 2) AS name
FROM 'data/*.parquet' o JOIN 'people.csv' c ON c.id = o.person
GROUP BY c.id, c.name ORDER BY c.id
"""


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with a database and files."""
    folder = deployment.folder
    (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    (folder / "orders.sql").write_text(QUERY, encoding="utf-8")
    (folder / "people.csv").write_text("id,name\n007,Ada\n8,Bo\n", encoding="utf-8")
    (folder / "data").mkdir()
    pl.DataFrame({"person": ["007", "8"], "amount": [1.25, 2.5]}).write_parquet(folder / "data/1.parquet")
    pl.DataFrame({"person": ["007"], "amount": [0.75]}).write_parquet(folder / "data/2.parquet")
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute("CREATE SCHEMA mart")
        connection.execute("CREATE TABLE mart.guests AS FROM (VALUES (1::HUGEINT, 'Cy'), (2, 'Di')) v(id, name)")
    return deployment


def test_tables_and_files_reach_the_vendor_once(shop: Deployment) -> None:
    shop.run("validate")
    shop.run("sync")
    assert shop.last_names() == ["Ada 2.00", "Bo 2.50", "Cy", "Di"]
    assert "unchanged 2" in shop.run("sync")
    with duckdb.connect(str(shop.folder / "shop.duckdb")) as connection:
        connection.execute("DELETE FROM mart.guests WHERE id = 1")
    assert "1 removed" in shop.run("sync", "guests")
    assert shop.last_names() == ["Ada 2.00", "Bo 2.50", "Di"]
    assert not [*shop.folder.glob(".batchsync/**/*part-*")]
    assert not [*shop.folder.glob("**/spill")]


def test_doctor_opens_databases(shop: Deployment) -> None:
    checks = {item["check"]: item for item in shop.json("doctor")["checks"]}
    assert checks["shop"]["found"].endswith("read-only, 1 tables and views")
    assert checks["files"]["found"].endswith("in memory, for local files")


def test_other_files_are_out_of_reach(shop: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", str(shop.folder))
    (shop.folder / "orders.sql").write_text("SELECT * FROM '/nowhere/else.parquet'", encoding="utf-8")
    shop.run("sync", "orders", expect=3)
    shown = (shop.folder / "last.log").read_text(encoding="utf-8")
    assert "is outside of the folders that paths may lead to" in shown
    shop.run("plan", "--untrusted")
    shown = (shop.folder / "last.log").read_text(encoding="utf-8")
    assert "not planned: its source is elsewhere" in shown
