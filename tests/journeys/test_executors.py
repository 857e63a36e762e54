"""Syncs whose records other processes prepare: the same batches as in threads, also when a process is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import batchsync_mocks
from kit.deployment import CDP, JOBS, Deployment, write_sources
from kit.installed import install

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

#: More rows than one task takes.
GUESTS = 30_000
PAGE = (Path(__file__).parents[2] / "docs" / "executors.md").read_text(encoding="utf-8")
#: The executor that the page shows, and its entry point.
POOL = PAGE.partition("```python\n")[2].partition("```")[0]
ENTRY_POINT = PAGE.partition('[project.entry-points."batchsync.executors"]\n')[2].partition("```")[0]


@contextmanager
def deployed(folder: Path, executor: str) -> Iterator[Deployment]:
    """Yield a deployment with many guests, and mocks of its own."""
    folder.mkdir()
    (folder / "jobs.yaml").write_text(f"{JOBS}executor: {executor}\n", encoding="utf-8")
    write_sources(folder, GUESTS)
    with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
        yield Deployment(folder, mocks)


def sent(deployment: Deployment) -> tuple[list[str], Counter[str]]:
    """Return the digests of all batch files, and how often the vendor received each record."""
    with sqlite3.connect(deployment.folder / ".batchsync" / "mocks" / "journal.db") as journal:
        digests = [digest for (digest,) in journal.execute("SELECT digest FROM batches ORDER BY id")]
    journal.close()
    return digests, deployment.delivered(CDP)


def children(process: int) -> list[int]:
    """Return the worker processes that a process started."""
    found = Path(f"/proc/{process}/task/{process}/children")
    numbers = [
        int(number)
        for thread in found.parents[1].glob("*/children")
        for number in thread.read_text(encoding="utf-8").split()
    ]
    return [number for number in numbers if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()]


def test_any_executor_sends_the_same_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executors = ["threads", "{processes: 2}", "{dask: local, workers: 2}", "{pool: {workers: 2}}"]
    found = []
    for number, executor in enumerate(executors):
        folder = tmp_path / str(number)
        with deployed(folder, executor) as deployment:
            if "pool" in executor:
                install(folder, monkeypatch, POOL, "[batchsync.executors]\n" + ENTRY_POINT.replace('"', ""))
            deployment.run("sync", "guests", timeout=100)
            found.append(sent(deployment))
    digests, delivered = found[0]
    assert digests
    assert set(delivered.values()) == {1}
    assert len(delivered) == GUESTS - 1
    assert all(other == found[0] for other in found[1:])


def test_killed_worker_changes_nothing_of_what_is_sent(tmp_path: Path) -> None:
    with deployed(tmp_path / "killed", "{processes: 2}") as deployment:
        process = subprocess.Popen(
            deployment.command("sync", "guests"),
            cwd=deployment.folder,
            env=deployment.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while not (workers := children(process.pid)) and process.poll() is None:
            time.sleep(0.01)
        os.kill(workers[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors.decode()
        digests, delivered = sent(deployment)
    assert digests
    assert set(delivered.values()) == {1}
    assert len(delivered) == GUESTS - 1


@pytest.mark.parametrize("moment", ["workers start", "a file is complete"])
def test_killed_command_is_completed_by_the_same_command(tmp_path: Path, moment: str) -> None:
    with deployed(tmp_path / "killed", "{processes: 2}") as deployment:
        staging = deployment.folder / ".batchsync" / "mocks" / "staging"
        process = subprocess.Popen(
            deployment.command("sync", "guests"),
            cwd=deployment.folder,
            env=deployment.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        workers: list[int] = []
        while process.poll() is None:
            workers = children(process.pid) or workers
            if workers and (moment == "workers start" or any(staging.glob("*/*.json.gz"))):
                break
            time.sleep(0.01)
        process.kill()
        process.wait()
        deployment.run("sync", "guests", timeout=100)
        digests, delivered = sent(deployment)
        # Workers end by themselves without a command that waits for their results.
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{number}").exists() for number in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not [number for number in workers if Path(f"/proc/{number}").exists()]
    assert workers
    assert digests
    assert set(delivered.values()) == {1}
    assert len(delivered) == GUESTS - 1
