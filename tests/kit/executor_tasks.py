"""Tasks for tests of executors. Workers are other processes, so that what happened there is counted in files."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.errors import Problem, SourceError, SpecError
from batchsync.ports import ObjectConflictError

if TYPE_CHECKING:
    from pathlib import Path

#: Longer than any time limit of a test.
_LONG = 300


@dataclass(frozen=True)
class Task:
    """A task that notes each of its tries in a file, and fails in some of them."""

    notes: Path
    label: str = "rows 1 to 9 of guests"
    failing: int = 0

    def begin(self) -> int:
        """Return the number of this try, after its process was noted."""
        with self.notes.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        return len(self.tries())

    def tries(self) -> list[int]:
        """Return the processes of all tries."""
        return [int(line) for line in self.notes.read_text(encoding="utf-8").split()] if self.notes.exists() else []


def note(task: Task) -> int:
    """Return the process that runs the task."""
    task.begin()
    return os.getpid()


def die(task: Task) -> int:
    """Kill the worker in the first tries."""
    if task.begin() <= task.failing:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def hang(task: Task) -> int:
    """Take too long in the first tries."""
    if task.begin() <= task.failing:
        time.sleep(_LONG)
    return os.getpid()


def stop(task: Task) -> int:
    """Stop the whole worker in the first tries, as a machine that is suspended."""
    if task.begin() <= task.failing:
        os.kill(os.getpid(), signal.SIGSTOP)
    return os.getpid()


def leave(task: Task) -> None:
    """End the worker by itself."""
    task.begin()
    os._exit(7)


def interrupt(task: Task) -> int:
    """Receive what Ctrl-C sends to all processes of a terminal."""
    task.begin()
    os.kill(os.getpid(), signal.SIGINT)
    return os.getpid()


def wait_for(task: Task) -> int:
    """Return when a file exists."""
    release = task.notes.with_suffix(".release")
    task.begin()
    while not release.exists():
        time.sleep(0.01)
    return os.getpid()


def refuse(task: Task) -> None:
    """Raise an error of batchsync."""
    task.begin()
    raise SourceError(f"{task.notes}: row 3: not a number", hint="correct the row", name="source.changed")


def refuse_spec(_: Task) -> None:
    """Raise an error whose constructor takes no message."""
    raise SpecError((Problem(code="spec.value", message="bad value", file="jobs.yaml", line=3),))


def conflict(_: Task) -> None:
    """Raise an error whose constructor takes a key."""
    raise ObjectConflictError("segments/guests/a.parquet")


def fail(task: Task) -> None:
    """Raise an error of Python."""
    task.begin()
    raise ValueError("defect")


class OddError(Exception):
    """An error that cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


def fail_oddly(_: Task) -> None:
    """Raise an error that cannot be unpickled."""
    raise OddError("first", "second")


def unpicklable(_: Task) -> object:
    """Return what cannot be pickled."""
    return threading.Lock()


def library_threads(_: Task) -> str:
    """Return the number of threads that polars would use."""
    return os.environ["POLARS_MAX_THREADS"]
