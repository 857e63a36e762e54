"""Worker processes: a process that dies, hangs or is stopped costs its own task a try, and no other task."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.executor_choice import TaskLimits
from batchsync.errors import BatchsyncError, SourceError, SpecError, UnavailableError, hide_values, show_values
from batchsync.executors.processes import ProcessExecutor
from batchsync.ports import ObjectConflictError
from batchsync.util.executor import TaskPool
from kit import executor_tasks as tasks
from kit.executor_tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Time limit of a task that ends by itself; a busy machine may need long for it.
_ENOUGH = 100.0


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessExecutor]:
    """Two processes without a tight time limit."""
    with ProcessExecutor(2, TaskLimits(tries=3, seconds=_ENOUGH)) as executor:
        yield executor


@pytest.fixture
def hasty() -> Iterator[ProcessExecutor]:
    """One process with a time limit that a test waits for."""
    with ProcessExecutor(1, TaskLimits(tries=2, seconds=1)) as executor:
        yield executor


def is_alive(process: int) -> bool:
    """Return whether a process runs; one that ended and was not awaited yet does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], Any], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_processes_run_calls_and_are_used_again(pool: ProcessExecutor, tmp_path: Path) -> None:
    done = [pool.submit(tasks.note, Task(tmp_path / str(number))).result() for number in range(4)]
    assert os.getpid() not in done
    assert len(set(done)) <= 2
    assert pool.submit(tasks.library_threads, Task(tmp_path / "threads")).result() == str(
        max(1, (os.cpu_count() or 1) // 2)
    )


def test_task_pool_takes_its_concurrency_from_the_executor(pool: ProcessExecutor, tmp_path: Path) -> None:
    workers = TaskPool(threads=7, executor=pool)
    assert workers.concurrency == 2
    assert workers.by_reference
    items = [Task(tmp_path / str(number)) for number in range(5)]
    assert len(list(workers.map_in_order(tasks.note, items))) == 5
    assert TaskPool(threads=7).concurrency == 7


@pytest.mark.parametrize("failing", [1, 2])
def test_task_of_killed_process_is_tried_again_in_another_one(
    pool: ProcessExecutor, tmp_path: Path, failing: int
) -> None:
    other = Task(tmp_path / "other")
    waiting = pool.submit(tasks.wait_for, other)
    wait_until(other.tries)
    task = Task(tmp_path / "killed", failing=failing)
    last = pool.submit(tasks.die, task).result()
    assert task.tries()[-1] == last
    assert len(set(task.tries())) == failing + 1
    # A task of another process goes on meanwhile.
    (tmp_path / "other.release").touch()
    assert other.tries() == [waiting.result()]


def test_task_whose_process_always_dies_ends_with_its_name_and_the_next_command(
    pool: ProcessExecutor, tmp_path: Path
) -> None:
    task = Task(tmp_path / "killed", failing=9)
    with pytest.raises(UnavailableError) as raised:
        pool.submit(tasks.die, task).result()
    assert raised.value.message == (
        "rows 1 to 9 of guests: tried 3 times without success; the last time, the worker process was killed by SIGKILL"
    )
    assert "run the same command again" in raised.value.hint
    assert raised.value.name == "environment.executor"
    assert raised.value.exit_code == 3
    assert len(task.tries()) == 3
    # The executor works as before.
    assert pool.submit(tasks.note, Task(tmp_path / "next")).result()


def test_task_without_a_name_and_a_process_that_ends_by_itself(pool: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"^a task of the preparation: .* ended with exit code 7$"):
        pool.submit(tasks.leave, Task(tmp_path / "left", label="")).result()


@pytest.mark.parametrize("work", [tasks.hang, tasks.stop])
def test_task_that_hangs_is_killed_and_tried_again(
    hasty: ProcessExecutor, tmp_path: Path, work: Callable[[Task], int]
) -> None:
    task = Task(tmp_path / "hung", failing=1)
    first_and_second = hasty.submit(work, task)
    assert first_and_second.result() == task.tries()[1]
    assert not is_alive(task.tries()[0])


def test_task_that_always_hangs_names_the_limit(hasty: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="tried 2 times without success; the last time, it took longer than 1 s"):
        hasty.submit(tasks.hang, Task(tmp_path / "hung", failing=9)).result()


def test_errors_of_a_task_pass_as_they_are_and_are_not_tried_again(pool: ProcessExecutor, tmp_path: Path) -> None:
    task = Task(tmp_path / "refused")
    with pytest.raises(SourceError) as raised:
        pool.submit(tasks.refuse, task).result()
    error = raised.value
    assert (error.message, error.hint, error.name) == (
        f"{tmp_path}/refused: row 3: not a number",
        "correct the row",
        "source.changed",
    )
    assert str(error) == error.message
    with pytest.raises(ValueError, match=r"^defect$"):
        pool.submit(tasks.fail, task).result()
    assert len(task.tries()) == 2


def test_errors_with_other_constructors_pass(pool: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as spec:
        pool.submit(tasks.refuse_spec, Task(tmp_path / "spec")).result()
    assert spec.value.problems[0].line == 3
    with pytest.raises(ObjectConflictError, match="exists with other content") as conflict:
        pool.submit(tasks.conflict, Task(tmp_path / "conflict")).result()
    assert conflict.value.hint


def test_error_of_a_worker_shows_no_value_of_the_environment(pool: ProcessExecutor, tmp_path: Path) -> None:
    values = {str(tmp_path): "${DATA}"}
    hide_values(values)
    try:
        with pytest.raises(BatchsyncError) as raised:
            pool.submit(tasks.refuse, Task(tmp_path / "refused")).result()
    finally:
        show_values(values)
    assert raised.value.message == str(raised.value) == "${DATA}/refused: row 3: not a number"


@pytest.mark.parametrize(
    ("work", "text"),
    [(tasks.unpicklable, "cannot pickle"), (tasks.fail_oddly, "OddError of a task, which cannot be pickled: first")],
)
def test_what_cannot_be_pickled_becomes_an_error(
    pool: ProcessExecutor, tmp_path: Path, work: Callable[[Task], object], text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        pool.submit(work, Task(tmp_path / "odd")).result()
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        pool.submit(lambda _: 1, None).result()
    assert pool.submit(tasks.note, Task(tmp_path / "next")).result()


def test_interrupt_of_the_terminal_does_not_end_a_task(pool: ProcessExecutor, tmp_path: Path) -> None:
    task = Task(tmp_path / "interrupted")
    assert [pool.submit(tasks.interrupt, task).result()] == task.tries()


def test_shutdown_ends_running_tasks_and_all_processes(tmp_path: Path) -> None:
    running, waiting = Task(tmp_path / "running", failing=9), Task(tmp_path / "waiting")
    with ProcessExecutor(1, TaskLimits(tries=3, seconds=_ENOUGH)) as executor:
        hung = executor.submit(tasks.hang, running)
        pending = executor.submit(tasks.note, waiting)
        wait_until(running.tries)
    with pytest.raises(CancelledError):
        hung.result()
    assert pending.cancelled()
    assert not is_alive(running.tries()[0])
    assert (len(running.tries()), waiting.tries()) == (1, [])
    with pytest.raises(RuntimeError):
        executor.submit(tasks.note, waiting)


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Whether they run a task or wait for one."""
    script = """
import os, signal, sys, time
from pathlib import Path
from batchsync.core.executor_choice import TaskLimits
from batchsync.executors.processes import ProcessExecutor
from kit import executor_tasks as tasks
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    pool = ProcessExecutor(2, TaskLimits())
    running = tasks.Task(folder / "running", failing=9)
    pool.submit(tasks.hang, running)
    while not running.tries():
        time.sleep(0.01)
    pool.submit(tasks.note, tasks.Task(folder / "idle")).result()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(item for item in sys.path if item)}
    subprocess.run([sys.executable, tmp_path / "script.py", tmp_path], env=environ, check=False, timeout=60)
    processes = [*Task(tmp_path / "running").tries(), *Task(tmp_path / "idle").tries()]
    assert len(set(processes)) == 2
    wait_until(lambda: not any(map(is_alive, processes)))
