"""`scenarios:` played by `batchsync test`: a sync against the bundled mocks with faults, judged by the ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest

from batchsync.cli import scenarios
from batchsync.core.scenario import FAULT_KINDS
from batchsync.report.tests import SCENARIOS
from batchsync.spec.compile_scenarios import PROFILES
from batchsync.spec.models_scenarios import Kind
from batchsync_mocks import profiles
from batchsync_mocks.faults import KINDS
from kit.mapping_tests import GUESTS, TestFolder

if TYPE_CHECKING:
    from pathlib import Path

CHECKS = """\
checks:
  source: {path: cars.csv, key: id}
  target: {connection: motorweb, service: Vehicle ID WOVR Batch}
  mode: lookup
  record: {vin: =vin, plate: =plate, state: =state}
  results: {path: out/checks.csv}
"""
ROWS = "[{id: 1, email: a@example.com}, {id: 2, email: b@example.com}]"


@pytest.fixture
def folder(tmp_path: Path) -> TestFolder:
    return TestFolder(tmp_path)


def played(folder: TestFolder, scenario: str, *arguments: str, expect: int = 0) -> list[dict[str, Any]]:
    """Play a scenario, a YAML flow mapping without braces; return the differences."""
    folder.write(GUESTS, CHECKS, tail=f"scenarios:\n  - {{name: s, {scenario}}}\n")
    done = folder.run("-o", "json", "test", *arguments, expect=expect)
    (found,) = json.loads(done.stdout)["result"]["tests"]
    assert found["suite"] == SCENARIOS
    differences: list[dict[str, Any]] = found["differences"]
    return differences


@pytest.mark.parametrize(
    "faults",
    [
        "{kind: throttle, on: upload, nth: 1, times: 2}",
        "{kind: lose_answer, on: allocate}",
        "{kind: break_upload, on: upload}",
        "{kind: refuse, on: poll, times: 3}",
        "{kind: status, status: 502, on: find, chance: 0.5}",
    ],
)
def test_faults_are_survived_and_the_state_is_temporary(folder: TestFolder, faults: str) -> None:
    assert not played(
        folder, f"jobs: [guests], sources: {{guests: {ROWS}}}, faults: [{faults}], expect: {{accepted: 2, selected: 2}}"
    )
    assert sorted(item.name for item in folder.path.iterdir()) == ["jobs.yaml"]


def test_rejected_rows_and_results_of_a_lookup(folder: TestFolder) -> None:
    rows = "[{id: 1, vin: 1HGCM82633A000001}, {id: 2, vin: MCK40400000000001}, {id: 3}]"
    assert not played(
        folder,
        f"jobs: [checks], sources: {{checks: {rows}}}, faults: [{{kind: vanish, on: errors}}], "
        "expect: {exit: 4, accepted: 1, rejected: 1, invalid: 1}",
    )
    assert not (folder.path / "out").exists()


def test_file_as_source_and_wrong_expectations(folder: TestFolder) -> None:
    (folder.path / "few.csv").write_text("id,name,email\n1,a,a@example.com\n2,b,none\n")

    found = played(folder, "jobs: [guests], sources: {guests: few.csv}, expect: {accepted: 2}", expect=9)

    assert [(item["member"], item["expected"], item["actual"]) for item in found] == [
        ("exit", "0 (settled, or nothing to do)", found[0]["actual"]),
        ("accepted", "2", "1"),
    ]
    assert found[0]["actual"].startswith("4 (settled, with more invalid")


def test_a_vendor_that_never_finishes_ends_in_a_documented_state(folder: TestFolder) -> None:
    assert not played(
        folder,
        f"jobs: [guests], sources: {{guests: {ROWS}}}, profile: [never-finishes], expect: {{exit: 8, accepted: 0}}",
    )


def test_missing_source_is_a_difference(folder: TestFolder) -> None:
    found = played(folder, "jobs: [guests]", expect=9)

    assert "guests.csv" in found[1]["actual"]
    assert not played(folder, "jobs: [guests], expect: {exit: 3}")


def test_a_settlement_that_contradicts_the_ledger_fails() -> None:
    ledger = {"delivered": 2, "repeated": 0, "accepted": 2, "rejected": 0, "pending": 0, "unprocessed": 0}
    agrees = list(scenarios.against_ledgers((), {}, {"sitecore-cdp": dict.fromkeys(ledger, 0)}))
    assert agrees == []
    (found,) = scenarios.against_ledgers((), {}, {"sitecore-cdp": ledger})
    assert (found.path, found.expected, found.actual) == ("ledger of sitecore-cdp: accepted", "2", "0 settled")


def test_scenarios_can_be_left_out(folder: TestFolder) -> None:
    folder.write(GUESTS, CHECKS, tail="scenarios:\n  - {name: s, jobs: [guests], expect: {exit: 3}}\n")

    assert "no tests" in folder.run("test", "--no-scenarios").stdout
    assert "no tests" in folder.run("test", "checks").stdout
    assert "--untrusted starts no mocks" in folder.run("test", "--untrusted").stdout


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ("jobs: [gests]", 'unknown job "gests"'),
        ("sources: {gests: a.csv}", 'unknown job "gests"'),
        ("sources: a.csv", '"sources" is not a mapping'),
        ("profile: [flakey]", 'unknown fault profile "flakey"'),
        ("faults: [{kind: throtle}]", '"kind" cannot be "throtle"'),
        ("faults: [{kind: reset, on: uplod}]", '"on" cannot be "uplod"'),
        ("faults: [{kind: reset, nth: 0}]", '"nth" is out of bounds'),
        ("faults: [{kind: reset, chance: 2}]", '"chance" is out of bounds'),
        ("faults: [{kind: reset, on: commit}]", 'has no call "commit"'),
        ("expect: {acepted: 1}", 'unknown key "acepted"'),
        ("expect: {exit: -1}", '"exit" is out of bounds'),
        ("switches: {sitecore-cdp: 1}", '"switches" is no mapping by vendor'),
        ("about: x", 'unknown key "about"'),
    ],
)
def test_mistakes_are_reported_with_their_place(folder: TestFolder, scenario: str, message: str) -> None:
    folder.write(GUESTS, tail=f"scenarios:\n  - {{name: s, {scenario}}}\n")

    lines = folder.jobs.read_text().count("\n")
    problems = folder.problems()

    assert [(line, text) for line, text, _ in problems if message in text], problems
    assert all(line == lines for line, _, _ in problems)


def test_names_are_those_of_the_mocks() -> None:
    assert set(FAULT_KINDS) == set(KINDS)
    assert set(get_args(Kind)) == set(KINDS)
    assert list(PROFILES) == profiles.names()
