"""Surroundings in which changes become batch files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.ports import EventSink, ObjectStore
    from batchsync.util.executor import TaskPool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """Surroundings of a stage.

    Attributes:
        objects: Store of batch files, row manifests and baseline segments.
        workers: Task pool.
        shared: Returns the store in which the tasks of an executor leave what other tasks read, by the folder of the
            comparison; None if all rows come back to this process.
        events: Receives progress.
        stopped: Called often; the stage ends soon after it returned true.
    """

    objects: ObjectStore
    workers: TaskPool
    shared: Callable[[Path], ObjectStore] | None = None
    events: EventSink | None = None
    stopped: Callable[[], bool] = lambda: False
