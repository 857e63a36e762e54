"""`--timeout` ends the whole command in time, whatever it waits for, and the state goes on from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, write_sources

if TYPE_CHECKING:
    from kit.deployment import Deployment

#: Seconds of `--timeout`, and the time in which the command must end with it, on a busy machine.
LIMIT, END_LIMIT = 8, 24.0
#: Requests that a slow answer holds for longer than that.
HELD = {
    "first check": Fault(kind="drip", vendor=CDP, method="GET", path="", times=0, seconds=60),
    "allocation": Fault(kind="drip", vendor=CDP, method="PUT", path=r"^/v2/batches/", seconds=60),
    "upload": Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=60),
    "poll": Fault(kind="drip", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", times=0, seconds=60),
}


def run_limited(deployment: Deployment, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run a command with a time limit; return its exit code, result and messages."""
    started = time.monotonic()
    done = subprocess.run(
        [*deployment.command("-o", "json", *arguments), "--timeout", f"{LIMIT}s"],
        cwd=deployment.folder,
        env=deployment.environ(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    took = time.monotonic() - started
    assert "Traceback" not in done.stderr, done.stderr
    assert took < END_LIMIT, f"{took:.1f} s\n{done.stderr}"
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("held", HELD)
def test_slow_answer_does_not_hold_the_command(held: str, deployment: Deployment) -> None:
    deployment.mocks.arm(HELD[held])
    code, document, errors = run_limited(deployment, "sync", "guests")

    assert code == 5, errors
    (guests,) = document["result"]["jobs"]
    assert guests["exit_code"] == 5
    assert (guests["skipped"] is None) == (held != "first check")
    deployment.mocks.disarm()
    time.sleep(0.2)
    deployment.mocks.advance(3600)
    deployment.run("sync", "guests")
    assert set(deployment.delivered(CDP).values()) == {1}
    assert len(deployment.delivered(CDP)) == 29


def test_slow_host_of_one_job_leaves_the_other_its_result(deployment: Deployment) -> None:
    deployment.run("sync", "--no-wait", "vehicles", expect=5)
    deployment.mocks.arm(HELD["poll"])
    code, document, _ = run_limited(deployment, "sync")
    assert code == 5
    assert [item["job"] for item in document["result"]["jobs"]] == ["vehicles", "guests"]


def test_refusing_host_ends_first_checks_before_the_limit(deployment: Deployment) -> None:
    """The reason is reported, not only that time is over."""
    file = deployment.folder / "jobs.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("https://api-engage-eu.sitecorecloud.io", "http://127.0.0.1:9"),
        encoding="utf-8",
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BATCHSYNC")}
    environ |= {"SITECORE_CLIENT_KEY": "a", "SITECORE_API_TOKEN": "b", "MOTORWEB_CLIENT_ID": "c"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "batchsync", "sync", "guests", "--timeout", "12s"],
        cwd=deployment.folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert time.monotonic() - started < END_LIMIT
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Connection refused" in done.stdout


def test_comparison_of_a_large_source_is_interrupted(deployment: Deployment) -> None:
    write_sources(deployment.folder, guests=1_500_000)
    code, document, errors = run_limited(deployment, "sync", "guests")
    assert code == 5, errors
    assert document["result"]["jobs"][0]["exit_code"] == 5


@pytest.mark.parametrize("command", ["sync", "resume"])
def test_command_that_is_done_in_time_is_not_interrupted(command: str, deployment: Deployment) -> None:
    deployment.run("sync", "--no-wait", expect=5)
    deployment.mocks.advance(86400)
    deployment.run(command, "--timeout", "300s")
    assert len(deployment.mocks.ledger(BDP)) == 20
