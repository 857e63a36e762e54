"""The pytest plugin as a user has it: fixtures, marker, and books held against the ledger."""

from __future__ import annotations

import importlib.metadata
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from mock_clients import MOTORWEB, SITECORE, MotorwebClient, SitecoreClient, named, packed, record

from lading_mocks import assert_books_balance, serve

if TYPE_CHECKING:
    from pathlib import Path

    from lading_mocks import Running

INSTALLED = any(one.name == "lading_mocks" for one in importlib.metadata.entry_points(group="pytest11"))

USERS_TESTS = """
import pytest, requests
from lading_mocks.pytest_plugin import assert_books_balance

def ask(mock):
    return requests.get(f"{mock.url}/v2/batches/inspect", auth=tuple(mock.credentials.values()), timeout=10)

def test_a_fresh_mock(sitecore_cdp, motorweb_bdp):
    assert ask(sitecore_cdp).json()["totalCount"] == 0
    assert sitecore_cdp.clock.report()["auto"] is True
    assert motorweb_bdp.clock is sitecore_cdp.clock
    assert sitecore_cdp.environ()["LADING_MOCKS"] == "1"
    sitecore_cdp.switch(allocate_status=201)
    assert callable(assert_books_balance)

def test_another_fresh_mock(sitecore_cdp):
    assert sitecore_cdp.running.switches("sitecore-cdp").allocate_status == 200

@pytest.mark.lading_faults("throttle", seed=3, switches={"sitecore-cdp": {"stats": True}})
def test_under_faults(sitecore_cdp):
    assert 429 in {ask(sitecore_cdp).status_code for _ in range(20)}
    assert sitecore_cdp.running.seed == 3
    assert sitecore_cdp.running.switches("sitecore-cdp").stats is True

@pytest.mark.lading_faults("storm", seed=3)
def test_that_fails(sitecore_cdp):
    assert False
"""


