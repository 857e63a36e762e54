"""Whole syncs without a network to the vendors that are data alone: their folders have no line of Python."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchsync_mocks import Clock, Fault, serve
from kit.command_forks import command_forks
from kit.deployment import Deployment
from kit.schemas import output_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = Path(__file__).parents[2] / "examples"
JOBS = """\
version: 1
connections: {vendor: {vendor: FOLDER, BASE, credentials: CREDENTIALS}}
jobs:
  people:
    source: {path: people.csv, key: id}
    target: {connection: vendor, TARGET}
    mode: MODE
    record: RECORD
    budget: {rejected: 5, invalid: 5}
"""
#: names by key; a reserved name selects what the mock does with the row
PEOPLE = {
    "P1": "Ada",
    "P2": "MOCK-REJECT",
    "P3": "MOCK-UNPROCESSED",
    "P4": "MOCK-SILENT",
    "P5": "Grace",
}


@dataclass(frozen=True)
class DataVendor:
    """A vendor, a job that delivers to it, the counts of `PEOPLE`, and the call about which it cannot be asked.

    Without such a call, an empty row log leaves rows unknown.
    """

    name: str
    folder: Path
    job: Mapping[str, str]
    counts: Mapping[str, int]
    codes: Mapping[str, str]
    in_doubt: tuple[str, str, str] = ("", "", "")

    @property
    def lines(self) -> tuple[int, int]:
        """Numbers of lines of YAML and of Python in the folder."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and "starter" not in path.parts]
        counted = Counter(path.suffix for path in found for _ in path.read_text("utf-8").splitlines())
        assert set(counted) <= {".yaml", ".py"}, counted
        return counted[".yaml"], counted[".py"]

    def write_jobs(self, folder: Path) -> None:
        """Write jobs.yaml and its source."""
        text = JOBS.replace("FOLDER", self.name if self.folder.name == self.name else str(self.folder))
        for word, replacement in self.job.items():
            text = text.replace(word, replacement)
        (folder / "jobs.yaml").write_text(text, encoding="utf-8")
        rows = [f"{key},{name},{key.lower()}@example.com" for key, name in PEOPLE.items()]
        (folder / "people.csv").write_text("\n".join(["id,name,email", *rows]) + "\n", encoding="utf-8")


SALESFORCE = DataVendor(
    name="salesforce-bulk",
    folder=Path(str(files("batchsync_specs") / "salesforce-bulk")),
    job={
        "BASE": "base_url: https://example.my.salesforce.com",
        "CREDENTIALS": '{client_id: "${A}", client_secret: "${B}"}',
        "TARGET": "object: Contact, externalIdFieldName: Ext__c",
        "MODE": "upsert",
        "RECORD": "{Ext__c: =id, LastName: =name, Email: =email}",
    },
    # The vendor lists what it accepted: a row that is in no list is unknown.
    counts={"accepted": 2, "rejected": 2, "unknown": 1},
    codes={"P2": "INVALID", "P3": "unprocessed"},
)
AMAZON = DataVendor(
    name="amazon-sp-feeds",
    folder=Path(str(files("batchsync_specs") / "amazon-sp-feeds")),
    job={
        "BASE": "base_url: https://sellingpartnerapi-eu.amazon.com",
        "CREDENTIALS": '{client_id: "${A}", client_secret: "${B}", refresh_token: "${C}"}',
        "TARGET": "sellerId: S1, marketplace: M1",
        "MODE": "listings",
        "RECORD": (
            "{sku: =id, operationType: PARTIAL_UPDATE, productType: PRODUCT, attributes: {item_name: [{value: =name}]}}"
        ),
    },
    counts={"accepted": 3, "rejected": 2},
    codes={"P2": "INVALID", "P3": "INVALID"},
    in_doubt=("commit", "POST", "/feeds$"),
)
KLAVIYO = DataVendor(
    name="klaviyo",
    folder=EXAMPLES / "klaviyo" / "vendor",
    job={
        "BASE": "base_url: https://a.klaviyo.com",
        "CREDENTIALS": '{api_key: "${A}"}',
        "TARGET": "list: L1",
        "MODE": "import",
        "RECORD": "{external_id: =id, first_name: =name, email: =email}",
    },
    counts={"accepted": 3, "rejected": 2},
    codes={"P2": "INVALID", "P3": "INVALID"},
    in_doubt=("upload", "POST", "/profile-bulk-import-jobs$"),
)
VENDORS = [SALESFORCE, AMAZON, KLAVIYO]


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_offline_sync_accounts_for_every_row(tmp_path: Path, vendor: DataVendor) -> None:
    """`sync --mocks` starts a mock that is derived from the folder, which has no line of Python."""
    yaml, python = vendor.lines
    assert (yaml > 100, python) == (True, 0)
    vendor.write_jobs(tmp_path)

    total = _offline(tmp_path, "sync", "--mocks", expect=8 if "unknown" in vendor.counts else 0)["total"]

    assert {name: total[name] for name in ("accepted", "rejected", "unknown") if total[name]} == vendor.counts
    assert total["selected"] == len(PEOPLE)
    rejects = _offline(tmp_path, "rejects", "people", "--mocks")["rejects"]
    assert {item["key"]: item["code"] for item in rejects if item["kind"] == "rejected"} == vendor.codes
    unknown = [item["key"] for item in rejects if item["kind"] == "unknown"]
    assert unknown == ["P4"] * vendor.counts.get("unknown", 0)


