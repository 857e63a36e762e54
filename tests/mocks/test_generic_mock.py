"""The mock of a vendor of a folder, driven by the real command line; its ledger judges."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from batchsync_mocks import assert_matches_ledger
from kit.folder_vendors import VENDORS, deploy, write_things

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment

THINGS = {
    "A1": "good",
    "B2": "MOCK-REJECT",
    "C3": "MOCK-RETRY",
    "D4": "MOCK-UNPROCESSED",
    "E5": "MOCK-SILENT",
    "f6": "an id that the schema forbids",
    "G7": "good",
}


def counts_of(deployment: Deployment, *, expect: int = 0) -> dict[str, int]:
    """Sync; return the row counts that are not zero."""
    total = deployment.json("sync", expect=expect)["total"]
    return {name: count for name, count in total.items() if count}


def delivered(deployment: Deployment, name: str) -> Counter[str]:
    """Return the numbers of rows in the ledger by id and outcome."""
    entries = deployment.mocks.ledger(name, values=True)
    rows = [(entry.get("value") or entry["columns"], entry["outcome"]) for entry in entries]
    return Counter(f"{row.get('id')} {outcome}" for row, outcome in rows)


@pytest.mark.parametrize("name", VENDORS)
def test_every_row_outcome_of_a_vendor_in_yaml_alone(tmp_path: Path, name: str) -> None:
    deployment = deploy(tmp_path, name, THINGS)
    with deployment.mocks as mocks:
        mocks.switch(name, page_size=2)
        # A row that is in no answer is unknown to a vendor that returns results, and accepted to others.
        silent = {"unknown": 1, "accepted": 2} if name == "tables" else {"accepted": 3}
        found = counts_of(deployment, expect=8 if name == "tables" else 0)

        assert found.items() >= {"selected": 7, "invalid": 1, "rejected": 3, **silent}.items(), found
        assert_matches_ledger(deployment.json("show"), mocks.of(name), unknown=1)
        expected = {"A1 accepted", "B2 rejected", "C3 rejected", "D4 rejected", "E5 accepted", "G7 accepted"}
        assert delivered(deployment, name) == Counter(expected)
        assert [item["value"]["name"] for item in mocks.store(name)] == ["good", "MOCK-SILENT", "good"]
        pages = sum(request["path"].startswith("/_storage/errors") for request in mocks.requests())
        assert pages == {"acme": 0, "tables": pages, "feeds": 2}[name]
        codes = {entry["code"] for entry in mocks.ledger(name)}
        assert codes == {None, "INVALID", "busy" if name == "acme" else "BUSY"}

        write_things(tmp_path, {"A1": "good", "G7": "changed"})
        counts_of(deployment, expect=8 if name == "tables" else 0)

        assert delivered(deployment, name)["G7 accepted"] == 2
        assert delivered(deployment, name)["A1 accepted"] == 1
