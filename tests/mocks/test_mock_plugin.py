"""pytest plugin: fixtures, marker, and comparison of row counts with the ledger."""

from __future__ import annotations

import importlib.metadata
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mock_clients import MOTORWEB, SITECORE, MotorwebClient, SitecoreClient, named, packed, record

from batchsync_mocks import assert_matches_ledger, serve
from batchsync_mocks.ledger import LedgerEntry
from kit.folder_vendors import write_vendor

if TYPE_CHECKING:
    from batchsync_mocks import Running

INSTALLED = any(point.name == "batchsync_mocks" for point in importlib.metadata.entry_points(group="pytest11"))

USERS_TESTS = """
import pytest, requests
from batchsync_mocks.pytest_plugin import assert_matches_ledger

def ask(mock):
    return requests.get(f"{mock.url}/v2/batches/inspect", auth=tuple(mock.credentials.values()), timeout=10)

def test_a_fresh_mock(sitecore_cdp, motorweb_bdp):
    assert ask(sitecore_cdp).json()["totalCount"] == 0
    assert sitecore_cdp.clock.report()["auto"] is True
    assert motorweb_bdp.clock is sitecore_cdp.clock
    assert sitecore_cdp.environ()["BATCHSYNC_MOCKS"] == "1"
    sitecore_cdp.switch(allocate_status=201)
    assert callable(assert_matches_ledger)

def test_another_fresh_mock(sitecore_cdp):
    assert sitecore_cdp.running.switches("sitecore-cdp").allocate_status == 200

@pytest.mark.batchsync_faults("throttle", seed=3, switches={"sitecore-cdp": {"stats": True}})
def test_under_faults(sitecore_cdp):
    assert 429 in {ask(sitecore_cdp).status_code for _ in range(20)}
    assert sitecore_cdp.running.seed == 3
    assert sitecore_cdp.running.switches("sitecore-cdp").stats is True

@pytest.mark.batchsync_faults("throttle", seed=3)
def test_a_folder(vendor_mock):
    acme = vendor_mock("./acme")
    assert (acme.name, acme.running.seed, acme.clock.report()["auto"]) == ("acme", 3, True)

@pytest.mark.batchsync_faults("storm", seed=3)
def test_that_fails(sitecore_cdp):
    assert False
"""


