"""Jobs whose rows are in PostgreSQL, from the command line to the ledger of the mocks."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from kit import postgresql
from kit.deployment import CDP, Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.postgresql import Cluster

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
    source: {connection: warehouse, query: guests.sql, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
    on_removed: delete
"""
SINCE = "since: {column: updated_at, lag: 1h, full_every: 3650d}, key: id}"
QUERY = "SELECT id, name, updated_at, 1::numeric AS n, '{a}'::text[] AS tags FROM guests\n"
#: A password with characters that have a meaning in URLs, connection strings and JSON.
SPECIAL = "p@ss'w\"ö:/?#\\ %7"
ENCODED = "p%40ss%27w%22%C3%B6%3A%2F%3F%23%5C%20%257"


@pytest.fixture
def shop(cluster: Cluster, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A deployment whose source is a query of a database of its own."""
    cluster.execute("CREATE DATABASE jobs")
    monkeypatch.setenv("WAREHOUSE_URL", f"postgresql://test@/jobs?host={cluster.folder}")
    (deployment.folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    (deployment.folder / "guests.sql").write_text(QUERY, encoding="utf-8")
    cluster.execute(
        "CREATE TABLE guests (id int PRIMARY KEY, name text, updated_at timestamptz);"
        "INSERT INTO guests VALUES (1, 'Ada', '2026-01-01 00:00Z'), (2, 'Bo', '2026-01-01 10:00Z'),"
        " (3, 'Cy', '2026-01-01 12:00Z')",
        dbname="jobs",
    )
    yield deployment
    cluster.execute("DROP DATABASE jobs WITH (FORCE)")


def test_changes_of_a_database_reach_the_vendor_once(shop: Deployment, cluster: Cluster) -> None:
    shop.run("plan", "--detailed-exitcode", expect=10)
    shop.run("sync")
    assert shop.last_names() == ["Ada", "Bo", "Cy"]
    assert "unchanged 3" in shop.run("sync")
    cluster.execute(
        "UPDATE guests SET name = 'Bob' WHERE id = 2; DELETE FROM guests WHERE id = 3;"
        "INSERT INTO guests VALUES (4, 'Di', NULL)",
        dbname="jobs",
    )
    assert "1 added, 1 changed, 1 removed" in shop.run("sync")
    assert shop.last_names() == ["Ada", "Bob", "Di"]
    assert all(count == 1 for count in shop.delivered(CDP).values())
    assert not [*shop.folder.glob(".batchsync/**/*part-*")]


def test_new_rows_alone_are_read_and_no_other_is_missed(shop: Deployment, cluster: Cluster) -> None:
    text = JOBS.replace("key: id}\n", SINCE + "\n", 1).replace(
        "    on_removed: delete\n", "    guards: {min_rows: 3}\n"
    )
    (shop.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    assert "selected 3" in shop.run("sync")
    # 11:00 is the bound: the greatest value minus the lag. Rows below it are not read, whatever they contain.
    cluster.execute(
        "UPDATE guests SET name = 'unread' WHERE id = 1; INSERT INTO guests VALUES"
        " (4, 'Di', '2026-01-01 11:30Z'), (5, 'Ed', NULL), (6, 'unread', '2026-01-01 10:59Z'),"
        " (7, 'Flo', '2026-01-02 00:00Z')",
        dbname="jobs",
    )
    words = 'reading only rows with "updated_at" from 2026-01-01 11:00:00+00:00 on, or null; all rows again from 2029-'
    assert words in shop.run("plan")
    assert "selected 4" in shop.run("sync")
    assert words in (shop.folder / "last.log").read_text(encoding="utf-8")
    assert shop.last_names() == ["Ada", "Bo", "Cy", "Di", "Ed", "Flo"]
    # min_rows judges full reads alone: one row from the bound on, and the one without a value.
    assert "selected 2 = unchanged 2" in shop.run("sync")
    # An edit of the query is no longer the spec that the watermark is of: all rows are read.
    (shop.folder / "guests.sql").write_text(QUERY + " WHERE true", encoding="utf-8")
    assert "selected 7" in shop.run("sync")
    assert shop.last_names() == ["Bo", "Cy", "Di", "Ed", "Flo", "unread", "unread"]


def test_all_rows_are_read_until_each_of_a_read_was_delivered(shop: Deployment, cluster: Cluster) -> None:
    text = JOBS.replace("key: id}\n", SINCE + "\n", 1).replace("    on_removed: delete\n", "    budget: {invalid: 1}\n")
    text = text.replace("lastName: =name", "lastName: =name, email: =name")
    (shop.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    cluster.execute("UPDATE guests SET name = name || '@example.com' WHERE id > 1", dbname="jobs")
    assert "selected 3" in shop.run("sync")
    assert "selected 3" in shop.run("sync")
    cluster.execute("UPDATE guests SET name = name || '@example.com' WHERE id = 1", dbname="jobs")
    assert "selected 3" in shop.run("sync")
    assert "selected 1" in shop.run("sync")


def test_signal_during_a_query_ends_it_on_the_server(shop: Deployment, cluster: Cluster) -> None:
    (shop.folder / "guests.sql").write_text("SELECT 1 AS id, 'a' AS name, pg_sleep(600)::text AS s", encoding="utf-8")
    counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batchsync' AND state = 'active'"
    waited = threading.Event()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = subprocess.Popen(
            shop.command("sync", "--mocks"),
            cwd=shop.folder,
            env=shop.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while cluster.execute(counted) == "0":
            assert process.poll() is None
            waited.wait(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        while cluster.execute(counted) != "0":
            waited.wait(0.02)
    assert not shop.mocks.store(CDP)


def test_doctor_names_the_server(shop: Deployment) -> None:
    checks = {item["check"]: item for item in shop.json("doctor")["checks"]}
    assert checks["warehouse"]["found"].startswith("PostgreSQL ")


def test_untrusted_file_reaches_no_server(shop: Deployment) -> None:
    shop.run("validate", "--untrusted")
    shop.run("plan", "--untrusted")
    assert "not planned: its source is elsewhere" in shop.shown()


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Cluster, Path, Path]]:
    """A cluster that wants passwords and offers TLS, with its authority's certificate and another one's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with postgresql.cluster(listen_addresses="127.0.0.1", port=port) as cluster:
        authority, other = trustme.CA(), trustme.CA()
        certificate, data = authority.issue_cert("warehouse.test", "localhost"), cluster.folder / "data"
        certificate.private_key_pem.write_to_path(data / "server.key")
        certificate.cert_chain_pems[0].write_to_path(data / "server.crt")
        for name in ("server.key", "server.crt"):
            (data / name).chmod(0o600)
            shutil.chown(data / name, *((data.stat().st_uid, data.stat().st_gid)))
        hba = "local all test trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (data / "pg_hba.conf").write_text(hba, encoding="utf-8")
        quoted = SPECIAL.replace("'", "''")
        cluster.execute(f"CREATE ROLE reader LOGIN PASSWORD '{quoted}'; SELECT pg_reload_conf()")
        paths = cluster.folder / "ca.pem", cluster.folder / "other.pem"
        authority.cert_pem.write_to_path(paths[0])
        other.cert_pem.write_to_path(paths[1])
        yield cluster, *paths


def _encrypt(cluster: Cluster, state: str) -> None:
    """Switch TLS on or off, and wait until new connections notice."""
    cluster.execute(f"ALTER SYSTEM SET ssl = {state}; ")
    cluster.execute("SELECT pg_reload_conf()")
    waited = threading.Event()
    while cluster.execute("SHOW ssl") != state:
        waited.wait(0.02)


@pytest.mark.parametrize("form", ["keys", "url"])
def test_password_and_certificate_are_checked_and_never_shown(
    deployment: Deployment, guarded: tuple[Cluster, Path, Path], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    cluster, trusted, other = guarded
    (deployment.folder / "guests.sql").write_text("SELECT 1 AS id, 'Ada' AS name", encoding="utf-8")
    shown = []

    def run(
        host: str = "localhost",
        mode: str = "verify-full",
        ca: Path = trusted,
        value: str = SPECIAL,
        *,
        works: bool = False,
    ) -> str:
        where = f'host: {host}, port: {cluster.port}, dbname: postgres, user: reader, password: "${{SECRET}}"'
        encoded = ENCODED if value == SPECIAL else value
        monkeypatch.setenv("SECRET", value)
        monkeypatch.setenv("WAREHOUSE_URL", f"postgresql://reader:{encoded}@{host}:{cluster.port}/postgres")
        url = 'url: "${WAREHOUSE_URL}"'
        more = f"sslmode: {mode}, sslrootcert: {ca}" if mode else ""
        text = JOBS.replace(url, f"{where if form == 'keys' else url}, {more}")
        (deployment.folder / "jobs.yaml").write_text(text, encoding="utf-8")
        found = deployment.json("doctor", expect=0 if works else 3)
        shown.append(deployment.shown() + str(found))
        (check,) = (item for item in found["checks"] if item["check"] == "warehouse")
        return str(check["found"])

    _encrypt(cluster, "on")
    assert run(works=True).startswith("PostgreSQL ")
    deployment.run("sync")
    assert deployment.last_names() == ["Ada"]
    assert "the user or password is wrong" in run(value="hunter2x")
    assert "the certificate of the server is not trusted" in run(ca=other)
    assert "the certificate of the server is of another name" in run(host="127.0.0.1")
    assert run(host="127.0.0.1", mode="verify-ca", works=True).startswith("PostgreSQL ")
    (deployment.folder / "missing").mkdir(exist_ok=True)
    assert "the file of sslrootcert is missing" in run(ca=deployment.folder / "missing" / "ca.pem")
    _encrypt(cluster, "off")
    assert "the server does not offer TLS" in run()
    state = b"".join(path.read_bytes() for path in deployment.folder.glob(".batchsync/**/*") if path.is_file())
    for text in (
        *shown,
        state.decode("utf-8", "replace"),
        *(path.read_text() for path in deployment.folder.glob("*.log")),
    ):
        assert SPECIAL not in text
        assert ENCODED not in text
        assert "hunter2x" not in text


def test_missing_variable_names_it(shop: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_URL")
    shop.run("validate")
    shop.run("sync", expect=3)
    assert "WAREHOUSE_URL is not set" in shop.shown()
    assert "export WAREHOUSE_URL=" in shop.shown()


@pytest.mark.parametrize(
    ("since", "message"),
    [
        ("{column: updated_at, lag: 1000}", "Write lag: a duration, such as 15m"),
        ("{column: id, lag: 15m}", "Write lag: a number, such as 1000"),
        ("{column: name}", "since cannot compare column 'name' of type text"),
        ("{column: absent}", "the statement has no column 'absent', by which since reads"),
    ],
)
def test_since_that_does_not_fit_its_column_is_refused_before_the_first_run(
    shop: Deployment, since: str, message: str
) -> None:
    text = JOBS.replace("key: id}", f"since: {since}, key: id}}").replace("    on_removed: delete\n", "")
    (shop.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    for command in (("validate", "--online"), ("sync",)):
        shop.run(*command, expect=2)
        assert message in shop.shown()
    assert not shop.mocks.store(CDP)
    (shop.folder / "jobs.yaml").write_text(text.replace(since, "{column: id}"), encoding="utf-8")
    shop.run("sync")
    assert len(shop.last_names()) == 3
