"""SIGINT and SIGTERM at every stage of a sync: the process ends soon, with the right code, and nothing is lost.

The stage in which files are finalized while others are sent is in `tests/reconcile/test_pipelined_upload.py`.
The goal is two seconds; the limit here leaves room for busy machines. `docs/guarantees.md` has the measured times.
"""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment, write_sources

if TYPE_CHECKING:
    from collections.abc import Callable

#: Maximum seconds until the process ends, on a busy machine.
END_LIMIT = 6.0
#: Seconds of a slow vendor call: longer than an interrupted process may wait.
SLOW_CALL = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a sync: the job, its rows, and the sign of the stage.

    The sign is a slow vendor call (`slow`), an output line (`printed`), or a state folder with a file in it (`wrote`).
    """

    job: str
    rows: int = 30
    slow: tuple[str, str] | None = None
    printed: str = ""
    wrote: str = ""
    hurry: bool = True


STAGES = {
    "comparing": Stage(job="guests", rows=400_000, wrote="work/guests"),
    "allocating": Stage(job="guests", slow=("PUT", r"^/v2/batches/")),
    "uploading": Stage(job="guests", slow=("PUT", r"^/_storage")),
    "polling": Stage(job="guests", slow=("GET", r"^/v2/batches/inspect/.")),
    "waiting": Stage(job="guests", printed='"event":"waiting"', hurry=False),
    "downloading": Stage(job="vehicles", slow=("GET", r"^/_storage")),
}


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        *((name, signal.SIGTERM, 143) for name in STAGES),
        ("comparing", signal.SIGINT, 130),
        ("waiting", signal.SIGINT, 130),
    ],
)
def test_signal_ends_sync_soon_at_every_stage_with_state_saved(
    deployment: Deployment, name: str, number: signal.Signals, code: int
) -> None:
    stage = STAGES[name]
    process, called_at = _start_until(deployment, stage)

    signalled = time.monotonic()
    process.send_signal(number)
    assert process.wait(30) == code
    took = time.monotonic() - signalled

    errors = (deployment.folder / "err").read_text("utf-8")
    assert "interrupted; state saved" in errors
    assert "Traceback" not in errors
    assert took < END_LIMIT, f"{name}: {took:.2f} s"
    _finish(deployment, stage, called_at)


def test_second_signal_ends_process_at_once(deployment: Deployment) -> None:
    stage = STAGES["uploading"]
    process, called_at = _start_until(deployment, stage)

    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None, "the call gets a grace period to end by itself"
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 143
    _finish(deployment, stage, called_at)


def test_call_finished_within_grace_time_is_journaled(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=0.4))
    process = _start(deployment, STAGES["uploading"])
    _wait_until(lambda: any(fault["hits"] for fault in deployment.mocks.faults()), process)

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 143
    (batch,) = deployment.json("status")["open"]
    assert (batch["phase"], batch["in_doubt"]) == ("submitted", None)


def test_interrupted_upload_is_in_doubt_and_looked_up(deployment: Deployment) -> None:
    stage = STAGES["uploading"]
    process, called_at = _start_until(deployment, stage)

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 143
    (batch,) = deployment.json("status")["open"]
    assert (batch["phase"], batch["in_doubt"]) == ("allocated", "upload")
    _finish(deployment, stage, called_at)


def _start_until(deployment: Deployment, stage: Stage) -> tuple[subprocess.Popen[bytes], float]:
    """Start a sync; return its process once it has reached the stage, and the monotonic time of that."""
    write_sources(deployment.folder, guests=stage.rows if stage.job == "guests" else 30)
    if stage.slow is not None:
        method, path = stage.slow
        vendor = CDP if stage.job == "guests" else BDP
        deployment.mocks.arm(Fault(kind="delay", vendor=vendor, method=method, path=path, seconds=SLOW_CALL))
    process = _start(deployment, stage)
    if stage.slow is not None:
        _wait_until(lambda: any(fault["hits"] for fault in deployment.mocks.faults()), process)
    elif stage.wrote:
        wrote = deployment.folder / ".batchsync" / "mocks" / stage.wrote
        _wait_until(lambda: any(wrote.glob("*")), process)
    else:
        _wait_until(lambda: stage.printed in (deployment.folder / "out").read_text("utf-8").replace(": ", ":"), process)
    return process, time.monotonic()


def _start(deployment: Deployment, stage: Stage) -> subprocess.Popen[bytes]:
    environ = deployment.environ() | ({} if stage.hurry else {"BATCHSYNC_HURRY": "0"})
    with (deployment.folder / "out").open("wb") as out, (deployment.folder / "err").open("wb") as err:
        return subprocess.Popen(
            deployment.command("-o", "ndjson", "sync", stage.job),
            cwd=deployment.folder,
            env=environ,
            stdout=out,
            stderr=err,
        )


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the process ended before it reached the stage"
        assert time.monotonic() < deadline, "the process did not reach the stage"
        time.sleep(0.005)


def _finish(deployment: Deployment, stage: Stage, called_at: float) -> None:
    """Wait until the slow call has ended at the vendor, then sync; each row must have arrived once."""
    if stage.slow is not None:
        time.sleep(max(0.0, called_at + SLOW_CALL + 0.3 - time.monotonic()))
    deployment.mocks.disarm()
    if stage.rows > 1000:
        # The comparison is not journaled and nothing was sent; the next sync starts over.
        assert not deployment.mocks.ledger(CDP)
        write_sources(deployment.folder)
    deployment.run("sync", stage.job)
    counts = deployment.delivered(CDP if stage.job == "guests" else BDP)
    assert set(counts.values()) == {1}
    assert len(counts) == (20 if stage.job == "vehicles" else 29)
