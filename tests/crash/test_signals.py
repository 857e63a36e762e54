"""SIGINT and SIGTERM at every stage of a sync: the process ends soon, with the right code, and nothing is lost.

The stage in which files are sealed while others are sent is in `tests/reconcile/test_pipelined_upload.py`.
The aim is two seconds; machines that are busy get more here. `docs/guarantees.md` has what was measured.
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

#: Seconds that an ending may take on a busy machine.
ENOUGH = 6.0
#: Seconds that a vendor takes over a call: more than a process that was asked to end may wait.
HOLD = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A moment of a sync: the job, its size, and what tells that it is there.

    That is a call in which the vendor is slow, a line of progress, or a folder of the state that has something in it.
    """

    job: str
    rows: int = 30
    slow: tuple[str, str] | None = None
    said: str = ""
    wrote: str = ""
    hurry: bool = True


STAGES = {
    "comparing": Stage(job="guests", rows=400_000, wrote="work/guests"),
    "allocating": Stage(job="guests", slow=("PUT", r"^/v2/batches/")),
    "uploading": Stage(job="guests", slow=("PUT", r"^/_storage")),
    "polling": Stage(job="guests", slow=("GET", r"^/v2/batches/inspect/.")),
    "waiting": Stage(job="guests", said='"event":"waiting"', hurry=False),
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
    process, struck = _brought_to(deployment, stage)

    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(30) == code
    took = time.monotonic() - begun

    said = (deployment.folder / "err").read_text("utf-8")
    assert "interrupted; state saved" in said
    assert "Traceback" not in said
    assert took < ENOUGH, f"{name}: {took:.2f} s"
    _finish(deployment, stage, struck)


def test_second_signal_ends_process_at_once(deployment: Deployment) -> None:
    stage = STAGES["uploading"]
    process, struck = _brought_to(deployment, stage)

    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None, "the call gets a moment to end by itself"
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 143
    _finish(deployment, stage, struck)


def test_call_finished_within_grace_time_is_journaled(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=0.4))
    process = _started(deployment, STAGES["uploading"])
    _until(lambda: any(fault["hits"] for fault in deployment.mocks.faults()), process)

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 143
    (batch,) = deployment.json("status")["open"]
    assert (batch["phase"], batch["in_doubt"]) == ("submitted", None)


def test_interrupted_upload_is_in_doubt_and_looked_up(deployment: Deployment) -> None:
    stage = STAGES["uploading"]
    process, struck = _brought_to(deployment, stage)

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 143
    (batch,) = deployment.json("status")["open"]
    assert (batch["phase"], batch["in_doubt"]) == ("allocated", "upload")
    _finish(deployment, stage, struck)


def _brought_to(deployment: Deployment, stage: Stage) -> tuple[subprocess.Popen[bytes], float]:
    """Start a sync and return it when it is at the stage, with the moment at which the vendor was called."""
    write_sources(deployment.folder, guests=stage.rows if stage.job == "guests" else 30)
    if stage.slow is not None:
        method, path = stage.slow
        vendor = CDP if stage.job == "guests" else BDP
        deployment.mocks.arm(Fault(kind="delay", vendor=vendor, method=method, path=path, seconds=HOLD))
    process = _started(deployment, stage)
    if stage.slow is not None:
        _until(lambda: any(fault["hits"] for fault in deployment.mocks.faults()), process)
    elif stage.wrote:
        wrote = deployment.folder / ".batchsync" / "mocks" / stage.wrote
        _until(lambda: any(wrote.glob("*")), process)
    else:
        _until(lambda: stage.said in (deployment.folder / "said").read_text("utf-8").replace(": ", ":"), process)
    return process, time.monotonic()


def _started(deployment: Deployment, stage: Stage) -> subprocess.Popen[bytes]:
    environ = deployment.environ() | ({} if stage.hurry else {"BATCHSYNC_HURRY": "0"})
    with (deployment.folder / "said").open("wb") as out, (deployment.folder / "err").open("wb") as err:
        return subprocess.Popen(
            deployment.command("-o", "ndjson", "sync", stage.job),
            cwd=deployment.folder,
            env=environ,
            stdout=out,
            stderr=err,
        )


def _until(seen: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not seen():
        assert process.poll() is None, "it ended before it came to the stage"
        assert time.monotonic() < deadline, "it never came to the stage"
        time.sleep(0.005)


def _finish(deployment: Deployment, stage: Stage, struck: float) -> None:
    """Let the slow call come to its end at the vendor, which nobody hears; then each row must have got there once."""
    if stage.slow is not None:
        time.sleep(max(0.0, struck + HOLD + 0.3 - time.monotonic()))
    deployment.mocks.disarm()
    if stage.rows > 1000:
        # What was compared or staged is nowhere yet: nothing was sent, and a new sync begins anew.
        assert not deployment.mocks.ledger(CDP)
        write_sources(deployment.folder)
    deployment.run("sync", stage.job)
    counts = deployment.delivered(CDP if stage.job == "guests" else BDP)
    assert set(counts.values()) == {1}
    assert len(counts) == (20 if stage.job == "vehicles" else 29)
