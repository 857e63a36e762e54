"""SIGKILL of real processes, at random moments and at lines of ours: the next process finishes, by the vendors' books.

By hand: `LADING_KILLS=2000 pytest tests/crash/test_real_kills.py -k random`, and for the first and the last execution
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

import lading_mocks
from kit.deployment import BDP, CDP, JOBS, Deployment
from kit.zygote import Zygote

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

KILLS = int(os.environ.get("LADING_KILLS", "100"))
#: kills between two looks at the books
PER_LOOK = 9
SHARES = 4
#: of so many kills one is that of the command as a person starts it; the others are of forks of a warm process
STARTED = 12
_COME_AND_GO = tuple(f'"G{n}"' for n in range(12, 16))


@pytest.mark.timeout(120 + 5 * KILLS)
@pytest.mark.parametrize("share", range(SHARES))
def test_a_kill_at_a_random_moment_loses_nothing_and_repeats_nothing(tmp_path: Path, share: int) -> None:
    """Sources change, a sync starts, and dies somewhere; after a few deaths one may finish, and the books are read."""
    draw = random.Random(share)  # noqa: S311 - a test that can be repeated
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    with lading_mocks.serve(state_dir=tmp_path / "vendors") as mocks:
        deployment = Deployment(tmp_path, mocks)
        with Zygote(deployment) as zygote:
            _write(tmp_path, 0)
            begun = time.perf_counter()
            deployment.run("sync")
            started = time.perf_counter() - begun
            _write(tmp_path, 1)
            whole = zygote.run("sync").seconds
            died = 0
            for number in range(2, KILLS // SHARES + 2):
                _write(tmp_path, number)
                if number % STARTED == 0:
                    # The first half of a run is the starting of Python; what matters comes after it.
                    died += _killed(deployment, started * draw.uniform(0.25, 0.9))
                else:
                    died += zygote.run("sync", kill_after=whole * draw.uniform(0.02, 0.98)).killed
                if number % PER_LOOK == 0 or number == KILLS // SHARES + 1:
                    _finish(zygote)
                    _look(deployment, zygote, number)
    assert died > KILLS // SHARES // 2, "most processes had ended before they were to die"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_a_kill_at_lines_of_the_engine_loses_nothing_and_repeats_nothing(job: str) -> None:
    every = os.environ.get("LADING_LINES", "28")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-m", "kit.line_kills", job, "--every", every, "--from", str(int(every) // 2)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=290)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 violations" in done.stdout
    assert int(done.stdout.split()[1]) > 30


def _write(folder: Path, number: int) -> None:
    """Write sources in which some rows are those of before, some have changed, and some are new."""
    guests = [
        f"G{n},guest {_letters(number if n % 3 == 0 else 0)},guest{n}@example.com" for n in range(1, 12 + number % 5)
    ]
    (folder / "guests.csv").write_text(
        "\n".join(["id,name,email", *guests, "G0,bad,no-at-sign"]) + "\n", encoding="utf-8"
    )
    vehicles = [f"V{n},1HGCM82633A{(number if n % 4 == 0 else 0):03d}{n:03d},," for n in range(1, 9 + number % 4)]
    (folder / "vehicles.csv").write_text(
        "\n".join(["id,vin,plate,state", *vehicles, "V0,SHORT,,"]) + "\n", encoding="utf-8"
    )


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")


def _killed(deployment: Deployment, after: float) -> bool:
    """Start a sync, kill it after so many seconds, and say whether it was still running."""
    with (deployment.folder / "killed.log").open("ab") as log:
        process = subprocess.Popen(
            deployment.command("sync"), cwd=deployment.folder, env=deployment.environ(), stdout=log, stderr=log
        )
        time.sleep(after)
        process.kill()
        return process.wait() == -signal.SIGKILL


def _finish(zygote: Zygote) -> None:
    """Run the same command until it has nothing more to do: a newer version may have waited for one in flight."""
    for _ in range(2):
        assert zygote.run("sync").code in (0, 4), zygote.log.read_text("utf-8")[-5000:]
    assert "Traceback" not in zygote.log.read_text("utf-8")


def _look(deployment: Deployment, zygote: Zygote, number: int) -> None:
    """Hold the vendors' ledgers against each other and against the sources."""
    for vendor in (CDP, BDP):
        counts: Counter[str] = deployment.delivered(vendor)
        # The last guests leave with some sources and come back with others; nothing else is ever the same again.
        more = {
            name: count for name, count in counts.items() if count > 1 and not any(one in name for one in _COME_AND_GO)
        }
        assert not more, f"after {number} kills: {more}"
        assert all(one["uploads"] <= 1 for one in deployment.mocks.batches(vendor))
    held = {one["identifiers"][0]["id"] for one in _guests(deployment) if one.get("identifiers")}
    assert {f"G{n}" for n in range(1, 12 + number % 5)} <= held
    for run in zygote.json("history", "--limit", "5")["runs"]:
        assert run["settlement"]["unknown"] == 0


def _guests(deployment: Deployment) -> list[dict[str, list[dict[str, str]]]]:
    return [one.get("value", one) for one in deployment.mocks.store(CDP)]
