"""Where tenants of Sitecore CDP differ: data model, identity rules and attributes, of a connection and of the mock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batchsync.app import App
from batchsync.settings import Settings
from kit.deployment import CDP
from kit.schemas import text_errors

if TYPE_CHECKING:
    from kit.deployment import Deployment

BASE_URL = "    base_url: https://api-engage-eu.sitecorecloud.io\n"
IDENTIFIERS = "      identifiers: [{provider: CRM, id: =id}]\n"
ATTRIBUTES = """\
version: 1
records:
  guest:
    extensions: {tier: string, points: integer, vip: boolean}
  order:
    orderItems.extensions: {seat: string}
"""
WITH_ATTRIBUTES = f"""{IDENTIFIERS}      extensions:
        - {{name: ext, key: default, tier: gold, points: =length(name), vip: true}}
"""


def configure(deployment: Deployment, **keys: str) -> None:
    """Add keys to the connection."""
    lines = "".join(f"    {name}: {value}\n" for name, value in keys.items())
    deployment.edit(BASE_URL, f"{BASE_URL}{lines}")


def guests_job(deployment: Deployment) -> None:
    """Leave only the job of guests, and two rows in its source."""
    deployment.edit("    on_removed: delete\n", "")
    (deployment.folder / "guests.csv").write_text("id,name,email\n1,ann,a@example.com\n2,bob,b@example.com\n", "utf-8")


def messages(deployment: Deployment) -> list[tuple[str, str]]:
    """Return message and detail of each record that the vendor rejected."""
    found = [entry for entry in deployment.mocks.ledger(CDP, values=True) if entry["outcome"] == "rejected"]
    return [(entry["message"], entry["detail"]) for entry in found]


def test_tenant_of_data_model_2_1_identifies_by_identifiers_only(deployment: Deployment) -> None:
    guests_job(deployment)
    deployment.mocks.switch(CDP, data_model="2.1")
    deployment.edit(IDENTIFIERS, "")
    # Without the setting, the data model of the tenant is unknown, and the vendor decides.
    deployment.run("validate", "guests")
    deployment.run("sync", "guests")
    assert messages(deployment) == [("Not enough identifying information", "needs identifiers")] * 2
    configure(deployment, data_model="2.1")
    deployment.run("validate", "guests", expect=2)
    assert "guest record lacks identifying members [BS-Y036]" in deployment.shown()
    assert "expected identifiers\n" in deployment.shown()
    deployment.edit(
        "      email: =lower(email)\n", f"      email: =lower(email)\n{IDENTIFIERS}    on_removed: delete\n"
    )
    deployment.run("sync", "guests")
    assert len(deployment.mocks.store(CDP)) == 2
    deployment.edit("data_model: 2.1", "data_model: 3")
    deployment.run("validate", expect=2)
    shown = deployment.shown()
    assert 'jobs.yaml:10:17: "data_model" cannot be "3" [BS-Y014]' in shown
    assert "    data_model: 3\n" in shown, "the line is shown, because a setting is no secret"
    assert "expected 2.0 or 2.1" in shown


def test_tenant_of_data_model_2_0_identifies_by_its_own_rules(deployment: Deployment) -> None:
    guests_job(deployment)
    rules = "[[identifiers], [firstName, lastName, dateOfBirth]]"
    deployment.mocks.switch(
        CDP, data_model="2.0", identity_rules=[["identifiers"], ["firstName", "lastName", "dateOfBirth"]]
    )
    configure(deployment, identity_rules=rules)
    deployment.run("validate", expect=2)
    assert '"identity_rules" needs "data_model: 2.0"' in deployment.shown()
    configure(deployment, data_model="2.0")
    # 2.0 has extensions of any name; an address alone is no identity here.
    free = "      extensions: [{name: loyalty, key: flyWithMe, tier: gold}]\n"
    deployment.edit(IDENTIFIERS, free)
    deployment.run("validate", expect=2)
    assert "expected identifiers or firstName and lastName and dateOfBirth" in deployment.shown()
    deployment.edit(free, f"{free}      lastName: =id\n      dateOfBirth: '1990-01-01T00:00Z'\n")
    deployment.run("sync", "guests")
    stored = [item["value"] for item in deployment.mocks.store(CDP)]
    assert [item["lastName"] for item in stored] == ["1", "2"]
    assert [item["extensions"][0]["name"] for item in stored] == ["loyalty"] * 2
    # The same person again is the same guest, by the rule.
    deployment.edit("=lower(email)", "=upper(email)")
    deployment.run("sync", "guests")
    assert len(deployment.mocks.store(CDP)) == 2
    deployment.edit("data_model: 2.0", "data_model: 2.00")
    deployment.run("validate", expect=2)
    assert "ambiguous unquoted value 2.00" in deployment.shown()
    assert "error: 1 problem" in deployment.shown(), "what follows from an invalid value is not reported"
    deployment.edit("data_model: 2.00", "data_model: 2.0")
    deployment.edit(rules, "[[identifiers], [firstNam]]")
    deployment.run("validate", expect=2)
    assert 'guest has no member "firstNam"' in deployment.shown()
    assert 'did you mean "firstName"?' in deployment.shown()


def test_undefined_attribute_is_known_before_sending_and_by_the_vendor(deployment: Deployment) -> None:
    guests_job(deployment)
    file = deployment.folder / "schema.yaml"
    file.write_text(ATTRIBUTES.replace("tier: string, ", ""), encoding="utf-8")
    content = {"version": 1, "records": {"guest": {"extensions": {"points": "integer", "vip": "boolean"}}}}
    deployment.mocks.switch(CDP, attributes=content)
    deployment.edit(IDENTIFIERS, WITH_ATTRIBUTES)
    # A connection without the file sends what its tenant does not have, and the vendor names each row.
    deployment.run("sync", "guests")
    assert messages(deployment) == [("Validation error", "Undefined attribute: extensions.tier")] * 2
    deployment.mocks.switch(CDP, undefined_attribute="Undefined attribute")
    configure(deployment, attributes="schema.yaml")
    requests = len(deployment.mocks.requests())
    deployment.run("validate", "guests", expect=2)
    shown = deployment.shown()
    assert 'the attributes file of the connection has no "tier" in "extensions" [BS-Y034]' in shown
    assert "expected points or vip" in shown
    deployment.run("sync", "guests", expect=2)
    assert len(deployment.mocks.requests()) == requests, "nothing was sent"
    file.write_text(ATTRIBUTES.replace("tier: string", "tier: integer"), encoding="utf-8")
    deployment.run("validate", expect=2)
    assert '"tier" is a string' in deployment.shown()
    file.write_text(ATTRIBUTES, encoding="utf-8")
    content["records"]["guest"]["extensions"]["tier"] = "string"
    deployment.mocks.switch(CDP, attributes=content)
    deployment.run("sync", "guests")
    assert len(deployment.mocks.store(CDP)) == 2
    assert deployment.mocks.store(CDP)[0]["value"]["extensions"][0]["points"] == 3, "an integer, as in the file"


def test_attributes_file_is_validated_with_places(deployment: Deployment) -> None:
    guests_job(deployment)
    configure(deployment, attributes="schema.yaml")
    deployment.run("validate", expect=2)
    assert 'jobs.yaml:10:17: "attributes": no such file' in deployment.shown()
    file = deployment.folder / "schema.yaml"
    for old, new, expected in (
        ("  guest:", "  gest:", "schema.yaml:3:3: records.gest: sitecore-cdp has no schema gest"),
        ("orderItems.ext", "items.ext", "schema.yaml:6:5: records.order.items.extensions: order has no attributes"),
        ("seat: string", "seat_no: string", "invalid attribute name"),
        ("seat: string", "seat: text", "unknown value"),
        ("version: 1", "version: 2", "schema.yaml:1:10"),
    ):
        assert old in ATTRIBUTES
        file.write_text(ATTRIBUTES.replace(old, new), encoding="utf-8")
        deployment.run("validate", expect=2)
        assert expected in deployment.shown(), deployment.shown()
    deployment.edit("attributes: schema.yaml", "attributes: [schema.yaml]")
    deployment.run("validate", expect=2)
    assert '"attributes" is a list' in deployment.shown()


def test_members_that_our_lists_lack_are_sent_if_a_job_says_so(deployment: Deployment) -> None:
    guests_job(deployment)
    file = deployment.folder / "schema.yaml"
    file.write_text(ATTRIBUTES, encoding="utf-8")
    more = (
        "      shoeSize: 44\n      pets: [{kind: cat, names: [=name]}]\n      emails: [=email]\n      phone: '+353'\n"
    )
    deployment.edit(IDENTIFIERS, WITH_ATTRIBUTES + more)
    configure(deployment, attributes="schema.yaml")
    deployment.run("validate", expect=2)
    assert 'guest has no member "shoeSize"' in deployment.shown()
    assert 'guest has no member "pets"' in deployment.shown()
    assert '"emails"' not in deployment.shown(), "a member that public payloads use is known"
    deployment.edit("    mode: upsert\n", "    mode: upsert\n    allow_unknown: true\n")
    deployment.run("sync", "guests")
    value = deployment.mocks.store(CDP)[0]["value"]
    assert (value["shoeSize"], value["pets"]) == (44, [{"kind": "cat", "names": ["ann"]}])
    assert (value["emails"], value["phone"]) == (["a@example.com"], "+353")
    # What the tenant does not have stays unknown.
    file.write_text(ATTRIBUTES.replace("tier: string, ", ""), encoding="utf-8")
    deployment.run("validate", expect=2)
    assert 'has no "tier" in "extensions"' in deployment.shown()


def test_attributes_file_is_fenced_and_watched(deployment: Deployment) -> None:
    guests_job(deployment)
    deployment.edit(IDENTIFIERS, WITH_ATTRIBUTES)
    configure(deployment, attributes="schema.yaml")
    file = deployment.folder / "schema.yaml"
    file.write_text(ATTRIBUTES, encoding="utf-8")
    schema = deployment.json("schema", "--jobs-file", "jobs.yaml")
    text = (deployment.folder / "jobs.yaml").read_text(encoding="utf-8")
    assert text_errors(text, json.dumps(schema)) == (), "the schema of the file accepts it, too"
    deployment.run("validate", "--untrusted", "guests")
    with App(Settings(file=deployment.folder / "jobs.yaml", mocks=True)) as app:
        app.jobs(["guests"])
        before = app.fingerprint()
        file.write_text(ATTRIBUTES.replace("tier: string, ", ""), encoding="utf-8")
        assert app.fingerprint() != before, "`serve` reads it again"
    outside = deployment.folder.parent / "outside.yaml"
    outside.write_text(ATTRIBUTES, encoding="utf-8")
    deployment.edit("attributes: schema.yaml", "attributes: ../outside.yaml")
    deployment.run("validate", "guests")
    deployment.run("validate", "--untrusted", "guests", expect=2)
    assert '"attributes" is outside of the folders' in deployment.shown()
    deployment.edit("attributes: ../outside.yaml", "attributes: /proc/self/environ")
    deployment.run("validate", expect=2)
    assert '"attributes" is below /proc' in deployment.shown()
