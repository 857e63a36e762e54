"""`source.duplicates`: superseded rows are counted and listed, and touch no budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.ledger_check import assert_matches_ledger
from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {{client_key: "${{SITECORE_CLIENT_KEY}}", api_token: "${{SITECORE_API_TOKEN}}"}}
jobs:
  guests:
    source: {{path: rows.csv, key: id, duplicates: {policy}}}
    target: {{connection: sitecore, schema: guest}}
    mode: upsert
    record: {{guestType: customer, lastName: =name, identifiers: [{{provider: CRM, id: =id}}]}}
    guards: {{max_invalid: 0}}
"""


@pytest.mark.parametrize(("policy", "sent"), [("first", "Old"), ("last", "New"), ("{by: at}", "New")])
def test_superseded_rows_touch_no_budget_and_are_listed(deployment: Deployment, policy: str, sent: str) -> None:
    (deployment.folder / "jobs.yaml").write_text(JOBS.format(policy=policy), encoding="utf-8")
    rows = "id,name,at\nG1,Old,2026-01-01\nG2,Other,2026-01-01\nG1,New,2026-01-02\n"
    (deployment.folder / "rows.csv").write_text(rows, encoding="utf-8")
    [plan] = deployment.json("plan")["jobs"]
    assert (plan["superseded"], plan["invalid"], plan["within_budget"], plan["guards"]) == (1, 0, True, [])
    assert "+ superseded 1" in deployment.run("plan")
    assert "| superseded |" in deployment.run("-o", "md", "plan")

    shown = deployment.run("sync")

    assert "accepted 2 + invalid 0 + superseded 1" in shown
    assert "`batchsync rejects guests --kind superseded` lists them" in shown
    assert "budget" not in shown
    records = {entry["key"]: entry["value"]["lastName"] for entry in ledger(deployment)}
    assert records == {"G1": sent, "G2": "Other"}
    found = deployment.json("rejects", "guests")
    assert (found["total"], found["superseded"]) == (0, 1)
    [row] = deployment.json("rejects", "guests", "--kind", "superseded")["rejects"]
    loser = 3 if sent == "Old" else 1
    assert (row["kind"], row["key"], row["code"], row["source_row"]) == ("superseded", "G1", "duplicate_key", loser)
    assert "superseded" in deployment.run("why", "G1")
    assert_matches_ledger(deployment.json("show"), deployment.mocks.of(CDP))

    assert "unchanged 2" in deployment.run("sync")


def ledger(deployment: Deployment) -> list[dict[str, dict[str, str]]]:
    return [
        {"key": entry["value"]["identifiers"][0]["id"], "value": entry["value"]}
        for entry in deployment.mocks.ledger(CDP, values=True)
    ]
