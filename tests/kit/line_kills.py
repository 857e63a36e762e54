"""`python -m kit.line_kills JOB`: forked processes that SIGKILL themselves at a line of reconcile/, journal/, sinks/.

For each n: fork, die there, fork again, go on from what is on disk, and be judged by the vendor's books. The parent
imports everything and runs nothing, so that a fork is safe. `--stride 1` visits every line (about an hour).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kit.matrix import Scenario
from lading.core.batch import Phase
from simulation.many import in_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_ROOMS = tuple(f"/lading/{room}/" for room in ("reconcile", "journal", "sinks"))


def main() -> int:
    """Kill and judge; print how many lines died and what was wrong."""
    parser = argparse.ArgumentParser(prog="kit.line_kills")
    parser.add_argument("job", choices=["guests", "vehicles"])
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lading-lines-", dir=in_memory()))
    try:
        bad, kills = _all(given.job, folder, given.first, given.stride)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write("\n".join([f"{given.job}: {kills} lines died, {len(bad)} violations", *bad, ""]))
    return bool(bad)


def _all(job: str, folder: Path, first: int, stride: int) -> tuple[list[str], int]:
    """Return what was wrong, and how many processes were killed. The scenario is made once, in a child."""
    bad: list[str] = []
    told = folder / "told"
    if _forked(lambda: _prepare(job, folder)):
        return ["the scenario could not be prepared"], 0
    at, kills = first, 0
    while True:
        ended = _forked(lambda at=at: _die(job, folder, at))
        if ended == 0:
            return bad, kills
        if ended != -signal.SIGKILL:
            return [*bad, f"line {at}: the process ended with {ended} instead of being killed"], kills
        kills += 1
        told.unlink(missing_ok=True)
        if _forked(lambda: _judge(job, folder, told)):
            bad.append(f"line {at} of {job}: {told.read_text() if told.exists() else 'the next process failed'}")
        at += stride


def _forked(work: Callable[[], int]) -> int:
    """Run the work in a child and return how it ended: 0, an exit code, or minus the signal."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = work()
        except Exception as error:  # noqa: BLE001 - the parent must hear of it, whatever it is
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _prepare(job: str, folder: Path) -> int:
    Scenario(job, folder / "scenario")
    return 0


def _die(job: str, folder: Path, at: int) -> int:
    """Live until the line of that number; 0 when the life has fewer lines."""
    scenario = Scenario.reopened(job, folder / "scenario")
    scenario.restore()
    left = [at]

    def lines(_frame: FrameType, event: str, _what: object) -> object:
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return lines

    def calls(frame: FrameType, _event: str, _what: object) -> object:
        return lines if any(room in frame.f_code.co_filename for room in _ROOMS) else None

    sys.settrace(calls)
    scenario.run_once()
    sys.settrace(None)
    return 0


def _judge(job: str, folder: Path, told: Path) -> int:
    ending = Scenario.reopened(job, folder / "scenario").go_on()
    complaints = list(ending.complaints)
    if ending.batch.phase is not Phase.DELIVERED:
        complaints.append(f"it ended {ending.batch.phase}: {ending.batch.reason}")
    told.write_text("; ".join(complaints))
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
