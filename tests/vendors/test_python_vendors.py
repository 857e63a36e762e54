"""Vendors implemented by a Python package with an entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """
version: 1
name: acme
title: Acme's drop folder
source: assumed
connection:
  source: assumed
  base_url: https://acme.example.com
  api_hosts: [acme.example.com]
  storage_hosts: []
  credentials: [folder]
  account: folder
target: {keys: {schema: optional}, default_schema: thing, source: assumed}
modes: {sends: {upsert: records, delete: removals}, source: assumed}
file:
  format: jsonl
  gzip: true
  suffix: .gz
  bytes_max: 1000000
  envelope: {ref: "{ref}", value: "{record}"}
  source: assumed
policy:
  on_unknown_allocation: ask
  ask_after: 1s
  poll_first: 1s
  poll_max: 1s
  poll_growth: 1
  deadline: 1h
  in_flight_max: 2
  source: assumed
row_log:
  joined_by: ref
  default_outcome: accepted
  results: false
  errors: {format: jsonl, ref: ref, code: code, message: message}
  source: assumed
statuses: {}
"""
THING = """
version: 1
name: thing
source: assumed
modes: [upsert, delete]
fields:
  name: {kind: string, required_in: [upsert], source: assumed}
"""
CODE = """
import gzip, json, pathlib
from batchsync.core.batch import Allocation, Verdict
from batchsync.ports import Downloads, Empty, Finished, TargetFacts

class Acme:
    def __init__(self, folder): self.folder = pathlib.Path(folder)
    def describe(self, target, mode=""): return TargetFacts()
    def allocate(self, idempotency_key, file, params):
        (self.folder / idempotency_key).mkdir()
        return Allocation(id=idempotency_key, url="file:" + idempotency_key)
    def find(self, idempotency_key, params):
        return Allocation(id=idempotency_key, url="file:") if (self.folder / idempotency_key).exists() else None
    def upload(self, allocation, file):
        (self.folder / allocation.id / "file").write_bytes(pathlib.Path(file.path).read_bytes())
    def poll(self, allocation):
        uploaded = (self.folder / allocation.id / "file").exists()
        return Finished(verdict=Verdict.MIXED, vendor_status="done") if uploaded else Empty(vendor_status="empty")
    def collect(self, allocation, verdict, into):
        lines = gzip.decompress((self.folder / allocation.id / "file").read_bytes()).splitlines()
        refs = [json.loads(line)["ref"] for line in lines]
        log = into / "errors.jsonl"
        log.write_text(json.dumps({"ref": refs[0], "code": "7", "message": "invalid name"}) + "\\n")
        return Downloads(errors=log)
    def cancel(self, allocation): raise AssertionError

def connect(rules, *, base_url, credentials, ca_bundle, clock, user_agent):
    return Acme(credentials["folder"])
"""
JOBS = """
version: 1
connections: {acme: {vendor: acme, credentials: {folder: "${ACME_FOLDER}"}}}
jobs:
  things:
    source: {path: things.csv, key: id}
    target: {connection: acme}
    mode: upsert
    record: {name: =name}
    budget: {rejected: 1}
"""


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """Return the site folder of an installed package that implements a vendor."""
    site = tmp_path / "site"
    package = site / "acme_batchsync"
    (package / "records").mkdir(parents=True)
    (package / "__init__.py").write_text(CODE, encoding="utf-8")
    (package / "vendor.yaml").write_text(SPEC, encoding="utf-8")
    (package / "records" / "thing.yaml").write_text(THING, encoding="utf-8")
    about = site / "acme_batchsync-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-batchsync\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[batchsync.vendors]\nacme = acme_batchsync:connect\n", encoding="utf-8")
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    (tmp_path / "things.csv").write_text("id,name\n1,one\n2,two\n3,three\n", encoding="utf-8")
    (tmp_path / "drop").mkdir()
    return site


def _batchsync(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "ACME_FOLDER": str(folder / "drop")}
    command = [sys.executable, "-m", "batchsync", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_vendor_of_package_is_used_and_its_run_is_settled(tmp_path: Path, acme: Path) -> None:
    done = _batchsync(tmp_path, acme, "-o", "json", "sync")

    assert done.returncode == 0, done.stderr
    settlement = json.loads(done.stdout)["result"]["jobs"][0]["runs"][0]["settlement"]
    assert (settlement["selected"], settlement["accepted"], settlement["rejected"]) == (3, 2, 1)
    assert len(list((tmp_path / "drop").iterdir())) == 1
    again = _batchsync(tmp_path, acme, "sync")
    assert again.returncode == 0, again.stderr
    assert len(list((tmp_path / "drop").iterdir())) == 1, "a second sync sends nothing"


@pytest.mark.parametrize("key", ["proxy: http://proxy.example:3128", "storage_hosts: [files.acme.example]"])
def test_network_settings_of_package_are_refused(tmp_path: Path, acme: Path, key: str) -> None:
    """The package makes its requests itself: a proxy that is not used would be worse than none."""
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(JOBS.replace("{vendor: acme,", "{vendor: acme, " + key + ","), encoding="utf-8")
    done = _batchsync(tmp_path, acme, "validate")
    assert done.returncode == 2, done.stderr
    assert "acme is a Python package, which makes its requests itself" in done.stderr


def test_package_with_import_error_is_named_and_sends_nothing(tmp_path: Path, acme: Path) -> None:
    (acme / "acme_batchsync" / "__init__.py").write_text("import no_such_module\n", encoding="utf-8")
    done = _batchsync(tmp_path, acme, "sync")

    assert done.returncode == 3, done.stderr
    assert "acme_batchsync:connect: ModuleNotFoundError" in done.stderr
    assert not list((tmp_path / "drop").iterdir())


def test_package_without_vendor_spec_is_reported(tmp_path: Path, acme: Path) -> None:
    (acme / "acme_batchsync" / "vendor.yaml").unlink()
    done = _batchsync(tmp_path, acme, "validate")

    assert done.returncode == 2, done.stderr
    assert "has no vendor.yaml next to acme_batchsync" in done.stderr


def test_validation_runs_no_code_of_package(tmp_path: Path, acme: Path) -> None:
    (acme / "acme_batchsync" / "__init__.py").write_text("raise SystemExit('it ran')\n", encoding="utf-8")

    assert _batchsync(tmp_path, acme, "validate").returncode == 0
