"""`--timeout` ends the whole command in time, whatever it waits for, and the next command continues."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

#: Seconds of `--timeout`, tried until the command reaches the slow answer, which depends on the machine.
LIMITS = (6, 20, 45)
#: Seconds after its limit within which a command must end, on a busy machine.
END_LIMIT = 12.0
#: Requests that a slow answer holds for longer than that.
HELD = {
    "first check": Fault(kind="drip", vendor=CDP, method="GET", path="", times=0, seconds=120),
    "allocation": Fault(kind="drip", vendor=CDP, method="PUT", path=r"^/v2/batches/", seconds=120),
    "upload": Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=120),
    "poll": Fault(kind="drip", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", times=0, seconds=120),
}


def run_limited(deployment: Deployment, limit: int, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run a command with a time limit; return its exit code, result and messages."""
    started = time.monotonic()
    done = subprocess.run(
        [*deployment.command("-o", "json", *arguments), "--timeout", f"{limit}s"],
        cwd=deployment.folder,
        env=deployment.environ(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    took = time.monotonic() - started
    assert "Traceback" not in done.stderr, done.stderr
    assert took < limit + END_LIMIT, f"{took:.1f} s\n{done.stderr}"
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("held", HELD)
def test_slow_answer_does_not_hold_the_command(held: str, deployment: Deployment) -> None:
    deployment.mocks.arm(HELD[held])
    for limit in LIMITS:
        code, document, errors = run_limited(deployment, limit, "sync", "guests")
        if any(item["hits"] for item in deployment.mocks.faults()):
            break
    assert any(item["hits"] for item in deployment.mocks.faults())

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


@pytest.mark.parametrize("command", ["sync", "resume"])
def test_command_that_is_done_in_time_is_not_interrupted(command: str, deployment: Deployment) -> None:
    deployment.run("sync", "--no-wait", expect=5)
    deployment.mocks.advance(86400)
    deployment.run(command, "--timeout", "300s")
    assert len(deployment.mocks.ledger(BDP)) == 20
