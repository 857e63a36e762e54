"""Port of executors of installed packages, the entry point group `batchsync.executors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """What an executor may need to know of the process that uses it.

    Attributes:
        state_folder: The state folder, absolute, which all workers must reach under the same path.
        task_seconds: Time limit of a task, which batchsync enforces itself.
        task_tries: Number of tries of a task, which batchsync counts itself.
    """

    state_folder: Path
    task_seconds: float
    task_tries: int


class OpenExecutor(Protocol):
    """Opens an executor."""

    def __call__(self, options: Mapping[str, Any], settings: ExecutorSettings, /) -> AbstractContextManager[Executor]:
        """Return a context with an executor of `concurrent.futures`, which ends its workers when it is left.

        Entered when there is a first task, and again after the executor broke (`BrokenExecutor`) or a task exceeded its
        time. Tasks are module-level functions of batchsync with picklable arguments and results; the workers need the
        same versions of batchsync, polars and pyarrow.

        Args:
            options: The mapping of jobs.yaml, `executor: {NAME: {...}}`, with variables of the environment filled in.
            settings: Settings of this process.

        Returns:
            The context. An attribute `concurrency` of the executor is the number of tasks that it runs at a time;
            without it, one for each core of this machine is submitted.
        """
        ...
