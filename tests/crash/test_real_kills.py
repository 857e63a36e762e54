"""SIGKILL of real processes, at random moments and at lines of ours: the next process finishes, by the vendors' books.

By hand: `BATCHSYNC_KILLS=2000 pytest tests/crash/test_real_kills.py -k random`, and for the first and last execution
of every line `PYTHONPATH=tests python -m kit.line_kills guests` (and `vehicles`).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import batchsync_mocks
from kit.changing import finish, write, wrong
from kit.deployment import JOBS, Deployment
from kit.syscall_kills import can_trace
from kit.zygote import Zygote

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("BATCHSYNC_KILLS", "100"))
#: kills between two looks at the books
PER_LOOK = 9
SHARES = 4
#: of so many kills one is that of the command as a person starts it; the others are of forks of a warm process
STARTED = 12


@pytest.mark.timeout(120 + 5 * KILLS)
@pytest.mark.parametrize("share", range(SHARES))
def test_kill_at_random_time_loses_and_repeats_no_row(tmp_path: Path, share: int) -> None:
    """Sources change, a sync starts, and dies somewhere; after a few deaths one may finish, and the books are read."""
    draw = random.Random(share)  # noqa: S311 - a test that can be repeated
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    with batchsync_mocks.serve(state_dir=tmp_path / "vendors") as mocks:
        deployment = Deployment(tmp_path, mocks)
        with Zygote(deployment) as zygote:
            write(tmp_path, 0)
            begun = time.perf_counter()
            deployment.run("sync")
            started = time.perf_counter() - begun
            write(tmp_path, 1)
            whole = zygote.run("sync").seconds
            died = 0
            for number in range(2, KILLS // SHARES + 2):
                write(tmp_path, number)
                if number % STARTED == 0:
                    # The first half of a run is the starting of Python; what matters comes after it.
                    died += _killed(deployment, started * draw.uniform(0.25, 0.9))
                else:
                    died += zygote.run("sync", kill_after=whole * draw.uniform(0.02, 0.98)).killed
                if number % PER_LOOK == 0 or number == KILLS // SHARES + 1:
                    finish(zygote)
                    assert list(wrong(deployment, zygote, number)) == [], f"after {number} kills"
    assert died > KILLS // SHARES // 2, "most processes had ended before they were to die"


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


def _killed(deployment: Deployment, after: float) -> bool:
    """Start a sync, kill it after so many seconds, and say whether it was still running."""
    with (deployment.folder / "killed.log").open("ab") as log:
        process = subprocess.Popen(
            deployment.command("sync"), cwd=deployment.folder, env=deployment.environ(), stdout=log, stderr=log
        )
        time.sleep(after)
        process.kill()
        return process.wait() == -signal.SIGKILL


if not can_trace():
    # Where strace is not there, or may not trace, this is left out; `docs/guarantees.md` says so.
    del test_kill_at_system_call_loses_and_repeats_no_row
