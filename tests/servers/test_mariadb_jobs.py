"""Sources on a MariaDB server, from the command line to the ledger of the mocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit import mariadb as kit
from kit.deployment import CDP, Deployment

if TYPE_CHECKING:
    from pathlib import Path

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  warehouse: {database: mariadb, url: "${WAREHOUSE_URL}"}
jobs:
  guests:
    source: {connection: warehouse, query: guests.sql, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
    on_removed: delete
"""
QUERY = "SELECT g.id, CONCAT(c.`name`, ' ', g.name) AS name FROM clients g JOIN cities c ON c.id = g.city\n"


@pytest.fixture
def shop(deployment: Deployment, mariadb: kit.Server, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment whose source is a query of the server."""
    (deployment.folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    (deployment.folder / "guests.sql").write_text(QUERY, encoding="utf-8")
    url = f"mysql://{kit.USER}:{kit.PASSWORD}@127.0.0.1:{mariadb.port}/{kit.DATABASE}"
    monkeypatch.setenv("WAREHOUSE_URL", url)
    mariadb.execute(
        "CREATE OR REPLACE TABLE cities (id INT PRIMARY KEY, name VARCHAR(20) CHARACTER SET latin1)",
        "CREATE OR REPLACE TABLE clients (id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(40), city INT)",
        "INSERT INTO cities VALUES (1, 'Oslo'), (2, 'Z\u00fcrich')",
        "INSERT INTO clients VALUES (1, 'Ada', 1), (2, 'Bo', 2), (18446744073709551615, 'Cy', 1)",
    )
    return deployment


def _parts(deployment: Deployment) -> list[Path]:
    return [*deployment.folder.glob(".batchsync/**/*part-*")]


def test_changes_of_a_server_reach_the_vendor_once(shop: Deployment, mariadb: kit.Server) -> None:
    shop.run("validate")
    shop.run("sync")
    assert shop.last_names() == ["Oslo Ada", "Oslo Cy", "Z\u00fcrich Bo"]
    found = {item["value"]["identifiers"][0]["id"] for item in shop.mocks.store(CDP)}
    assert found == {"1", "2", "18446744073709551615"}
    assert "unchanged 3" in shop.run("sync")
    mariadb.execute(
        "UPDATE clients SET name = 'Bob' WHERE id = 2",
        "DELETE FROM clients WHERE name = 'Cy'",
        "INSERT INTO clients VALUES (4, '\U0001f600', 2)",
    )
    assert "1 added, 1 changed, 1 removed" in shop.run("sync")
    assert shop.last_names() == ["Oslo Ada", "Z\u00fcrich Bob", "Z\u00fcrich \U0001f600"]
    assert all(count == 1 for count in shop.delivered(CDP).values())
    assert _parts(shop) == []


def test_password_is_nowhere(shop: Deployment, mariadb: kit.Server) -> None:
    shop.run("sync")
    mariadb.execute("DROP TABLE cities")
    shop.run("sync", expect=3)
    assert "warehouse: guests.sql: Table 'shop.cities' doesn't exist" in shop.shown()
    shop.run("doctor", expect=3)
    for file in shop.folder.rglob("*"):
        if file.is_file() and file.name != "ready.json":
            assert kit.PASSWORD.encode() not in file.read_bytes(), file


def test_server_that_is_not_there_sends_nothing(shop: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", f"mysql://{kit.USER}:{kit.PASSWORD}@127.0.0.1:1/{kit.DATABASE}")
    shop.run("validate")
    shop.run("sync", expect=3)
    assert 'connection "warehouse": 127.0.0.1:1: the connection was refused' in shop.shown()
    assert kit.PASSWORD not in shop.shown()
    assert not shop.mocks.store(CDP)


def test_doctor_names_server_version_and_encryption(shop: Deployment) -> None:
    checks = {item["check"]: item for item in shop.json("doctor")["checks"]}
    assert checks["warehouse"]["found"].startswith("MariaDB 1")
    assert checks["warehouse"]["found"].endswith("read-only, TLS")


def test_kill_while_rows_are_landed_sends_nothing(shop: Deployment) -> None:
    endless = "SELECT a.seq AS id, REPEAT('x', 200) AS name FROM seq_1_to_1000000 a, seq_1_to_1000000 b"
    (shop.folder / "guests.sql").write_text(endless, encoding="utf-8")
    shop.kill_when(lambda: bool(_parts(shop)), "sync")
    assert not shop.mocks.store(CDP)
    (shop.folder / "guests.sql").write_text(QUERY, encoding="utf-8")
    shop.run("sync")
    assert len(shop.last_names()) == 3
    assert _parts(shop) == []


def test_untrusted_file_reaches_no_server(shop: Deployment) -> None:
    shop.run("validate", "--untrusted")
    shop.run("plan", "--untrusted")
    assert "not planned: its source is elsewhere" in shop.shown()


@pytest.mark.parametrize("declared", ["TIMESTAMP(6) NULL", "DATETIME", "DATE", "BIGINT", "DECIMAL(40,2)"])
def test_new_rows_alone_are_read_and_no_other_is_missed(shop: Deployment, mariadb: kit.Server, declared: str) -> None:
    text = JOBS.replace("key: id}", "key: id, since: {column: updated, full_every: 3650d}}", 1)
    (shop.folder / "jobs.yaml").write_text(text.replace("    on_removed: delete\n", ""), encoding="utf-8")
    (shop.folder / "guests.sql").write_text("SELECT id, name, updated FROM seen ORDER BY id;", encoding="utf-8")
    values = (20260101, 20260102, 20260103)
    mariadb.execute(
        f"CREATE OR REPLACE TABLE seen (id INT PRIMARY KEY, name VARCHAR(20), updated {declared})",
        f"INSERT INTO seen VALUES (1, 'Ada', {values[0]}), (2, 'Bo', {values[1]})",
    )
    assert "selected 2" in shop.run("sync")
    mariadb.execute(
        "UPDATE seen SET name = 'unread' WHERE id = 1",
        f"INSERT INTO seen VALUES (3, 'Cy', {values[2]}), (4, 'Di', NULL), (5, 'unread', {values[0]})",
    )
    assert "selected 3" in shop.run("sync")
    assert shop.last_names() == ["Ada", "Bo", "Cy", "Di"]


@pytest.mark.parametrize("name", ["name", "absent"])
def test_since_that_does_not_fit_its_column_is_refused_before_the_first_run(shop: Deployment, name: str) -> None:
    text = JOBS.replace("key: id}", f"key: id, since: {{column: {name}}}}}", 1).replace("    on_removed: delete\n", "")
    (shop.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    for command in (("validate", "--online"), ("sync",)):
        shop.run(*command, expect=2)
        assert f"since cannot compare column {name!r}" in shop.shown() or f"no column {name!r}" in shop.shown()
    assert not shop.mocks.store(CDP)


def test_comment_after_the_end_of_a_statement_is_left_out_of_its_wrapper(shop: Deployment) -> None:
    text = JOBS.replace("key: id}", "key: id, since: {column: id}}", 1).replace("    on_removed: delete\n", "")
    (shop.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    (shop.folder / "guests.sql").write_text(
        f"{QUERY.rstrip().rstrip(';')}; -- all of them; # really\n", encoding="utf-8"
    )
    shop.run("sync")
    assert "selected" in shop.run("sync")
    assert len(shop.last_names()) == 3
