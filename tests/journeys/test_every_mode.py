"""Every documented schema and mode is accepted and changes the data of the vendor; every sink stores the results."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl
import pytest

from kit.deployment import BDP, CDP, Deployment

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
version: 1
connections:
  motorweb:
    vendor: motorweb-bdp
    credentials: {client_id: "${A}", client_secret: "${B}"}
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${C}", api_token: "${D}"}
jobs:
"""
GUESTS = """\
  guests:
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, email: =email, identifiers: [{provider: CRM, id: =id}]}
"""
ORDER = """
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: order}
    mode: MODE
    record:
      referenceId: =id
      channel: WEB
      pointOfSale: shop.example.com
      status: PURCHASED
      orderedAt: '2026-01-02T03:04:05.000Z'
      currencyCode: EUR
      price: 12.5
      paymentType: Cash
      contact: {email: =email, identifiers: [{provider: CRM, id: =id}]}
      consumers: [{firstName: Eva, lastName: Nova, orderItems: [{referenceId: =id}]}]
      orderItems:
        - {type: BOOK, referenceId: =id, productId: P1, name: a book, description: a good one, vendor: Press,
           price: 12.5, currencyCode: EUR, quantity: 1}
"""
JOBS = {
    ("order", "insert"): "  orders:" + ORDER.replace("MODE", "insert"),
    ("order", "upsert"): "  orders:" + ORDER.replace("MODE", "upsert"),
    ("order", "delete"): "  orders:"
    + ORDER.replace("MODE", "insert")
    + """  removals:
    depends_on: [orders]
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: order}
    mode: delete
    record: {referenceId: =id, orderedAt: '2026-01-02T03:04:05.000Z'}
""",
    ("tracking", "insert"): """  events:
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: tracking}
    mode: insert
    record:
      serviceIdentifier: TEST_PROVIDER
      occurredAt: '2026-01-02T03:04:05.000Z'
      channel: EMAIL
      type: SENT
      uotr: c56a4180-65aa-42ec-a945-5fd21dec0538|0
""",
    ("migration", "guest"): GUESTS
    + """  moves:
    depends_on: [guests]
    source: {path: moves.csv, key: id}
    target: {connection: sitecore, schema: migration}
    mode: guest
    record:
      migrateFrom: {identifiers: [{provider: CRM, id: =id}]}
      migrateTo: {identifiers: [{provider: CRM, id: =to}]}
""",
    ("guest", "delete"): GUESTS
    + """  removals:
    depends_on: [guests]
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: delete
    record: {identifiers: [{provider: CRM, id: =id}]}
""",
    ("guest", "gdpr_delete"): GUESTS
    + """  removals:
    depends_on: [guests]
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: gdpr_delete
    record: {identifiers: [{provider: CRM, id: =id}]}
""",
}

#: Expected data of the vendor after the sync: ids of guests and orders, types of events.
STORED = {
    ("order", "insert"): ["R1", "R2"],
    ("order", "upsert"): ["R1", "R2"],
    ("order", "delete"): [],
    ("tracking", "insert"): ["SENT", "SENT"],
    ("migration", "guest"): ["R2"],
    ("guest", "delete"): [],
    ("guest", "gdpr_delete"): [],
}
#: A migration is not stored itself; it changes which guests are.
CHANGED_SCHEMA = {"migration": "guest"}


@pytest.mark.parametrize(("schema", "mode"), JOBS)
def test_every_mode_is_accepted_and_changes_vendor_data(deployment: Deployment, schema: str, mode: str) -> None:
    _write(deployment.folder, HEAD + JOBS[schema, mode])

    deployment.run("sync")

    entries = [item for item in deployment.mocks.ledger(CDP) if (item["schema"], item["mode"]) == (schema, mode)]
    assert [entry["outcome"] for entry in entries] == ["accepted"] * len(entries)
    assert len(entries) == {"migration": 1}.get(schema, 2)
    assert _stored(deployment, CHANGED_SCHEMA.get(schema, schema)) == STORED[schema, mode]


def test_guest_moved_to_itself_is_invalid(deployment: Deployment) -> None:
    _write(deployment.folder, HEAD + JOBS["migration", "guest"] + "    budget: {invalid: 1}\n")
    (deployment.folder / "moves.csv").write_text("id,to\nR1,R2\nR3,R3\n", encoding="utf-8")

    deployment.run("sync")

    [reject] = [item for item in deployment.json("rejects", "moves")["rejects"] if item["kind"] == "invalid"]
    assert (reject["field"], reject["code"]) == ("migrateTo", "differ")
    assert [item["schema"] for item in deployment.mocks.ledger(CDP)].count("migration") == 1