def test_plugin_provides_fixtures_marker_and_seed_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "test_users.py").write_text(USERS_TESTS)
    write_vendor(tmp_path, "acme")
    named_plugin = [] if INSTALLED else ["-p", "batchsync_mocks.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", *named_plugin, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "profile storm, seed 3" in done.stdout


def test_importing_the_plugin_imports_nothing_else() -> None:
    code = (
        "import pytest, sys; before = set(sys.modules); import batchsync_mocks.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert modules.strip() == "['batchsync_mocks', 'batchsync_mocks.pytest_plugin']"


def test_mock_writes_its_ready_file_and_ends_with_its_standard_input(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "batchsync_mocks", "--ready-file", str(ready), "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert ready.exists()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def delivered(mocks: Running) -> tuple[str, str]:
    """Send two valid rows and an invalid row to each vendor, and process them; return the ids of the batches."""
    motorweb, sitecore = MotorwebClient(mocks), SitecoreClient(mocks)
    motorweb_batch = motorweb.send(b"vin\n1HGCM82633A004352\n1HGCM82633A004353\nbad\n")
    guests = [record("guest", "upsert", identifiers=named(str(number))) for number in range(2)]
    sitecore_batch = sitecore.send(packed(*guests, record("guest", "delete", identifiers=named("unknown"))))
    mocks.advance(600)
    return motorweb_batch, sitecore_batch


def settled_run(
    allocation_id: str, accepted: int = 2, rejected: int = 1, unknown: int = 0, job: str = "a"
) -> dict[str, Any]:
    counts = {"accepted": accepted, "rejected": rejected, "unknown": unknown}
    equation = {"selected": 5, "unchanged": 1, "invalid": 1, "deferred": 0, **counts}
    equation["selected"] = 2 + accepted + rejected + unknown
    return {"job": job, "equation": equation, "batches": [{"allocation": allocation_id, "counts": counts}]}


def test_balanced_counts_are_accepted_in_every_form(mocks: Running, tmp_path: Path) -> None:
    motorweb_batch, sitecore_batch = delivered(mocks)
    run = settled_run(motorweb_batch)
    bare = {**run["equation"], "job": "a"}
    shown = {**run, "settlement": run["equation"], "equation": None}
    envelope = {"schema_version": 1, "command": "show", "ok": True, "result": {"runs": [run]}}
    for settled in (run, [run], envelope, bare, shown, journal(tmp_path, motorweb_batch)):
        assert_matches_ledger(settled, mocks.of(MOTORWEB))
    both = [settled_run(motorweb_batch, job="cars"), settled_run(sitecore_batch, job="guests")]
    assert_matches_ledger(both, mocks.of(MOTORWEB), jobs={"cars"})
    assert_matches_ledger(both, mocks.of(SITECORE), jobs={"guests"})
    assert_matches_ledger(settled_run(motorweb_batch, 1, 1, 1), mocks.of(MOTORWEB), unknown=1)


def journal(folder: Path, allocation_id: str, rejected: int = 1) -> Path:
    """Write the tables and columns of a journal that `assert_matches_ledger` reads."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    plan_counts = {"selected": 6, "unchanged": 1, "added": 3, "invalid": 1, "deferred": 0, "still_rejected": 1}
    with closing(sqlite3.connect(state / "journal.db")) as base, base:
        base.execute("CREATE TABLE IF NOT EXISTS runs (no INTEGER PRIMARY KEY, id, job, state, counts)")
        base.execute("CREATE TABLE IF NOT EXISTS batches (run, allocation_id, counts)")
        base.execute("DELETE FROM runs")
        base.execute("DELETE FROM batches")
        base.execute("INSERT INTO runs VALUES (1, 'r', 'a', 'settled', ?)", (json.dumps(plan_counts),))
        counts = json.dumps({"accepted": 2, "rejected": rejected, "unknown": 0})
        base.execute("INSERT INTO batches VALUES ('r', ?, ?)", (allocation_id, counts))
    return state


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"accepted": 3, "rejected": 0}, "3 accepted in the settlement, 2 in the ledger"),
        ({"unknown": 1, "rejected": 0}, "1 row(s) ended unknown"),
        ({"allocation_id": "another"}, "delivered, but not settled"),
    ],
)
def test_differing_counts_are_reported_by_batch(mocks: Running, wrong: dict[str, Any], message: str) -> None:
    motorweb_batch, _ = delivered(mocks)
    with pytest.raises(AssertionError) as failure:
        assert_matches_ledger(settled_run(**{"allocation_id": motorweb_batch, **wrong}), mocks.of(MOTORWEB))
    assert message in str(failure.value)


def test_missing_rows_name_the_job_to_add(mocks: Running) -> None:
    motorweb = MotorwebClient(mocks)
    batches = [motorweb.send(b"vin\n1HGCM82633A004352\n", name) for name in ("first", "second")]
    mocks.advance(600)
    runs = [settled_run(batch, 1, 0, job=job) for batch, job in zip(batches, ("cars", "vans"), strict=True)]

    with pytest.raises(AssertionError, match=f"{batches[1]}: 1 .* it is of job vans; add it to jobs="):
        assert_matches_ledger(runs, mocks.of(MOTORWEB), jobs={"cars"})
    with pytest.raises(AssertionError, match=r"\(its reference is second\): add its job to `settled`"):
        assert_matches_ledger(runs[:1], mocks.of(MOTORWEB))


def test_ledger_has_the_documented_keys(mocks: Running) -> None:
    delivered(mocks)
    documented = LedgerEntry.__required_keys__ | LedgerEntry.__optional_keys__
    page = (Path(__file__).parents[2] / "docs" / "mocks.md").read_text(encoding="utf-8")

    keys = [set(entry) for vendor in (MOTORWEB, SITECORE) for entry in mocks.ledger(vendor, values=True)]

    assert set().union(*keys) == documented
    assert all(LedgerEntry.__required_keys__ <= found for found in keys)
    assert [name for name in documented if f"`{name}`" not in page] == []


def test_other_unbalanced_counts_are_reported(mocks: Running, tmp_path: Path) -> None:
    motorweb_batch, _ = delivered(mocks)
    run = settled_run(motorweb_batch)
    run["equation"]["selected"] += 1
    for settled, message in (
        (run, "the equation has selected"),
        ([settled_run(motorweb_batch), settled_run(motorweb_batch)], "settled twice"),
        ({**settled_run(motorweb_batch)["equation"], "accepted": 3, "rejected": 0}, "3 accepted in the settlement"),
        (journal(tmp_path, motorweb_batch, rejected=0), "the equation has selected"),
    ):
        with pytest.raises(AssertionError, match=message.replace("(", r"\(")):
            assert_matches_ledger(settled, mocks.of(MOTORWEB))
    MotorwebClient(mocks).send(b"vin\n1HGCM82633A004352\n", "more")
    with pytest.raises(AssertionError, match="still processing 1 row"):
        assert_matches_ledger(settled_run(motorweb_batch), mocks.of(MOTORWEB))


@pytest.mark.parametrize("nothing", [{}, [], {"result": None}])
def test_missing_settlement_is_an_error(nothing: Any) -> None:
    with serve([MOTORWEB]) as mocks, pytest.raises(ValueError, match="No settled run"):
        assert_matches_ledger(nothing, mocks.of(MOTORWEB))


def test_vendor_that_is_not_served_raises_key_error() -> None:
    with serve([MOTORWEB]) as mocks, pytest.raises(KeyError):
        mocks.of(SITECORE)


def test_unprocessed_file_balances_with_rejected_rows(mocks: Running) -> None:
    mocks.switch(MOTORWEB, processing=1e9)
    allocation_id = MotorwebClient(mocks).send(b"vin\n1HGCM82633A004352\n")
    mocks.advance(31 * 86_400)
    assert [entry["outcome"] for entry in mocks.ledger(MOTORWEB)] == ["unprocessed"]
    for settled in (settled_run(allocation_id, 0, 1), settled_run(allocation_id, 0, 1)["equation"]):
        assert_matches_ledger(settled, mocks.of(MOTORWEB))
    with pytest.raises(AssertionError, match="1 accepted in the settlement, 0 in the ledger"):
        assert_matches_ledger(settled_run(allocation_id, 1, 0), mocks.of(MOTORWEB))
