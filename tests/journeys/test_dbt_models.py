"""Models of dbt as sources, and exposures of the jobs that read them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  warehouse: {database: sqlite, path: shop.db}
jobs:
  mart-guests:
    source:
      connection: warehouse
      dbt: {manifest: target/manifest.json, model: mart_guests}
      key: id
      join: [{connection: warehouse, dbt: {manifest: target/manifest.json, model: raw.orders}, on: {id: guest}}]
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      firstName: =order_no
      lastName: =name
      identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]
    on_removed: delete
    schedule: {every: 15m}
  mart_guests:
    source: {connection: warehouse, table: mart_guests, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
"""
MANIFEST = Path(__file__).parents[1] / "spec" / "dbt" / "manifest.json"


def _write_manifest(deployment: Deployment, table: str = "mart_guests", **metadata: str) -> None:
    content: dict[str, Any] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    content["metadata"] |= {"adapter_type": "sqlite", **metadata}
    content["nodes"]["model.shop.mart_guests"]["relation_name"] = f'main."{table}"'
    content["sources"]["source.shop.raw.orders"]["relation_name"] = 'main."orders"'
    folder = deployment.folder / "target"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment whose source is a model of dbt, joined with a source of dbt."""
    folder = deployment.folder
    (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    _write_manifest(deployment)
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.executescript("""
            CREATE TABLE mart_guests (id INTEGER, name TEXT);
            INSERT INTO mart_guests VALUES (1, 'Ada'), (2, 'Bo');
            CREATE TABLE new_guests (id INTEGER, name TEXT);
            INSERT INTO new_guests VALUES (2, 'Bo');
            CREATE TABLE orders (guest INTEGER, order_no TEXT);
            INSERT INTO orders VALUES (1, 'A-1'), (2, 'B-2');
        """)
    connection.close()
    return deployment


def test_rows_of_a_model_reach_the_vendor_once(shop: Deployment) -> None:
    shop.run("sync", "mart-guests")
    assert shop.last_names() == ["Ada", "Bo"]
    _write_manifest(shop, generated_at="2026-11-30T01:00:00Z")
    assert "unchanged 2" in shop.run("sync", "mart-guests")
    assert all(count == 1 for count in shop.delivered(CDP).values())


def test_removals_of_another_relation_await_approval(shop: Deployment) -> None:
    shop.run("sync", "mart-guests")
    _write_manifest(shop, "new_guests")
    shop.run("sync", "mart-guests", expect=6)
    assert shop.last_names() == ["Ada", "Bo"]
    shop.run("approve", "mart-guests")
    shop.run("sync", "mart-guests")
    assert shop.last_names() == ["Bo"]


def test_relation_that_was_not_built_is_named(shop: Deployment) -> None:
    _write_manifest(shop, "not_built")
    shop.run("sync", "mart-guests", expect=3)
    assert "warehouse: main.not_built: no such table: main.not_built" in shop.shown()
    assert not shop.mocks.store(CDP)


def test_missing_manifest_stops_every_command_that_needs_it(shop: Deployment) -> None:
    (shop.folder / "target" / "manifest.json").unlink()
    for name in ("validate", "plan", "sync", "dbt-exposures"):
        shop.run(name, expect=2)
        assert "jobs.yaml:12:23: the manifest is not there" in shop.shown()
        assert "`dbt compile`" in shop.shown()


def test_exposures_name_the_models_that_jobs_read(shop: Deployment) -> None:
    text = shop.run("dbt-exposures", "--owner", 'Data "team": {{ x }}', "--owner-email", "data@example.com")
    (exposure,) = YAML(typ="safe").load(text)["exposures"]
    assert exposure == {
        "name": "mart_guests",
        "label": "batchsync: mart-guests",
        "type": "application",
        "description": "Rows are sent to the connection sitecore (schema guest) in mode upsert, every 0:15:00, by the "
        "batchsync job mart-guests.",
        "depends_on": ["ref('mart_guests')", "source('raw', 'orders')"],
        "owner": {"name": 'Data "team": { { x }}', "email": "data@example.com"},
    }
    assert shop.json("dbt-exposures", "mart-guests")["exposures"][0]["name"] == "mart_guests"


def test_names_of_exposures_differ(shop: Deployment) -> None:
    path = shop.folder / "jobs.yaml"
    block = "dbt: {manifest: target/manifest.json, model: versioned}"
    path.write_text(path.read_text(encoding="utf-8").replace("table: mart_guests", block), encoding="utf-8")
    found = shop.json("dbt-exposures")["exposures"]
    assert [item["name"] for item in found] == ["mart_guests", "mart_guests_2"]
    assert found[1]["depends_on"] == ["ref('versioned', v=2)"]


def test_jobs_without_models_have_no_exposure(shop: Deployment) -> None:
    shop.run("dbt-exposures", "mart_guests", expect=2)
    assert "no job reads a model of dbt" in shop.shown()
    shop.run("dbt-exposures", "mart_guest", expect=2)
    assert "did you mean" in shop.shown()
