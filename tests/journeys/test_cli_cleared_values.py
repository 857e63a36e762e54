"""Values that become empty stay at Sitecore: plan and sync count the records and say which members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${SITECORE_CLIENT_KEY}", api_token: "${SITECORE_API_TOKEN}"}
jobs:
  guests:
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      lastName: =name
      phoneNumbers: [=phone]
      identifiers: [{provider: CRM, id: =id}]
"""
LOST = 'lost a value that the target keeps ("lastName", "phoneNumbers")'


def test_records_that_lost_a_value_are_counted(deployment: Deployment) -> None:
    (deployment.folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    source = deployment.folder / "rows.csv"
    source.write_text("id,name,phone\n1,Ann,+1\n2,Bob,+2\n3,Cyd,\n4,Dan,+4\n", encoding="utf-8")
    deployment.run("sync")
    source.write_text("id,name,phone\n1,,\n2,Bob,\n3,Dea,\n4,,+4\n", encoding="utf-8")

    [plan] = deployment.json("plan")["jobs"]
    assert plan["warnings"] == {LOST: 3}
    assert f"{LOST}: 3 records" in deployment.run("plan")
    assert f"{LOST}: 3 records" in deployment.run("sync")

    sent = {
        entry["value"]["identifiers"][0]["id"]: entry["value"] for entry in deployment.mocks.ledger(CDP, values=True)
    }
    assert "lastName" not in sent["1"]
    assert "phoneNumbers" not in sent["2"]
    assert deployment.json("plan")["jobs"][0]["warnings"] == {}
