"""Where a file may not grow, as on a full disk: told in words at every stage, and the same command goes on afterwards.

The limit is that of the system for the files of one process (`ulimit -f`), so that these run without any rights. The
vendors are another process and have room.
"""

from __future__ import annotations

import resource
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kit.deployment import BDP, CDP, Deployment, write_sources
from lading_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs out of room: the job and its size, how large a file may grow (KiB) from when on, and what is said."""

    job: str
    rows: int
    most: int
    says: str
    invalid: int = 0
    since: str = ""


STAGES = {
    "making the journal": Stage(job="guests", rows=30, most=40, says="journal.db"),
    "the journal, with many invalid rows": Stage(job="guests", rows=30, invalid=12_000, most=1000, says="journal.db"),
    "comparing": Stage(job="guests", rows=30_000, most=150, says="guests", since="work"),
    "staging": Stage(job="guests", rows=80_000, most=250, says="guests", since="staging"),
    "a download": Stage(job="vehicles", rows=15_000, most=250, says="answer", since="upload"),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_disk_without_room_is_told_and_the_same_command_goes_on_when_there_is_some(
    deployment: Deployment, name: str
) -> None:
    stage = STAGES[name]
    if stage.since:
        # The journal is there and small: what has no room then is a file of rows. And what is new is compared.
        deployment.run("sync")
    _write(deployment.folder, stage)

    said = _run_in_little_room(deployment, stage)

    assert stage.says in said, said
    deployment.run("sync", stage.job, expect=4 if stage.invalid else 0)
    counts = deployment.delivered(CDP if stage.job == "guests" else BDP)
    assert set(counts.values()) == {1}
    assert len(counts) == (stage.rows - 1 if stage.job == "guests" else stage.rows)


def _write(folder: Path, stage: Stage) -> None:
    sizes = {"guests": 30, "vehicles": 20} | {stage.job: stage.rows}
    write_sources(folder, **sizes)
    with (folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"B{n},bad,no-at-sign\n" for n in range(stage.invalid))


def _run_in_little_room(deployment: Deployment, stage: Stage) -> str:
    """Run a sync whose files may not grow from some moment on, which must end with 3, and return what it said."""
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
    _until(_begun(deployment, stage), process)
    most = stage.most * 1024
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
    said = process.communicate(timeout=100)[0]
    deployment.mocks.disarm()
    assert process.returncode == 3, said
    assert "Traceback" not in said
    assert "unexpected" not in said
    return said


def _begun(deployment: Deployment, stage: Stage) -> Callable[[], bool]:
    """Return what tells that the moment has come."""
    if not stage.since:
        return lambda: True
    if stage.since == "upload":
        return lambda: any(one["struck"] for one in deployment.mocks.faults())
    folder = deployment.folder / ".lading" / "mocks" / stage.since / stage.job
    before = {one.name for one in folder.glob("*")}
    return lambda: any(one.name not in before for one in folder.glob("*"))


def _until(seen: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not seen():
        assert process.poll() is None, "it ended before its disk was full"
        assert time.monotonic() < deadline, "it never came to the stage"
        time.sleep(0.002)
