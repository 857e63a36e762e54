"""An executor whose workers die while they run tasks, and that runs some tasks twice; each task ends well at last."""

from __future__ import annotations

import pickle
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.storage.local_folder import LocalFolder
from kit.draws import draws

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.ports import ObjectInfo


def pickled(value: Any) -> Any:
    """Return a copy as another process receives it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


class WorkerDiedError(BaseException):
    """The process of a task ended."""


class DyingWorkers(Executor):
    """Workers of a cluster: each task runs until a try ends well; some run twice at a time, and one result counts."""

    def __init__(self, seed: int) -> None:
        """Draw what happens to workers from a seed."""
        self.random, self.deaths, self.doubles = draws(seed), 0, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a task."""
        assert not kwargs
        future: Future[Any] = Future()
        while self.random.random() < 0.4:
            self.deaths += 1
            self._die(fn, args)
        if self.random.random() < 0.4:
            self.doubles += 1
            with ThreadPoolExecutor(2) as pool:
                late, first = (pool.submit(*pickled((fn, *args))) for _ in range(2))
            late.result()
            future.set_result(pickled(first.result()))
        else:
            future.set_result(pickled(fn(*pickled(args))))
        return future

    def _die(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Run a task until it has put some of its objects."""
        left = self.random.randrange(3)

        def put(folder: LocalFolder, key: str, file: Path) -> ObjectInfo:
            nonlocal left
            left -= 1
            if left < 0:
                raise WorkerDiedError
            return whole(folder, key, file)

        whole = LocalFolder.put
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LocalFolder, "put", put)
            try:
                fn(*pickled(args))
            except WorkerDiedError:
                return