#: The answer is lost, or a gateway refuses in the format of an API after the work was done.
DOUBTS = {
    "lost": {"kind": "lose_answer"},
    "refused": {"kind": "replace_answer", "status": 403, "text": '{"message": "Forbidden"}'},
}


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize("vendor", [AMAZON, KLAVIYO], ids=lambda vendor: vendor.name)
def test_rows_of_a_call_in_doubt_are_unknown_until_a_person_decides(
    tmp_path: Path, vendor: DataVendor, doubt: str
) -> None:
    vendor.write_jobs(tmp_path)
    verb, method, path = vendor.in_doubt
    clock = Clock("2026-01-01T00:00:00Z", frozen=True, auto=True)
    with serve([f"{vendor.name}={vendor.folder}"], clock=clock, seed=1) as mocks:
        deployment = Deployment(tmp_path, mocks)
        mocks.arm(Fault.from_json({"vendor": vendor.name, "method": method, "path": path, **DOUBTS[doubt]}))

        total = deployment.json("sync", expect=8)["total"]
        deployment.json("sync", expect=8)
        deployment.json("resume", expect=8)

        assert (total["unknown"], total["accepted"]) == (len(PEOPLE), 0)
        (parked,) = deployment.json("status", expect=8)["open"]
        assert (parked["phase"], parked["in_doubt"]) == ("needs_attention", verb)
        # The vendor has it once, and nothing is sent again before a person says so.
        assert Counter(_sent(deployment, vendor)) == Counter([*PEOPLE])
        deployment.run("resolve", parked["batch"], "--resend", "--reason", "the vendor did not import it")
        assert deployment.json("sync")["total"]["accepted"] == vendor.counts["accepted"]
        assert Counter(_sent(deployment, vendor)) == Counter([*PEOPLE, *PEOPLE])


def _sent(deployment: Deployment, vendor: DataVendor) -> list[str]:
    """Return the key of each row in the ledger."""
    entries = deployment.mocks.ledger(vendor.name, values=True)
    columns = [entry["columns"] for entry in entries]
    return [item.get("sku") or item["external_id"] for item in columns]


def _offline(folder: Path, *arguments: str, expect: int = 0) -> Any:
    """Run batchsync without any running mock; return the result part of its JSON output."""
    environ = {**os.environ, "NO_COLOR": "1"}
    done = command_forks().run(["-o", "json", *arguments], cwd=folder, environ=environ, timeout=120)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert output_errors(done.stdout) == [], done.stdout
    return json.loads(done.stdout)["result"]
