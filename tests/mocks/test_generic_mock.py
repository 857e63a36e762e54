"""The mock of a vendor of a folder, driven by the real command line; its ledger judges."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pytest
import requests

from batchsync_mocks import Clock, Fault, assert_matches_ledger, serve
from kit.deployment import Deployment
from kit.folder_vendors import START, VENDORS, deploy, write_jobs, write_things, write_vendor

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync_mocks import Running

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


@pytest.mark.parametrize("name", ["salesforce-bulk", "amazon-sp-feeds"])
def test_starter_of_a_bundled_vendor_without_a_mock_of_its_own(tmp_path: Path, name: str) -> None:
    """The specs follow what the vendors document; no line of the mock knows these vendors."""
    starter = files("batchsync_specs") / name / "starter"
    parts = {part: indent((starter / f"{part}.yaml").read_text("utf-8"), "  ") for part in ("connection", "job")}
    jobs = f"version: 1\nconnections:\n{parts['connection']}jobs:\n{parts['job']}    budget: {{rejected: 1}}\n"
    (tmp_path / "jobs.yaml").write_text(jobs, encoding="utf-8")
    (tmp_path / "data").mkdir()
    for file in (file for file in starter.iterdir() if file.name.endswith(".csv")):
        first, *rest = file.read_text("utf-8").splitlines()
        rejected = "MOCK-REJECT," + rest[0].partition(",")[2]
        (tmp_path / "data" / file.name).write_text("\n".join([first, *rest, rejected]) + "\n", encoding="utf-8")
    with serve([f"{name}={starter / '..'}"], clock=Clock(START, frozen=True, auto=True)) as mocks:
        found = counts_of(Deployment(tmp_path, mocks))

        assert (found["accepted"], found["rejected"]) == (len(rest), 1)
        assert_matches_ledger(tmp_path / ".batchsync", mocks.of(name))
        assert len(mocks.store(name)) == len(rest)


@pytest.mark.parametrize(("name", "seed"), [("acme", 3), ("tables", 2)])
def test_faults_apply_no_row_twice(tmp_path: Path, name: str, seed: int) -> None:
    folder = write_vendor(tmp_path, name)
    clock = Clock(START, frozen=True, auto=True)
    with serve([str(folder)], clock=clock, seed=seed, profile="storm") as mocks:
        deployment = deploy(tmp_path, name, {"A1": "good", "B2": "MOCK-REJECT", "C3": "good"}, mocks)
        deployment.run("sync")

        assert sum(fault["hits"] for fault in mocks.faults()) > 0
        assert delivered(deployment, name) == Counter({"A1 accepted", "B2 rejected", "C3 accepted"})
        assert_matches_ledger(deployment.json("show"), mocks.of(name))


@pytest.mark.parametrize("path", ["/jobs/[^/]+$", "/content$"])
def test_killed_sync_and_killed_mock_resume(tmp_path: Path, path: str) -> None:
    """The client dies while the mock processes a request; the mock is stopped while the batch waits."""
    folder, state = write_vendor(tmp_path, "acme"), tmp_path / "mocks"
    with serve([str(folder)], clock=Clock(START, frozen=True), seed=1, state_dir=state) as mocks:
        deployment = deploy(tmp_path, "acme", {"A1": "good", "B2": "MOCK-REJECT"}, mocks)
        deployment.kill_during("acme", "PUT", path, "sync", hold=0.3)
        deployment.run("sync", "--no-wait", expect=5)
        before = mocks.snapshot()
        # A file whose upload is in doubt may have arrived or not.
        assert {entry["outcome"] for entry in mocks.ledger("acme")} <= {"pending"}
    with serve([str(folder)], state_dir=state) as mocks:
        deployment = Deployment(tmp_path, mocks)
        deployment.run("resume")

        assert delivered(deployment, "acme") == Counter({"A1 accepted", "B2 rejected"})
        assert_matches_ledger(tmp_path / ".batchsync", mocks.of("acme"))
        assert [item["value"] for item in mocks.store("acme")] == [{"id": "A1", "name": "good"}]
        mocks.restore(io.BytesIO(before))
        assert {entry["outcome"] for entry in mocks.ledger("acme")} <= {"pending"}


def test_sync_with_mocks_starts_the_mock_of_a_folder(tmp_path: Path) -> None:
    write_jobs(write_vendor(tmp_path, "feeds").parent, "feeds", {"A1": "good", "B2": "MOCK-REJECT"})
    command = [sys.executable, "-m", "batchsync", "-o", "json", "sync", "--mocks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    total = json.loads(done.stdout)["result"]["total"]
    assert (total["accepted"], total["rejected"]) == (1, 1)


@dataclass
class Acme:
    """The mock of acme, as a client sees it."""

    mocks: Running

    def send(self, method: str, path: str, expect: int, *, key: str = "", **body: Any) -> Any:
        """Send a request; return the JSON of the answer, or its bytes."""
        key = key or self.mocks.credentials("acme")["token"]
        url = path if path.startswith("http") else self.mocks.url + path
        found = requests.request(method, url, headers={"Authorization": f"Bearer {key}"}, timeout=10, **body)
        assert found.status_code == expect, found.text
        return found.json() if found.headers["Content-Type"] == "application/json" else found.content

    def allocate(self, key: str, expect: int = 200) -> Any:
        """Send an allocate call."""
        body = {"import": {"operation": "upsert", "size": 1}}
        return self.send("PUT", f"/jobs/{key}", expect, json=body)


def test_requests_that_the_vendor_spec_does_not_have_are_refused(tmp_path: Path) -> None:
    with serve([str(write_vendor(tmp_path, "acme"))], clock=Clock(START, frozen=True), seed=1) as mocks:
        acme = Acme(mocks)
        acme.send("GET", "/jobs?limit=1", 200)
        acme.send("GET", "/jobs?limit=1", 401, key="another")
        acme.send("GET", "/jobs", 404)
        acme.send("GET", "/other", 404)
        acme.send("DELETE", "/jobs/k1", 405)
        assert "import.size" in acme.send("PUT", "/jobs/k1", 400, json={"import": {"operation": "upsert"}})["message"]
        job = acme.allocate("k1")["job"]["id"]
        acme.allocate("k1", 409)
        assert acme.send("GET", "/jobs/k1", 200)["job"] == {"id": job, "state": "Open"}
        acme.send("PATCH", f"/jobs/{job}", 409, json={"state": "Complete"})
        acme.send("PATCH", f"/jobs/{job}", 400, json={"state": "Unknown"})
        lines = [{"op": "upsert", "meta": {"key": key}, "kind": "thing/1", "id": key} for key in ("A", "b")]
        text = "\n".join(map(json.dumps, [*lines, {"op": "upsert"}]))
        acme.send("PUT", f"/jobs/{job}/content", 200, data=gzip.compress(text.encode()))
        acme.send("PATCH", f"/jobs/{job}", 200, json={"state": "Complete"})
        acme.send("PATCH", f"/jobs/{job}", 409, json={"state": "Complete"})
        acme.send("PATCH", f"/jobs/{job}", 409, json={"state": "Aborted"})
        acme.send("PUT", f"/jobs/{job}/content", 409, data=b"another file")
        acme.send("GET", f"/jobs/{job}/errors", 404)
        mocks.advance(60)

        assert acme.send("GET", f"/jobs/{job}", 200)["job"]["state"] == "Partly"
        log = [json.loads(line) for line in gzip.decompress(acme.send("GET", f"/jobs/{job}/errors", 200)).splitlines()]
        assert [(line["meta"]["key"], line["message"]) for line in log] == [
            ("b", "id must match ^[A-Z]"),
            ("", "the envelope has another meta"),
        ]
        rows = requests.get(f"{mocks.url}/_mock/rows?batch={job}", headers=mocks.control_headers, timeout=10).json()
        assert [row["outcome"] for row in rows["rows"]] == ["accepted", "rejected", "rejected"]
        assert (
            "id must match"
            in requests.get(f"{mocks.url}/_mock/rows?format=html", headers=mocks.control_headers, timeout=10).text
        )
        other = acme.allocate("k2")["job"]["id"]
        acme.send("PATCH", f"/jobs/{other}", 200, json={"state": "Aborted"})
        assert [batch["status"] for batch in mocks.batches("acme")] == ["Partly", "Gone"]
        for kind, status in (("vanish", 404), ("deny", 401), ("throttle", 429), ("expire", 403)):
            mocks.arm(Fault(kind=kind))
            assert requests.get(mocks.url, timeout=10).status_code == status


@pytest.mark.parametrize(("end", "code"), [("refused", 0), ("never", 5), ("expired", 0)])
def test_switch_ends_batches_otherwise(tmp_path: Path, end: str, code: int) -> None:
    deployment = deploy(tmp_path, "acme", {"A1": "good"})
    with deployment.mocks as mocks:
        mocks.switch("acme", end=end)
        deployment.run("sync", *(["--no-wait"] if end == "never" else []), expect=code)

        assert mocks.ledger("acme")[0]["outcome"] == ("pending" if end == "never" else "unprocessed")
        assert not mocks.store("acme")


def test_incomplete_folder_is_reported(tmp_path: Path) -> None:
    folder = write_vendor(tmp_path, "acme")
    (folder / "vendor.yaml").write_text("name: acme\ncalls: []\n", encoding="utf-8")
    for vendors, problem in (
        ([str(folder)], "lacks 'connection'"),
        ([str(tmp_path / "other")], "cannot be read: No such file"),
        (["acme"], "Unknown vendor acme"),
        (["sitecore-cdp", f"sitecore-cdp={folder}"], "named twice"),
    ):
        with pytest.raises(ValueError, match=problem):
            serve(vendors)
