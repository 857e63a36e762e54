"""`python -m kit.line_kills JOB`: forked processes that SIGKILL themselves at a line of reconcile/, journal/, sinks/.

The command is a `sync` from an empty state folder. It runs once to record every line that it executes. Then, for the
first and the last execution of each line (and with `--stride` for others): fork, die there, fork again, resume from
disk, and compare with the vendor's ledger. The parent imports everything and runs nothing, so that forks are safe.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.errors import UnavailableError
from batchsync.journal.schema import expected_shape
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import resume, sync
from batchsync.spec.vendor_spec import available_vendors, load_vendor
from kit.matrix import Ending, FaultPlan, Scenario
from kit.zygote import preload
from simulation.network import connected
from simulation.process_life import CrashPoint
from simulation.seeds import memory_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, FrameType

    from simulation.process_life import Process

_FOLDERS = tuple(f"/batchsync/{name}/" for name in ("reconcile", "journal", "sinks"))

Line = tuple[str, int]


class FromNothing(Scenario):
    """The scenario with an empty state folder, so that planning and staging are part of the run."""

    def restore(self) -> None:
        """Delete the state and that of the vendors."""
        shutil.rmtree(self.state)
        self._begin()

    def resume_from_disk(self) -> Ending:
        """Resume the run of a killed process, or start it if there is none, and return how it ended."""
        self._open_world()
        with connected(self.network):
            self._resume(CrashPoint())
        return Ending(self._batch(), list(self._complaints(FaultPlan("killed"))))

    def _resume_in(self, life: Process) -> None:
        # Not `sync` again: the next run rightly sends rows again that a vendor refused for a reason of its own.
        command = resume if life.journal.last_run(self.job) else sync
        for outcome in command(life.contexts, life.services, WaitPolicy()):
            if outcome.error is not None and not isinstance(outcome.error, UnavailableError):
                raise outcome.error


def main() -> int:
    """Run all kills; print how many there were and all violations."""
    parser = argparse.ArgumentParser(prog="kit.line_kills")
    parser.add_argument("job", choices=["guests", "vehicles"])
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th of the first and last executions")
    parser.add_argument("--from", dest="first", type=int, default=0, help="index of the first of them")
    parser.add_argument("--stride", type=int, default=0, help="also kill at every n-th of all executed lines")
    given = parser.parse_args()
    preload()
    expected_shape("table", "index")
    for name in available_vendors():
        load_vendor(name)
    folder = Path(tempfile.mkdtemp(prefix="batchsync-lines-", dir=memory_folder()))
    try:
        lines = _recorded(given.job, folder)
        kills = _kills(lines, given.first, given.every, given.stride)
        bad = [violation for at in kills if (violation := _kill_and_check(given.job, folder, at, lines[at - 1]))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    counts = f"{len(kills)} kills, {len(bad)} violations; {len(set(lines))} lines are executed {len(lines)} times"
    took = f"{used.ru_utime + used.ru_stime:.0f} s of processor time"
    sys.stdout.write("\n".join([f"{given.job}: {counts}; {took}", *bad, ""]))
    return bool(bad)


def _kills(lines: Sequence[Line], first: int, every: int, stride: int) -> list[int]:
    """Return the numbers of executed lines at which to kill, counted from 1."""
    firsts: dict[Line, int] = {}
    lasts: dict[Line, int] = {}
    for number, line in enumerate(lines, start=1):
        firsts.setdefault(line, number)
        lasts[line] = number
    chosen = sorted({*firsts.values(), *lasts.values()})[first::every]
    return sorted({*chosen, *(range(stride, len(lines), stride) if stride else ())})


def _recorded(job: str, folder: Path) -> list[Line]:
    """Return every line of `_FOLDERS` that a run executes, in order; a child process makes the scenario and runs it."""
    log = folder / "lines"

    def record() -> int:
        FromNothing(job, folder / "scenario")
        lines: list[str] = []
        _run(job, folder, lambda name, number: lines.append(f"{name}\t{number}"))
        log.write_text("\n".join(lines), encoding="utf-8")
        return 0

    if _forked(record):
        raise SystemExit("the run failed")
    split = (line.split("\t") for line in log.read_text("utf-8").splitlines())
    return [(name, int(number)) for name, number in split]


def _kill_and_check(job: str, folder: Path, at: int, line: Line) -> str:
    """Kill at the n-th line and let the next process finish; return violations, or an empty text."""
    left = [at]

    def die(_name: str, _number: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    where = f"{job} at {line[0].partition('/batchsync/')[2]}:{line[1]} (line {at})"
    if (code := _forked(lambda: _run(job, folder, die))) != -signal.SIGKILL:
        return f"{where}: the process ended with {code} instead of being killed"
    report = folder / "violations"
    report.unlink(missing_ok=True)
    if _forked(lambda: _check(job, folder, report)):
        return f"{where}: {report.read_text('utf-8') if report.exists() else 'the next process failed'}"
    return ""


def _forked(work: Callable[[], int]) -> int:
    """Run the work in a child process and return its exit code, or minus its signal."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = work()
        except Exception as error:  # noqa: BLE001 - any error must reach the parent
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(job: str, folder: Path, on_line: Callable[[str, int], None]) -> int:
    """Run from an empty state; `on_line` is called before each line of `_FOLDERS` is executed."""
    scenario = FromNothing.reopened(job, folder / "scenario")
    scenario.restore()
    traced: dict[CodeType, bool] = {}

    def lines(frame: FrameType, event: str, _argument: object) -> object:
        if event == "line":
            on_line(frame.f_code.co_filename, frame.f_lineno)
        return lines

    def calls(frame: FrameType, _event: str, _argument: object) -> object:
        code = frame.f_code
        if code not in traced:
            traced[code] = any(folder in code.co_filename for folder in _FOLDERS)
        return lines if traced[code] else None

    sys.settrace(calls)
    try:
        scenario.run_once()
    finally:
        sys.settrace(None)
    return 0


def _check(job: str, folder: Path, report: Path) -> int:
    ending = FromNothing.reopened(job, folder / "scenario").resume_from_disk()
    complaints = list(ending.complaints)
    if not ending.batch.counts or ending.batch.counts.total != 2:
        complaints.append(f"its row counts are {ending.batch.counts}")
    if ending.batch.phase is not Phase.DELIVERED:
        complaints.append(f"it ended as {ending.batch.phase}: {ending.batch.reason}")
    report.write_text("; ".join(complaints), encoding="utf-8")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
