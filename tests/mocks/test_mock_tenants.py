"""Switches that make the Sitecore mock a tenant of a data model, with identity rules and attributes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mock_clients import SITECORE, SitecoreClient, named, order, record

import batchsync_mocks

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync_mocks import Running

ATTRIBUTES = {
    "version": 1,
    "records": {
        "guest": {"extensions": {"tier": "string", "points": "integer", "rate": "number", "vip": "boolean"}},
        "order": {"orderItems.extensions": {"seat": "string"}},
    },
}


def guest(**value: Any) -> dict[str, Any]:
    return record("guest", "upsert", **{"identifiers": named("1"), **value})


def extended(**attributes: Any) -> dict[str, Any]:
    return guest(extensions=[{"name": "ext", "key": "default", **attributes}])


def messages(log: list[dict[str, Any]]) -> list[str]:
    return [entry["message"] for entry in log]


def test_data_model_decides_identity_and_names_of_extensions(mocks: Running, sitecore: SitecoreClient) -> None:
    by_email = record("guest", "upsert", email="a@example.com")
    named_freely = guest(extensions=[{"name": "loyalty", "key": "flyWithMe", "tier": "gold"}])
    bought = record("order", "insert", **order(contact={"email": "a@example.com"}))
    assert messages(sitecore.submit(by_email, bought, named_freely)) == ["Validation error"]
    mocks.switch(SITECORE, data_model="2.1")
    not_enough = "Not enough identifying information"
    assert messages(sitecore.submit(by_email, bought, named_freely)) == [not_enough, not_enough, "Validation error"]
    removal = record("guest", "delete", email="a@example.com")
    assert messages(sitecore.submit(removal)) == ["Not Enough Identifying Info"]
    mocks.switch(SITECORE, data_model=2.0)
    assert sitecore.submit(by_email, bought, named_freely, removal) == []
    assert messages(sitecore.submit(guest(extensions=[{"name": "", "key": "a"}]))) == ["Validation error"]


def test_identity_rules_of_a_tenant_of_2_0(mocks: Running, sitecore: SitecoreClient) -> None:
    person = {"firstName": "Ann", "lastName": "Sample", "dateOfBirth": "1990-01-01T00:00Z"}
    mocks.switch(
        SITECORE, data_model="2.0", identity_rules=[["firstName", "lastName", "dateOfBirth"], ["phoneNumbers"]]
    )
    first = record("guest", "upsert", **person, city="Dublin")
    again = record("guest", "upsert", **{**person, "firstName": "ANN"}, state="Leinster")
    other = record("guest", "upsert", **{**person, "firstName": "Eve"})
    by_phone = record("guest", "upsert", phoneNumbers=["+353"])
    assert sitecore.submit(first, again, other, by_phone) == []
    values = [item["value"] for item in mocks.store(SITECORE)]
    assert len(values) == 3
    assert (values[0]["city"], values[0]["state"]) == ("Dublin", "Leinster"), "the same person by the rule"
    by_name = record("guest", "upsert", firstName="Ann", lastName="Sample")
    by_email = record("guest", "upsert", email="a@example.com")
    assert len(sitecore.submit(by_name, by_email, guest())) == 3, "only the rules of the tenant count"
    assert sitecore.submit(record("guest", "delete", **person)) == []
    assert len(mocks.store(SITECORE)) == 2
    mocks.switch(SITECORE, data_model="2.1")
    assert sitecore.submit(guest()) == [], "2.1 has no rules of its own"


def test_undefined_attribute_and_other_type_are_rejected_by_row(mocks: Running, sitecore: SitecoreClient) -> None:
    mocks.switch(SITECORE, attributes=ATTRIBUTES)
    good = extended(tier="gold", points=3, rate=1.5, vip=True)
    assert sitecore.submit(good, extended(rate=2)) == []
    wrong = [extended(tier=1), extended(points=1.5), extended(vip="yes"), extended(rate=True), extended(colour="red")]
    assert messages(sitecore.submit(*wrong)) == ["Validation error"] * 5
    details = [item["detail"] for item in mocks.ledger(SITECORE) if item["outcome"] == "rejected"]
    assert details[-2:] == ["Incorrect data type: extensions.rate", "Undefined attribute: extensions.colour"]
    mocks.switch(SITECORE, undefined_attribute="Undefined attribute")
    item = {"extensions": [{"name": "ext", "key": "default", "row": "9"}]}
    bought = record(
        "order", "upsert", **order(orderItems=[item], extensions=[{"name": "ext", "key": "default", "a": 1}])
    )
    assert messages(sitecore.submit(extended(colour="red"), bought)) == ["Undefined attribute"] * 2
    assert mocks.ledger(SITECORE)[-1]["detail"] == "Undefined attribute: orderItems.extensions.row"


@pytest.mark.parametrize(
    "given",
    [
        {"data_model": "3.0"},
        {"data_model": 3},
        {"identity_rules": []},
        {"identity_rules": [["email"], []]},
        {"identity_rules": "email"},
        {"attributes": {"guest": {}}},
        {"attributes": {"version": 1, "records": {"guest": {"extensions": {"tier": "text"}}}}},
        {"attributes": "schema.yaml"},
    ],
)
def test_invalid_tenant_is_refused(mocks: Running, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="switch"):
        mocks.switch(SITECORE, **given)


def test_attributes_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "schema.yaml"
    file.write_text("version: 1\nrecords:\n  guest:\n    extensions: {tier: string}\n", encoding="utf-8")
    ready = tmp_path / "ready.json"
    switches = [f"--switch=sitecore-cdp.attributes=@{file}", "--switch=sitecore-cdp.data_model=2.1"]
    command = [sys.executable, "-m", "batchsync_mocks", SITECORE, "--ready-file", str(ready), "--exit-with-stdin"]
    done = subprocess.run([*command, *switches], input="", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(ready.read_text(encoding="utf-8"))["vendors"]
    file.write_text("version: 1\nrecords: [guest\n", encoding="utf-8")
    done = subprocess.run([*command, *switches], input="", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    missing = [*command, f"--switch=sitecore-cdp.attributes=@{tmp_path}/none.yaml"]
    done = subprocess.run(missing, input="", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "none.yaml" in done.stderr
    with pytest.raises(ValueError, match="attributes"):
        batchsync_mocks.serve(switches={SITECORE: {"attributes": {}}})