@pytest.mark.parametrize("name", ["out/a.csv", "out/a.parquet", "out/a.jsonl", "out/a.sqlite"])
def test_results_are_keyed_in_every_sink_and_replaced(deployment: Deployment, name: str) -> None:
    table = ", table: answers" if name.endswith("sqlite") else ""
    job = f"""  vehicles:
    source: {{path: vehicles.csv, key: id}}
    target: {{connection: motorweb, service: Vehicle ID WOVR Batch}}
    mode: lookup
    send: all
    record: {{vin: =vin}}
    results: {{path: {name}{table}}}
    budget: {{invalid: 1, rejected: 1}}
"""
    _write(deployment.folder, HEAD + job)

    deployment.run("sync")
    deployment.run("sync")

    keys = _keys(deployment.results(name))
    assert len(keys) == len(set(keys)) == 19
    assert {item["delivery"] for item in deployment.mocks.ledger(BDP)} == {1, 2}


def test_results_of_vendor_are_source_of_other_job(deployment: Deployment) -> None:
    chain = """  vehicles:
    source: {path: vehicles.csv, key: id}
    target: {connection: motorweb, service: Vehicle ID WOVR Batch}
    mode: lookup
    record: {vin: =vin}
    results: {path: out/answers.csv}
    budget: {rejected: 1, invalid: 1}
  owners:
    source: {job: vehicles, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, identifiers: [{provider: FLEET, id: =id}]}
"""
    _write(deployment.folder, HEAD + chain)

    deployment.run("sync")

    assert len(deployment.mocks.ledger(CDP)) == 19


def test_cancelled_batch_rows_are_sent_again(deployment: Deployment) -> None:
    job = """  vehicles:
    source: {path: vehicles.csv, key: id}
    target: {connection: motorweb, service: Vehicle ID WOVR Batch, scheduledDate: '2030-01-01T00:00:00Z'}
    mode: lookup
    record: {vin: =vin}
    results: {path: out/a.csv}
    budget: {invalid: 1, rejected: 20}
"""
    _write(deployment.folder, HEAD + job)
    deployment.run("sync", "--no-wait", expect=5)
    deployment.mocks.advance(600)

    deployment.run("cancel", "vehicles")
    deployment.run("resume")

    assert [batch["status"] for batch in deployment.mocks.batches(BDP)] == ["CANCELLED"]
    settlement = deployment.json("show", "vehicles")["runs"][0]["settlement"]
    assert (settlement["rejected"], settlement["accepted"], settlement["unknown"]) == (20, 0, 0)
    planned = deployment.json("plan", "vehicles")["jobs"][0]
    assert planned["add"] == 20


def test_guard_blocks_run_until_approved(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    guests = deployment.folder / "guests.csv"
    guests.write_text("\n".join(guests.read_text().splitlines()[:10]) + "\n", encoding="utf-8")
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text().replace("on_removed: delete", "on_removed: delete\n    guards: {max_remove: 5%}"))
    before = len(deployment.mocks.ledger(CDP))

    deployment.run("sync", "guests", expect=6)
    assert len(deployment.mocks.ledger(CDP)) == before
    assert deployment.json("show", "guests")["runs"][0]["settlement"]["deferred"] == 20

    deployment.run("approve", "guests", "--reason", "the shop closed")
    deployment.run("sync", "guests")

    assert [item["mode"] for item in deployment.mocks.ledger(CDP)[before:]] == ["delete"] * 20


def _stored(deployment: Deployment, kind: str) -> list[str]:
    """Return the sorted names of the objects of a kind that the vendor stores."""
    name = {
        "guest": lambda value: value["identifiers"][0]["id"],
        "order": lambda value: value["referenceId"],
        "tracking": lambda value: value["type"],
    }[kind]
    return sorted(name(item["value"]) for item in deployment.mocks.store(CDP) if item["kind"] == kind)


def _write(folder: Path, jobs: str) -> None:
    (folder / "jobs.yaml").write_text(jobs, encoding="utf-8")
    (folder / "rows.csv").write_text("id,email\nR1,one@example.com\nR2,two@example.com\n", encoding="utf-8")
    (folder / "moves.csv").write_text("id,to\nR1,R2\n", encoding="utf-8")


def _keys(path: Path) -> list[str]:
    """Return the keys in a results file of any sink."""
    match path.suffix:
        case ".csv":
            return pl.read_csv(path, infer_schema=False)["id"].to_list()
        case ".parquet":
            return pl.read_parquet(path)["id"].to_list()
        case ".jsonl":
            return pl.read_ndjson(path)["id"].to_list()
        case _:
            with closing(sqlite3.connect(path)) as connection:
                return [key for (key,) in connection.execute("SELECT id FROM answers")]
