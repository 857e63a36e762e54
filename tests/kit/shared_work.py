"""Work divided over several test workers: the last worker to finish receives the results of all.

Also a helper process for work on small tables.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest


def shared_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a folder that all workers of this test run share."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


def merge_share(folder: Path, share: int, shares: int, result: object) -> list[Any] | None:
    """Store the result of a share; return the results of all shares if this is the last of them, otherwise None."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{share}.pickle").write_bytes(pickle.dumps(result))
        results = sorted(folder.glob("*.pickle"))
        return [pickle.loads(item.read_bytes()) for item in results] if len(results) == shares else None  # noqa: S301 - written by this test run


class _SerialExecutor(Executor):
    """Executor that runs everything at once in this process."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Run the work."""
        done: Future[Any] = Future()
        done.set_result(work(*arguments, **named))
        return done


@contextmanager
def helper_process() -> Iterator[Executor]:
    """Yield an executor with a single process in which polars has a single thread: the fastest for small tables.

    Coverage is measured in this process, so then the work is done here.
    """
    if "coverage" in sys.modules:
        yield _SerialExecutor()
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with mock.patch.dict(os.environ, {"POLARS_MAX_THREADS": "1"}):
            pool.submit(os.getpid).result()
        yield pool
