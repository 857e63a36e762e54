"""The examples of the repository, run as their pages say, against the mocks of the test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_guests_events_and_migrations_are_sent_in_order_and_once(deployment: Deployment) -> None:
    shutil.copytree(EXAMPLES / "sitecore", deployment.folder, dirs_exist_ok=True)
    assert "total: 3 tests, 3 passed" in deployment.run("test")
    deployment.run("sync")
    store = deployment.mocks.store(CDP)
    events = [item["value"] for item in store if item["kind"] == "tracking"]
    assert [item["type"] for item in events] == ["SENT"] * 3
    assert [item["feedback"] for item in events if "feedback" in item] == [{"reasonCode": "PRICE_TOO_HIGH"}]
    guests = {item["value"]["identifiers"][0]["id"]: item["value"] for item in store if item["kind"] == "guest"}
    assert sorted(guests) == ["M1", "M2"], "the former account of M1 is retired"
    assert guests["M1"]["subscriptions"] == [{"name": "NEWSLETTER", "channel": "EMAIL", "status": "SUBSCRIBED"}]
    assert "subscriptions" not in guests["M2"]
    received = [entry["schema"] for entry in deployment.mocks.ledger(CDP)]
    assert received == ["guest"] * 3 + ["tracking"] * 3 + ["migration"]
    deployment.run("sync")
    assert len(deployment.mocks.ledger(CDP)) == len(received)
