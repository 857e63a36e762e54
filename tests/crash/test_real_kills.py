"""SIGKILL of real processes at random times, engine lines and system calls; the vendors' ledgers show the result.

By hand: `BATCHSYNC_KILLS=2000 pytest tests/crash/test_real_kills.py -k random`, and for the first and last execution
of every line `PYTHONPATH=tests python -m kit.line_kills guests` (and `vehicles`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import batchsync_mocks
from kit.changing_sources import finish, violations, write_version
from kit.deployment import JOBS, Deployment
from kit.draws import draws
from kit.syscall_kills import can_trace
from kit.zygote import Zygote

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("BATCHSYNC_KILLS", "100"))
#: kills between two checks of the ledgers
KILLS_PER_CHECK = 9
SHARES = 4
#: every n-th kill hits the command started from a shell; the others hit forks of a warm process
REAL_START_EVERY = 12


@pytest.mark.timeout(120 + 5 * KILLS)
@pytest.mark.parametrize("share", range(SHARES))
def test_kill_at_random_time_loses_and_repeats_no_row(tmp_path: Path, share: int) -> None:
    """Sources change, a sync starts and is killed; after a few kills a sync finishes, and the ledgers are checked."""
    draw = draws(share)
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    with batchsync_mocks.serve(state_dir=tmp_path / "vendors") as mocks:
        deployment = Deployment(tmp_path, mocks)
        with Zygote(deployment) as zygote:
            write_version(tmp_path, 0)
            before = time.perf_counter()
            # A process of its own: `deployment.run` forks one that has imported everything.
            subprocess.run(
                deployment.command("sync"),
                cwd=deployment.folder,
                env=deployment.environ(),
                capture_output=True,
                check=False,
            )
            cold_seconds = time.perf_counter() - before
            write_version(tmp_path, 1)
            warm_seconds = zygote.run("sync").seconds
            killed = 0
            for number in range(2, KILLS // SHARES + 2):
                write_version(tmp_path, number)
                if number % REAL_START_EVERY == 0:
                    # Most of the first quarter is the start of Python; the engine runs after it.
                    killed += _start_and_kill(deployment, cold_seconds * draw.uniform(0.25, 0.9))
                else:
                    killed += zygote.run("sync", kill_after=warm_seconds * draw.uniform(0.02, 0.98)).killed
                if number % KILLS_PER_CHECK == 0 or number == KILLS // SHARES + 1:
                    finish(zygote)
                    assert list(violations(deployment, zygote, number)) == [], f"after {number} kills"
    assert killed > KILLS // SHARES // 2, "most processes ended before they were killed"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_kill_at_engine_lines_loses_and_repeats_no_row(job: str) -> None:
    every = os.environ.get("BATCHSYNC_LINES", "28")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-m", "kit.line_kills", job, "--every", every, "--from", str(int(every) // 2)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=290)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 violations" in done.stdout
    assert int(done.stdout.split()[1]) > 30


@pytest.mark.timeout(300)
def test_kill_at_system_call_loses_and_repeats_no_row() -> None:
    stride = os.environ.get("BATCHSYNC_SYSCALLS", "130")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "kit.syscall_kills", "--stride", stride, "--first", "60"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=290)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 violations" in done.stdout


def _start_and_kill(deployment: Deployment, after: float) -> bool:
    """Start a sync, kill it after this many seconds, and return whether it was still running."""
    with (deployment.folder / "killed.log").open("ab") as log:
        process = subprocess.Popen(
            deployment.command("sync"), cwd=deployment.folder, env=deployment.environ(), stdout=log, stderr=log
        )
        time.sleep(after)
        process.kill()
        return process.wait() == -signal.SIGKILL


if not can_trace():
    # Without strace, or the right to trace, this test is left out; see `docs/guarantees.md`.
    del test_kill_at_system_call_loses_and_repeats_no_row
