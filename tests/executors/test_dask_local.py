"""Dask on this machine: encrypted, with answers and errors as in this process, and workers that die or hang."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.core.executor_choice import ExecutorChoice, TaskLimits
from batchsync.errors import SourceError, UnavailableError
from batchsync.executors.opening import ExecutionSettings, make_executor
from batchsync.executors.probe import examine_workers
from batchsync.storage.local_folder import LocalFolder
from batchsync.util.executor import TaskPool
from kit import executor_tasks as tasks
from kit.executor_tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """Two worker processes; a task that hangs is given up after a while that others do not need."""
    limits = TaskLimits(tries=2, seconds=15)
    settings = ExecutionSettings(state_folder=tmp_path_factory.mktemp("dask"), limits=limits)
    found = make_executor(ExecutorChoice(kind="dask", workers=2), settings)
    assert found is not None
    with found:
        yield found


def test_tasks_run_on_workers_and_answer_in_order(executor: Executor, tmp_path: Path) -> None:
    workers = TaskPool(executor=executor)
    items = [Task(tmp_path / str(number)) for number in range(4)]
    done = list(workers.map_in_order(tasks.note, items))
    assert workers.concurrency == 2
    assert done == [item.tries()[0] for item in items]


def test_errors_pass_as_they_are(executor: Executor, tmp_path: Path) -> None:
    task = Task(tmp_path / "task")
    with pytest.raises(SourceError, match="row 3: not a number") as raised:
        executor.submit(tasks.refuse, task).result()
    assert (raised.value.hint, raised.value.name, len(task.tries())) == ("correct the row", "source.changed", 1)
    with pytest.raises(TypeError, match="cannot be pickled"):
        executor.submit(tasks.unpicklable, task).result()


def test_connections_are_encrypted_and_workers_share_the_state_folder(executor: Executor, tmp_path: Path) -> None:
    found = list(examine_workers(executor, LocalFolder(tmp_path / "state"), "token"))
    assert len(found) == 2
    assert all(item.worker.startswith("tls://127.0.0.1:") and not item.fix for item in found)


def test_task_of_a_killed_worker_is_tried_again_and_ends_after_the_last_try(executor: Executor, tmp_path: Path) -> None:
    once, always = Task(tmp_path / "once", failing=1), Task(tmp_path / "always", failing=9)
    assert executor.submit(tasks.die, once).result() == once.tries()[1]
    with pytest.raises(UnavailableError, match=r"^rows 1 to 9 of guests: .* died, one after the other$"):
        executor.submit(tasks.die, always).result()
    assert len(always.tries()) == 2
    assert executor.submit(tasks.note, Task(tmp_path / "next")).result()
