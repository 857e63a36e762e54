"""Executors of installed packages: opened with the first call, and again after they break or hang."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from batchsync.core.executor_choice import ExecutorChoice, TaskLimits
from batchsync.errors import SourceError, UnavailableError
from batchsync.executors.opening import ExecutionSettings, make_executor
from batchsync.ports import ExecutorSettings
from batchsync.util.executor import TaskPool
from kit import executor_tasks as tasks
from kit.executor_tasks import Task
from kit.installed import install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

CODE = r"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

OPENED = []

@contextmanager
def pool(options, settings):
    if "fails" in options:
        raise OSError("no service")
    OPENED.append((options, settings))
    executor = ProcessPoolExecutor(options["workers"], multiprocessing.get_context("spawn"))
    executor.concurrency = options["workers"]
    try:
        yield executor
    finally:
        processes = list(executor._processes.values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
"""
POINTS = "[batchsync.executors]\npool = acme_batchsync:pool\n"


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    """A pool of one process, in a package that is installed for the test."""
    monkeypatch.syspath_prepend(str(install(tmp_path, monkeypatch, CODE, POINTS).parent))
    monkeypatch.delitem(sys.modules, "acme_batchsync", raising=False)
    with made(tmp_path, {"workers": 1}) as found:
        yield found


def made(folder: Path, options: dict[str, object], kind: str = "pool") -> Executor:
    settings = ExecutionSettings(state_folder=folder, limits=TaskLimits(tries=2, seconds=3))
    executor = make_executor(ExecutorChoice(kind=kind, options=options), settings)
    assert executor is not None
    return executor


def opened() -> list[tuple[dict[str, object], object]]:
    """Return what the package was given each time."""
    found: list[tuple[dict[str, object], object]] = import_module("acme_batchsync").OPENED
    return found


def test_package_gets_options_and_settings(executor: Executor, tmp_path: Path) -> None:
    workers = TaskPool(executor=executor)
    task = Task(tmp_path / "note")
    assert list(workers.map_in_order(tasks.note, [task])) == task.tries()
    [(options, settings)] = opened()
    assert options == {"workers": 1}
    assert settings == ExecutorSettings(state_folder=tmp_path, task_seconds=3, task_tries=2)
    assert workers.concurrency == 1


@pytest.mark.parametrize("work", [tasks.die, tasks.hang])
def test_executor_that_breaks_or_hangs_is_opened_again(
    executor: Executor, tmp_path: Path, work: Callable[[Task], int]
) -> None:
    task = Task(tmp_path / "task", failing=1)
    assert executor.submit(work, task).result() == task.tries()[1]
    assert len(opened()) == 2


def test_task_that_always_breaks_the_executor_ends_with_an_error(executor: Executor, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"^rows 1 to 9 .*: tried 2 times .* pool broke: BrokenProcessPool$"):
        executor.submit(tasks.die, Task(tmp_path / "task", failing=9)).result()


def test_error_of_a_task_passes(executor: Executor, tmp_path: Path) -> None:
    task = Task(tmp_path / "task")
    with pytest.raises(SourceError, match="row 3: not a number"):
        executor.submit(tasks.refuse, task).result()
    assert len(task.tries()) == 1


def test_executor_that_does_not_start_and_one_that_is_missing(executor: Executor, tmp_path: Path) -> None:
    assert executor
    with (
        made(tmp_path, {"fails": True}) as failing,
        pytest.raises(UnavailableError, match=r"^the executor pool does not start: OSError: no service$") as raised,
    ):
        failing.submit(tasks.note, Task(tmp_path / "task")).result()
    assert raised.value.hint
    with (
        made(tmp_path, {}, kind="ray") as missing,
        pytest.raises(UnavailableError, match="no installed package registers executor ray"),
    ):
        missing.submit(tasks.note, Task(tmp_path / "task")).result()
