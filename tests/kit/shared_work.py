"""Shares of one piece of work on several test workers: whoever comes last sees what all of them brought.

It does not know what is shared out.
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


def together(factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a folder that all workers of this test run have in common."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


def bring(folder: Path, share: int, of: int, what: object) -> list[Any] | None:
    """Leave what a share came to; return what all `of` them came to when this is the last, otherwise nothing."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{share}.pickle").write_bytes(pickle.dumps(what))
        there = sorted(folder.glob("*.pickle"))
        return [pickle.loads(one.read_bytes()) for one in there] if len(there) == of else None  # noqa: S301 - ours


class _Here(Executor):
    """Does everything at once in this process."""

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Do it."""
        done: Future[Any] = Future()
        done.set_result(work(*given, **named))
        return done


@contextmanager
def beside() -> Iterator[Executor]:
    """Give a process beside this one in which polars has one thread: for tables of a few rows more only cost.

    Where coverage is measured it is measured in this process, so that all is done here.
    """
    if "coverage" in sys.modules:
        yield _Here()
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with mock.patch.dict(os.environ, {"POLARS_MAX_THREADS": "1"}):
            pool.submit(os.getpid).result()
        yield pool
