"""Choose and make the executor of a deployment. Nothing starts before its first task."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from batchsync.core.executor_choice import DASK, PROCESSES, THREADS, TaskLimits

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from batchsync.core.executor_choice import ExecutorChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskAccess:
    """How the scheduler of a Dask cluster is reached; these are settings of the machine.

    Attributes:
        address: Its address, such as `tls://scheduler.example.com:8786`; empty if none is set.
        ca: PEM file of the authority that both sides trust.
        certificate: PEM file of the certificate of this process.
        key: PEM file of its key.
        unencrypted: Whether `tcp://` is allowed to other machines.
    """

    address: str = ""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    unencrypted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """Settings of the process that prepares.

    Attributes:
        state_folder: The state folder.
        limits: Tries and time limit of a task.
        dask: Access to a Dask cluster.
    """

    state_folder: Path
    limits: TaskLimits = field(default_factory=TaskLimits)
    dask: DaskAccess = field(default_factory=DaskAccess)


def make_executor(choice: ExecutorChoice, settings: ExecutionSettings) -> Executor | None:
    """Return an executor, which starts with its first task; None for threads of this process.

    Args:
        choice: The choice of jobs.yaml.
        settings: Settings of this process.

    Returns:
        The executor, which `shutdown` ends at once, whatever it runs.

    Raises:
        UsageError: If its packages or settings are missing.
    """
    if choice.kind == THREADS:
        return None
    # Only what is chosen is imported: `multiprocessing` and Dask cost each command time.
    if choice.kind == PROCESSES:
        module = import_module("batchsync.executors.processes")
        executor: Executor = module.ProcessExecutor(choice.workers or cores(), settings.limits)
        return executor
    name = "dask_backend" if choice.kind == DASK else "installed_backend"
    supervised = import_module("batchsync.executors.supervised")
    backend = import_module(f"batchsync.executors.{name}").make_backend(choice, settings)
    result: Executor = supervised.SupervisedExecutor(backend, settings.limits)
    return result


def cores() -> int:
    """Return the number of cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, allowed or 1)