def test_the_fixtures_the_marker_and_the_seed_in_a_report(tmp_path: Path) -> None:
    (tmp_path / "test_users.py").write_text(USERS_TESTS)
    named_plugin = [] if INSTALLED else ["-p", "lading_mocks.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", *named_plugin, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "profile storm, seed 3" in done.stdout


def test_importing_the_plugin_takes_no_time_and_nothing_with_it() -> None:
    code = (
        "import pytest, sys, time; before = set(sys.modules); began = time.perf_counter(); "
        "import lading_mocks.pytest_plugin; took = time.perf_counter() - began; "
        "print(took, sorted(set(sys.modules) - before))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    took, _, modules = said.partition(" ")
    assert modules.strip() == "['lading_mocks', 'lading_mocks.pytest_plugin']"
    assert float(took) < 0.02


def test_a_mock_is_ready_in_well_under_a_second(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    began = time.monotonic()
    command = [sys.executable, "-m", "lading_mocks", "--ready-file", str(ready), "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        while not ready.exists() and time.monotonic() < began + 10:
            time.sleep(0.005)
        took = time.monotonic() - began
        assert process.stdin is not None
        process.stdin.close()
    # On a machine with nothing else to do it is 0.35 s; a loaded one gets some room.
    assert took < 3


def delivered(mocks: Running) -> tuple[str, str]:
    """Send two good rows and a bad one to each vendor and let them be processed; gives the batches' names."""
    motorweb, sitecore = MotorwebClient(mocks), SitecoreClient(mocks)
    one = motorweb.send(b"vin\n1HGCM82633A004352\n1HGCM82633A004353\nbad\n")
    guests = [record("guest", "upsert", identifiers=named(str(number))) for number in range(2)]
    two = sitecore.send(packed(*guests, record("guest", "delete", identifiers=named("nobody"))))
    mocks.advance(600)
    return one, two


def booked(slot: str, accepted: int = 2, rejected: int = 1, unknown: int = 0, job: str = "a") -> dict[str, Any]:
    books = {"accepted": accepted, "rejected": rejected, "unknown": unknown}
    equation = {"selected": 5, "unchanged": 1, "invalid": 1, "held": 0, **books}
    equation["selected"] = 2 + accepted + rejected + unknown
    return {"job": job, "equation": equation, "batches": [{"slot": slot, "books": books}]}


def test_books_that_balance_are_taken_in_every_form(mocks: Running, tmp_path: Path) -> None:
    one, two = delivered(mocks)
    run = booked(one)
    bare = {**run["equation"], "job": "a"}
    envelope = {"schema_version": 1, "command": "settle", "ok": True, "result": {"runs": [run]}}
    for settled in (run, [run], envelope, bare, journal(tmp_path, one)):
        assert_books_balance(settled, mocks.of(MOTORWEB))
    both = [booked(one, job="cars"), booked(two, job="guests")]
    assert_books_balance(both, mocks.of(MOTORWEB), jobs={"cars"})
    assert_books_balance(both, mocks.of(SITECORE), jobs={"guests"})
    assert_books_balance(booked(one, 1, 1, 1), mocks.of(MOTORWEB), unknown=1)


def journal(folder: Path, slot: str, rejected: int = 1) -> Path:
    """Write as much of a journal as the books are read from."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    tally = {"selected": 6, "unchanged": 1, "added": 3, "invalid": 1, "held": 0, "standing_rejected": 1}
    with closing(sqlite3.connect(state / "journal.db")) as base, base:
        base.execute("CREATE TABLE IF NOT EXISTS runs (no INTEGER PRIMARY KEY, id, job, state, tally)")
        base.execute("CREATE TABLE IF NOT EXISTS batches (run, slot_id, accepted, rejected, unknown)")
        base.execute("DELETE FROM runs")
        base.execute("DELETE FROM batches")
        base.execute("INSERT INTO runs VALUES (1, 'r', 'a', 'settled', ?)", (json.dumps(tally),))
        base.execute("INSERT INTO batches VALUES ('r', ?, 2, ?, 0)", (slot, rejected))
    return state


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"accepted": 3, "rejected": 0}, "3 accepted in the books, 2 in the ledger"),
        ({"unknown": 1, "rejected": 0}, "1 row(s) ended unknown"),
        ({"slot": "another"}, "the books do not know it"),
    ],
)
def test_books_that_differ_are_told_by_batch(mocks: Running, wrong: dict[str, Any], says: str) -> None:
    one, _ = delivered(mocks)
    with pytest.raises(AssertionError) as failure:
        assert_books_balance(booked(**{"slot": one, **wrong}), mocks.of(MOTORWEB))
    assert says in str(failure.value)


def test_other_books_that_do_not_balance(mocks: Running, tmp_path: Path) -> None:
    one, _ = delivered(mocks)
    run = booked(one)
    run["equation"]["selected"] += 1
    for settled, says in (
        (run, "the equation has selected"),
        ([booked(one), booked(one)], "stands in the books twice"),
        ({**booked(one)["equation"], "accepted": 3, "rejected": 0}, "3 accepted in the books"),
        (journal(tmp_path, one, rejected=0), "the equation has selected"),
    ):
        with pytest.raises(AssertionError, match=says.replace("(", r"\(")):
            assert_books_balance(settled, mocks.of(MOTORWEB))
    MotorwebClient(mocks).send(b"vin\n1HGCM82633A004352\n", "more")
    with pytest.raises(AssertionError, match="still works on 1 row"):
        assert_books_balance(booked(one), mocks.of(MOTORWEB))


@pytest.mark.parametrize("nothing", [{}, [], {"result": None}])
def test_no_settlement_is_no_balance(nothing: Any) -> None:
    with serve([MOTORWEB]) as mocks, pytest.raises(ValueError, match="No settled run"):
        assert_books_balance(nothing, mocks.of(MOTORWEB))


def test_a_vendor_that_is_not_served_is_not_there() -> None:
    with serve([MOTORWEB]) as mocks, pytest.raises(KeyError):
        mocks.of(SITECORE)


def test_a_file_refused_as_a_whole_is_rejected_in_the_books_and_unprocessed_in_the_ledger(mocks: Running) -> None:
    mocks.switch(MOTORWEB, processing=1e9)
    slot = MotorwebClient(mocks).send(b"vin\n1HGCM82633A004352\n")
    mocks.advance(31 * 86_400)
    assert [entry["fate"] for entry in mocks.ledger(MOTORWEB)] == ["unprocessed"]
    for settled in (booked(slot, 0, 1), booked(slot, 0, 1)["equation"]):
        assert_books_balance(settled, mocks.of(MOTORWEB))
    with pytest.raises(AssertionError, match="1 accepted in the books, 0 in the ledger"):
        assert_books_balance(booked(slot, 1, 0), mocks.of(MOTORWEB))
