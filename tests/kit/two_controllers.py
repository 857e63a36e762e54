"""Two controllers on one state folder, killed and started again: each tick of a schedule is run once.

As a script, a longer campaign: `python -m kit.two_controllers FOLDER KILLS SEED` from the folder `tests`.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import batchsync_mocks
from kit.deployment import CDP, JOBS, Deployment, write_sources
from kit.draws import draws

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = timedelta(minutes=10)
_REPLACED = "guests.csv was changed while it was read"
SCHEDULE = "    schedule: {every: 10m, catch_up: all, jitter: 3m}\n    on_removed:"


@dataclass(frozen=True)
class Played:
    """Figures of a campaign, and what was wrong."""

    kills: int
    ticks: int
    runs: int
    batches: int
    problems: tuple[str, ...]


def play(deployment: Deployment, kills: int, seed: int, *, pause: float = 0.8) -> Played:
    """Serve a job by two processes, kill one after the other, and judge the journal and the ledger of the vendor.

    Args:
        deployment: The deployment; its job guests gets a schedule of every ten minutes.
        kills: Number of kills.
        seed: Seed of the times between them, and of who is killed.
        pause: Mean seconds between two kills.
    """
    deployment.edit("    on_removed:", SCHEDULE)
    rng = draws(seed)
    running = [_start(deployment, number) for number in range(2)]
    try:
        _wait_for_ticks(deployment, 2)
        for number in range(kills):
            _add_row(deployment, f"K{number}")
            time.sleep(rng.uniform(0, 2 * pause))
            victim = rng.randrange(2)
            running[victim].kill()
            running[victim].wait()
            running[victim] = _start(deployment, victim)
        _wait_for_ticks(deployment, len(_claimed(deployment)) + 2)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=60) for process in running]
    deployment.run("resume", "guests")
    return _judged(deployment, kills, codes)


def _start(deployment: Deployment, number: int) -> subprocess.Popen[bytes]:
    with (deployment.folder / f"controller-{number}.log").open("ab") as log:
        return subprocess.Popen(
            deployment.command("serve", "guests"),
            cwd=deployment.folder,
            env=deployment.environ(),
            stdout=log,
            stderr=log,
        )


def _add_row(deployment: Deployment, key: str) -> None:
    file = deployment.folder / "guests.csv"
    new = file.with_suffix(".new")
    new.write_text(file.read_text(encoding="utf-8") + f"{key},guest {key},{key}@example.com\n", encoding="utf-8")
    new.rename(file)


def _rows(deployment: Deployment, sql: str) -> list[tuple[str, ...]]:
    file = deployment.folder / ".batchsync" / "mocks" / "journal.db"
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        return db.execute(sql).fetchall() if "ticks" in tables else []


def _claimed(deployment: Deployment) -> list[datetime]:
    """Return the claimed ticks; the first entry is the time at which the job was first seen."""
    found = _rows(deployment, "SELECT tick_at FROM ticks WHERE job = 'guests' ORDER BY tick_at")
    return [datetime.fromisoformat(at) for (at,) in found]


def _wait_for_ticks(deployment: Deployment, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(_claimed(deployment)) < count:
        assert time.monotonic() < deadline, "no ticks are run"
        time.sleep(0.05)


def _judged(deployment: Deployment, kills: int, codes: list[int]) -> Played:
    ticks = _claimed(deployment)[1:]
    runs = _rows(deployment, "SELECT id, state FROM runs WHERE job = 'guests' ORDER BY no")
    batches = _rows(deployment, "SELECT phase FROM batches")
    return Played(
        kills=kills,
        ticks=len(ticks),
        runs=len(runs),
        batches=len(batches),
        problems=tuple(_problems(deployment, ticks, runs, batches, codes)),
    )


def _problems(
    deployment: Deployment,
    ticks: list[datetime],
    runs: list[tuple[str, ...]],
    batches: list[tuple[str, ...]],
    codes: list[int],
) -> Iterator[str]:
    yield from (
        f"no tick between {earlier} and {later}" for earlier, later in pairwise(ticks) if later - earlier != EVERY
    )
    logs = [log.read_text(encoding="utf-8") for log in deployment.folder.glob("controller-*.log")]
    # A source that is replaced while it is read is final for its tick, which is claimed without a run.
    replaced = sum(log.count(_REPLACED) for log in logs)
    if not len(ticks) - replaced <= len(runs) <= len(ticks):
        yield f"{len(runs)} runs of {len(ticks)} ticks, {replaced} without a run"
    yield from (f"{run} is {state}" for run, state in runs if state != "settled")
    yield from (f"a batch is {phase}" for (phase,) in batches if phase != "delivered")
    yield from (f"{name} came {times} times" for name, times in deployment.delivered(CDP).items() if times > 1)
    yield from (f"a controller ended with {code}" for code in codes if code not in (-signal.SIGTERM, 143))
    yield from (log[-3000:] for log in logs if "Traceback" in log)


def main(folder: str, kills: str, seed: str) -> None:
    """Play a campaign in a folder and print its figures."""
    place = Path(folder)
    place.mkdir(parents=True)
    (place / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    write_sources(place)
    with batchsync_mocks.serve(state_dir=place / "vendors") as mocks:
        sys.stdout.write(f"{play(Deployment(place, mocks), int(kills), int(seed))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
