"""What `executor:` of jobs.yaml chooses: where the tasks of preparation run."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Kinds of executors that batchsync has itself; every other kind is the name of an installed package's.
THREADS, PROCESSES, DASK = "threads", "processes", "dask"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorChoice:
    """An executor, which does not affect what is sent.

    Attributes:
        kind: threads, processes, dask, or the name of an executor that an installed package registers.
        workers: Number of worker processes; None: one for each core.
        cluster: Whether Dask is a cluster whose address is a setting, instead of processes of this machine.
        options: What the file gives to an executor of an installed package.
    """

    kind: str = THREADS
    workers: int | None = None
    cluster: bool = False
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """How often a task is tried, and for how long.

    A try fails if the worker that runs the task dies, or if the task takes longer than `seconds`.
    """

    tries: int = 3
    seconds: float = 600
