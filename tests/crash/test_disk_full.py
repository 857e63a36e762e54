"""File size limits, as on a full disk: reported at every stage, and the same command continues afterwards.

The limit is that of the operating system for the files of one process (`ulimit -f`), so the tests need no privileges.
The mock vendors are another process without the limit.
"""

from __future__ import annotations

import resource
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment, write_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a sync: the job and its rows, the file size limit in KiB, and the text that the message contains.

    `since` is when the limit starts: empty for the start of the process, `upload` for an upload, or a folder of the
    state with a new file.
    """

    job: str
    rows: int
    limit: int
    message: str
    invalid: int = 0
    since: str = ""


STAGES = {
    "making the journal": Stage(job="guests", rows=30, limit=40, message="journal.db"),
    "the journal, with many invalid rows": Stage(
        job="guests", rows=30, invalid=12_000, limit=1000, message="journal.db"
    ),
    "comparing": Stage(job="guests", rows=30_000, limit=150, message="guests", since="work"),
    "staging": Stage(job="guests", rows=80_000, limit=250, message="guests", since="staging"),
    "a download": Stage(job="vehicles", rows=25_000, limit=400, message="response", since="upload"),
}


@pytest.mark.parametrize("name", STAGES)
def test_full_filesystem_is_reported_and_same_command_continues(deployment: Deployment, name: str) -> None:
    stage = STAGES[name]
    if stage.since:
        # With a small journal in place, the first file above the limit is a file of rows.
        deployment.run("sync")
    _write(deployment.folder, stage)

    output = _run_with_limit(deployment, stage)

    assert stage.message in output, output
    deployment.run("sync", stage.job, expect=4 if stage.invalid else 0)
    counts = deployment.delivered(CDP if stage.job == "guests" else BDP)
    assert set(counts.values()) == {1}
    assert len(counts) == (stage.rows - 1 if stage.job == "guests" else stage.rows)


def _write(folder: Path, stage: Stage) -> None:
    sizes = {"guests": 30, "vehicles": 20} | {stage.job: stage.rows}
    write_sources(folder, **sizes)
    with (folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"B{n},bad,no-at-sign\n" for n in range(stage.invalid))


def _run_with_limit(deployment: Deployment, stage: Stage) -> str:
    """Run a sync with the limit of the stage, which must end with 3; return its output."""
    if stage.since == "upload":
        deployment.mocks.arm(Fault(kind="delay", vendor=BDP, method="PUT", path=r"^/_storage", seconds=1.0))
    process = subprocess.Popen(
        deployment.command("sync", stage.job),
        cwd=deployment.folder,
        env=deployment.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _wait_until(_stage_reached(deployment, stage), process)
    limit = stage.limit * 1024
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    output = process.communicate(timeout=100)[0]
    deployment.mocks.disarm()
    assert process.returncode == 3, output
    assert "Traceback" not in output
    assert "unexpected" not in output
    return output


def _stage_reached(deployment: Deployment, stage: Stage) -> Callable[[], bool]:
    """Return a function that returns whether the stage is reached."""
    if not stage.since:
        return lambda: True
    if stage.since == "upload":
        return lambda: any(fault["hits"] for fault in deployment.mocks.faults())
    folder = deployment.folder / ".batchsync" / "mocks" / stage.since / stage.job
    before = {path.name for path in folder.glob("*")}
    return lambda: any(path.name not in before for path in folder.glob("*"))


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the process ended before the limit was set"
        assert time.monotonic() < deadline, "the process did not reach the stage"
        time.sleep(0.002)
