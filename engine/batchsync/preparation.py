"""Where records are prepared, and with which resources: jobs.yaml, overridden by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.deployment import Resources
from batchsync.core.executor_choice import ExecutorChoice, TaskLimits
from batchsync.executors.opening import DaskAccess, ExecutionSettings, make_executor

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batchsync.settings import Settings


def resolved(declared: Resources, settings: Settings) -> Resources:
    """Return the resources of preparation: those of the settings, else of jobs.yaml.

    Args:
        declared: What jobs.yaml says.
        settings: The settings. Little memory means a single thread of this process.
    """
    memory = settings.memory or declared.memory
    small = memory == "small"
    threads = settings.threads or declared.threads or (1 if small else None)
    return Resources(threads=threads, memory=memory, executor=ExecutorChoice() if small else declared.executor)


def executor_of(resources: Resources, settings: Settings) -> Executor | None:
    """Return the executor of tasks, which starts with the first of them; None for threads of this process.

    Args:
        resources: The resolved resources.
        settings: The settings.

    Raises:
        UsageError: If packages or settings of the executor are missing.
    """
    dask = DaskAccess(
        address=settings.dask_address or "",
        ca=settings.dask_tls_ca,
        certificate=settings.dask_tls_cert,
        key=settings.dask_tls_key,
        unencrypted=settings.dask_allow_tcp,
    )
    limits = TaskLimits(tries=settings.task_tries, seconds=settings.task_timeout.total_seconds())
    execution = ExecutionSettings(state_folder=settings.state_folder.absolute(), limits=limits, dask=dask)
    return make_executor(resources.executor, execution)
