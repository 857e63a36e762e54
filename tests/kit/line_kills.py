"""`python -m kit.line_kills JOB`: forked processes that SIGKILL themselves at a line of reconcile/, journal/, sinks/.

A life is a whole `sync` from an empty state folder. It is lived once to write down every line that it executes. Then,
for the first and the last execution of each line (and with `--stride` for others): fork, die there, fork again, go on
with what is on disk, and be judged by the vendor's books. The parent imports everything and runs nothing, so that a
fork is safe.
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
from batchsync.journal.schema import right_shape
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import resume, sync
from batchsync.spec.vendor_spec import available_vendors, load_vendor
from kit.matrix import Ending, Plan, Scenario
from kit.zygote import preloaded
from simulation.life import Fuse
from simulation.many import in_memory
from simulation.wire import plugged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, FrameType

    from simulation.life import Process

_ROOMS = tuple(f"/batchsync/{room}/" for room in ("reconcile", "journal", "sinks"))

Line = tuple[str, int]


class FromNothing(Scenario):
    """The scenario, begun with an empty state folder, so that planning and staging are part of its life."""

    def restore(self) -> None:
        """Forget everything, at the vendors too."""
        shutil.rmtree(self.state)
        self._begin()

    def go_on(self) -> Ending:
        """Go on with what a killed process left, or begin again where it left nothing, and be judged."""
        self._open_world()
        with plugged(self.network):
            self._resume(Fuse())
        return Ending(self._batch(), list(self._complaints(Plan("killed"))))

    def _resume_in(self, one: Process) -> None:
        # Not `sync` again: what a vendor refused for a reason of its own is rightly sent anew by the next run.
        command = resume if one.journal.last_run(self.job) else sync
        for outcome in command(one.contexts, one.world, WaitPolicy()):
            if outcome.error is not None and not isinstance(outcome.error, UnavailableError):
                raise outcome.error


def main() -> int:
    """Kill and judge; print how many lines died and what was wrong."""
    parser = argparse.ArgumentParser(prog="kit.line_kills")
    parser.add_argument("job", choices=["guests", "vehicles"])
    parser.add_argument("--every", type=int, default=1, help="of the first and last executions, die at every n-th")
    parser.add_argument("--from", dest="first", type=int, default=0, help="and begin with this one")
    parser.add_argument("--stride", type=int, default=0, help="die at every n-th of all executed lines too")
    given = parser.parse_args()
    preloaded()
    right_shape("table", "index")
    for name in available_vendors():
        load_vendor(name)
    folder = Path(tempfile.mkdtemp(prefix="batchsync-lines-", dir=in_memory()))
    try:
        lines = _recorded(given.job, folder)
        deaths = _deaths(lines, given.first, given.every, given.stride)
        bad = [wrong for at in deaths if (wrong := _died_and_judged(given.job, folder, at, lines[at - 1]))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = f"{len(deaths)} lines died, {len(bad)} violations; {len(set(lines))} lines are executed {len(lines)} times"
    took = f"{used.ru_utime + used.ru_stime:.0f} s of processor"
    sys.stdout.write("\n".join([f"{given.job}: {told}; {took}", *bad, ""]))
    return bool(bad)


def _deaths(lines: Sequence[Line], first: int, every: int, stride: int) -> list[int]:
    """Return at the how-manieth executed line to die, counted from 1."""
    firsts: dict[Line, int] = {}
    lasts: dict[Line, int] = {}
    for number, line in enumerate(lines, start=1):
        firsts.setdefault(line, number)
        lasts[line] = number
    chosen = sorted({*firsts.values(), *lasts.values()})[first::every]
    return sorted({*chosen, *(range(stride, len(lines), stride) if stride else ())})


def _recorded(job: str, folder: Path) -> list[Line]:
    """Return every line of ours that a whole life executes, in order. The scenario is made on the way, in a child."""
    told = folder / "lines"

    def live() -> int:
        FromNothing(job, folder / "scenario")
        lines: list[str] = []
        _lived(job, folder, lambda name, number: lines.append(f"{name}\t{number}"))
        told.write_text("\n".join(lines), encoding="utf-8")
        return 0

    if _forked(live):
        raise SystemExit("the life could not be lived")
    split = (line.split("\t") for line in told.read_text("utf-8").splitlines())
    return [(name, int(number)) for name, number in split]


def _died_and_judged(job: str, folder: Path, at: int, line: Line) -> str:
    """Die at the n-th line and let the next process finish; return what was wrong, or nothing."""
    left = [at]

    def die(_name: str, _number: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    where = f"{job} at {line[0].partition('/batchsync/')[2]}:{line[1]} (line {at})"
    if (ended := _forked(lambda: _lived(job, folder, die))) != -signal.SIGKILL:
        return f"{where}: the process ended with {ended} instead of being killed"
    told = folder / "told"
    told.unlink(missing_ok=True)
    if _forked(lambda: _judge(job, folder, told)):
        return f"{where}: {told.read_text('utf-8') if told.exists() else 'the next process failed'}"
    return ""


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


def _lived(job: str, folder: Path, told: Callable[[str, int], None]) -> int:
    """Live a whole life from nothing; `told` hears of each line of ours before it is executed."""
    scenario = FromNothing.reopened(job, folder / "scenario")
    scenario.restore()
    ours: dict[CodeType, bool] = {}

    def lines(frame: FrameType, event: str, _what: object) -> object:
        if event == "line":
            told(frame.f_code.co_filename, frame.f_lineno)
        return lines

    def calls(frame: FrameType, _event: str, _what: object) -> object:
        code = frame.f_code
        if code not in ours:
            ours[code] = any(room in code.co_filename for room in _ROOMS)
        return lines if ours[code] else None

    sys.settrace(calls)
    try:
        scenario.run_once()
    finally:
        sys.settrace(None)
    return 0


def _judge(job: str, folder: Path, told: Path) -> int:
    ending = FromNothing.reopened(job, folder / "scenario").go_on()
    complaints = list(ending.complaints)
    if not ending.batch.counts or ending.batch.counts.total != 2:
        complaints.append(f"its books are {ending.batch.counts}")
    if ending.batch.phase is not Phase.DELIVERED:
        complaints.append(f"it ended {ending.batch.phase}: {ending.batch.reason}")
    told.write_text("; ".join(complaints), encoding="utf-8")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
