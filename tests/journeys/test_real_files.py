"""The main job on real files with real data errors: 18,148 customers, 11,837 orders with items, 2,499 vehicles."""

from __future__ import annotations

import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from kit.deployment import BDP, CDP, Deployment

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(300)

#: Order numbers whose rows name two customers: invalid, because a record has one `contact`.
ORDERS_OF_TWO_CUSTOMERS = ["SO62019", "SO72019"]


@pytest.fixture
def real(deployment: Deployment) -> Deployment:
    """The deployment with the real files and the jobs.yaml for them."""
    shutil.copy(HERE / "real_jobs.yaml", deployment.folder / "jobs.yaml")
    adventureworks = DATA / "adventureworks"
    shutil.copy(adventureworks / "AdventureWorks_Customers.csv", deployment.folder / "customers.csv")
    shutil.copy(adventureworks / "AdventureWorks_Sales_2019.csv", deployment.folder / "sales.csv")
    shutil.copy(adventureworks / "AdventureWorks_Products.csv", deployment.folder / "products.csv")
    shutil.copy(DATA / "vehicles" / "usa_cars.csv", deployment.folder / "vehicles.csv")
    for name in ("customers.csv", "sales.csv", "products.csv", "vehicles.csv"):
        (deployment.folder / name).chmod(0o644)
    return deployment


def test_real_files_match_ledger_then_only_edits_are_sent(real: Deployment) -> None:
    real.run("sync", timeout=280)

    first = _equations(real)
    ledger = {vendor: real.mocks.ledger(vendor, values=vendor == CDP) for vendor in (BDP, CDP)}
    _check_against_ledger(first, ledger)
    assert first["guests"]["selected"] == 18_148
    assert (first["orders"]["selected"], first["orders"]["invalid"]) == (11_837, len(ORDERS_OF_TWO_CUSTOMERS))
    assert (first["vehicles"]["selected"], first["vehicles"]["superseded"]) == (2_499, 4)
    _check_values_of_guests(ledger[CDP])
    _check_items(ledger[CDP], real)
    answers = pl.read_parquet(real.results("out/vehicles.parquet"))
    assert answers.height == first["vehicles"]["accepted"]
    assert answers["lot"].n_unique() == answers.height

    real.run("sync", timeout=120)
    assert {vendor: len(real.mocks.ledger(vendor)) for vendor in (BDP, CDP)} == {
        vendor: len(entries) for vendor, entries in ledger.items()
    }, "an unchanged job sent something"

    edited, removed, added = _edit(real.folder / "customers.csv")
    planned = {item["job"]: item for item in real.json("plan")["jobs"]}["guests"]
    assert (planned["add"], planned["change"], planned["remove"]) == (len(added), len(edited), len(removed))

    real.run("sync", timeout=120)
    new_entries = real.mocks.ledger(CDP, values=True)[len(ledger[CDP]) :]
    sent = Counter((new["mode"], new["value"]["identifiers"][0]["id"]) for new in new_entries)
    assert sent == Counter([("upsert", key) for key in edited + added] + [("delete", key) for key in removed]), (
        "other rows than the edited ones were sent"
    )
    assert all(new["outcome"] == "accepted" for new in new_entries)


def _equations(real: Deployment) -> dict[str, dict[str, int]]:
    """Return the settlement of each job's last run."""
    settled = {item["job"]: item["settlement"] for item in real.json("show")["runs"]}
    names = ("unchanged", "accepted", "invalid", "rejected", "unknown", "deferred", "superseded")
    for job, item in settled.items():
        assert item["selected"] == sum(item.get(name, 0) for name in names), job
    return settled


def _check_against_ledger(settled: Mapping[str, Mapping[str, int]], ledger: Mapping[str, list[dict[str, Any]]]) -> None:
    """Compare the settlement of each job with the rows that the vendor received."""
    schema_of = {"guests": "guest", "orders": "order"}
    for job, schema in schema_of.items():
        own = [item for item in ledger[CDP] if item["schema"] == schema]
        outcomes = Counter(item["outcome"] for item in own)
        assert settled[job]["accepted"] == outcomes["accepted"]
        assert settled[job]["rejected"] == outcomes["rejected"]
        assert len({item["ref"] for item in own}) == len(own) == settled[job]["accepted"] + settled[job]["rejected"]
        assert settled[job]["unknown"] == settled[job]["deferred"] == 0
    outcomes = Counter(item["outcome"] for item in ledger[BDP])
    assert settled["vehicles"]["accepted"] == outcomes["accepted"]
    assert settled["vehicles"]["rejected"] == outcomes["rejected"]
    assert settled["vehicles"]["unknown"] == 0


def _check_values_of_guests(entries: list[dict[str, Any]]) -> None:
    """The byte order mark is not part of the first column's name, and accented characters arrive unchanged."""
    guests = [entry["value"] for entry in entries if entry["schema"] == "guest"]
    assert any(not name.isascii() for guest in guests for name in (guest["firstName"], guest["lastName"]))
    assert guests[0]["identifiers"][0]["id"] == "11000"
    assert guests[0]["title"] == "Mr"
    assert guests[0]["dateOfBirth"] == "1966-04-08T00:00Z"
    assert guests[0]["extensions"][0]["annualIncome"] == 90_000


def _check_items(entries: list[dict[str, Any]], real: Deployment) -> None:
    """Every order line of the source is in exactly one order at the vendor, and the order has their total."""
    orders = [entry["value"] for entry in entries if entry["schema"] == "order"]
    sent = Counter((order["referenceId"], item["productId"]) for order in orders for item in order["orderItems"])
    lines = pl.read_csv(real.folder / "sales.csv", infer_schema=False)
    products = pl.read_csv(real.folder / "products.csv", infer_schema=False)
    joined = lines.join(products, on="ProductKey", how="left")
    valid = joined.filter(~pl.col("OrderNumber").is_in(ORDERS_OF_TWO_CUSTOMERS))
    assert sent == Counter(valid.select("OrderNumber", "ProductSKU").iter_rows())
    totals: dict[str, Decimal] = {}
    for number, price, quantity in valid.select("OrderNumber", "ProductPrice", "OrderQuantity").iter_rows():
        totals[number] = totals.get(number, Decimal()) + Decimal(price) * Decimal(quantity)
    assert {order["referenceId"]: Decimal(str(order["price"])) for order in orders} == totals


def _edit(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Change ten customers, remove three, add five; return their keys."""
    head, *rows = path.read_text(encoding="utf-8-sig").splitlines()
    edited = [row.split(",")[0] for row in rows[100:110]]
    removed = [row.split(",")[0] for row in rows[200:203]]
    added = [str(90_000 + number) for number in range(5)]
    changed = [
        row.replace(",Bachelors,", ",Bachelors,").replace("@", ".new@", 1) if 100 <= number < 110 else row
        for number, row in enumerate(rows)
        if not 200 <= number < 203
    ]
    new_rows = [f'{key},MS.,NEW,PERSON,1/2/1980,S,F,new{key}@example.com,"$10,000 ",0,None,Clerical,N' for key in added]
    path.write_text("\n".join([head, *changed, *new_rows]) + "\n", encoding="utf-8")
    return edited, removed, added
