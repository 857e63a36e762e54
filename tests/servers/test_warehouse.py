"""Jobs that read PostgreSQL from the command line: the example, columns shown online, joins, and models of dbt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment
    from kit.postgresql import Cluster

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "warehouse"
MANIFEST = ROOT / "tests" / "spec" / "dbt" / "manifest.json"
JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  warehouse: {database: postgres, url: "${WAREHOUSE_URL}"}
jobs:
  guests:
    source:
      SOURCE
      key: id
      join: [{connection: warehouse, dbt: {manifest: manifest.json, model: raw.orders}, on: {id: guest}}]
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      firstName: =order_no
      lastName: =name
      identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]
"""
FILE = "path: guests.csv"
MODEL = "connection: warehouse\n      dbt: {manifest: manifest.json, model: mart_guests}"


def _example(folder: Path, *arguments: str) -> str:
    """Run the script of the example, and return what it writes."""
    dropped = ("BATCHSYNC", "SITECORE", "WAREHOUSE")
    environ = {name: text for name, text in os.environ.items() if not name.startswith(dropped)}
    done = subprocess.run(
        [sys.executable, folder / "run.py", *arguments], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_example_shows_columns_and_settles_and_sends_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "warehouse"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".batchsync"))
    shown = _example(folder)
    assert "updated_at timestamp with time zone as timestamp, revenue numeric(12,2) as decimal(12,2)" in shown
    assert "guests: warehouse: mart.segments: 2 columns: segment text, label text" in shown
    assert "selected 98 = unchanged 0 + accepted 98 + invalid 0 + rejected 0" in shown
    assert "selected 98 = unchanged 98" in _example(folder, "sync")
    # The integer is beyond what a floating-point number holds. State is read without the server.
    environ = os.environ | {"BATCHSYNC_MOCKS": "1", "WAREHOUSE_URL": ""}
    command = [sys.executable, "-m", "batchsync", "why", "9007199254740994"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "guests: accepted" in done.stdout
    assert not list(folder.glob(".batchsync/**/*part-*"))


@pytest.fixture(scope="module")
def loaded(cluster: Cluster) -> str:
    """The URL of a database with the relations of the manifest."""
    cluster.execute("CREATE DATABASE shopdb")
    cluster.execute(
        """
        CREATE SCHEMA dev_mart; CREATE SCHEMA raw_data;
        CREATE TABLE dev_mart.mart_guests (id bigint, name text, born timestamptz, size numeric(5, 2), tags int[]);
        INSERT INTO dev_mart.mart_guests VALUES (1, 'Ada', now(), 1.5, '{1}'), (2, 'Bo', now(), 2.5, '{}');
        CREATE TABLE raw_data.orders_2024 (guest bigint, order_no text);
        INSERT INTO raw_data.orders_2024 VALUES (1, 'A-1'), (2, 'B-2');
        """,
        dbname="shopdb",
    )
    return f"postgresql://test@{quote(str(cluster.folder), safe='')}:{cluster.port}/"


@pytest.fixture
def shop(deployment: Deployment, loaded: str, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment that reads models of dbt."""
    monkeypatch.setenv("WAREHOUSE_URL", f"{loaded}shopdb")
    shutil.copy(MANIFEST, deployment.folder / "manifest.json")
    (deployment.folder / "guests.csv").write_text("id,name\n1,Ada\n2,Bo\n", encoding="utf-8")
    _write(deployment, MODEL)
    return deployment


def _write(deployment: Deployment, source: str, *changes: tuple[str, str]) -> None:
    text = JOBS.replace("SOURCE", source)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (deployment.folder / "jobs.yaml").write_text(text, encoding="utf-8")


def _names(deployment: Deployment) -> list[str]:
    values = [item["value"] for item in deployment.mocks.store(CDP)]
    return sorted(f"{value['firstName']} {value['lastName']}" for value in values)


# A join compares keys as text, therefore the numbers of the file match those of the table.
@pytest.mark.parametrize("source", [FILE, MODEL], ids=["file", "model"])
def test_models_and_sources_of_dbt_are_joined_and_delivered_once(shop: Deployment, source: str) -> None:
    _write(shop, source)
    shop.run("sync")
    assert _names(shop) == ["A-1 Ada", "B-2 Bo"]
    assert "unchanged 2" in shop.run("sync")
    assert all(count == 1 for count in shop.delivered(CDP).values())


def test_manifest_of_another_database_reads_nothing(
    shop: Deployment, loaded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", f"{loaded}postgres")
    shop.run("sync", expect=3)
    assert "warehouse: shopdb.dev_mart.mart_guests" in shop.shown()
    assert not shop.mocks.store(CDP)


def test_types_of_the_server_are_listed(shop: Deployment) -> None:
    found: dict[str, Any] = shop.json("validate", "--online")["columns"]["guests"][0]
    types = {item["name"]: (item["type"], item["read_as"]) for item in found["columns"]}
    assert types["id"] == ("bigint", "integer")
    assert types["size"] == ("numeric(5,2)", "decimal(5,2)")
    assert types["tags"][1] == "list of integer"
    assert "Ada" not in json.dumps(found)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("=name\n", "=nme\n", "nme"),
        ("=name\n", "=abs(name)\n", "abs takes a number, not text"),
        ("=name\n", "=size || born || tags\n", "tags"),
        ("=name\n", "=lower(size)\n", "lower"),
        ("      key: id\n", "      key: key\n", "key"),
    ],
)
def test_expressions_are_checked_against_types_of_the_server(
    shop: Deployment, old: str, new: str, message: str
) -> None:
    _write(shop, MODEL, (old, new))
    shop.run("validate")
    shop.run("validate", "--online", expect=2)
    assert message in shop.shown()
    assert "jobs.yaml:" in shop.shown()


def test_unreachable_server_is_named_without_its_password(shop: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://reader:s3cret-word@127.0.0.1:1/shopdb")
    shop.run("validate")
    shop.run("validate", "--online", expect=3)
    assert 'connection "warehouse"' in shop.shown()
    assert "s3cret-word" not in shop.shown()
    shop.run("doctor", expect=3)
    assert "guests/source" in shop.shown()
    assert "s3cret-word" not in shop.shown()
