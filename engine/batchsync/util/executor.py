"""Bounded, ordered execution of tasks by threads or by any `concurrent.futures.Executor`."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

Item = TypeVar("Item")
Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

#: Maximum default number of threads; more did not help on the machines that were measured.
_THREADS_MAX = 8
#: Longest single wait for a result, in seconds.
_WAIT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPool:
    """Settings for the execution of tasks.

    Attributes:
        threads: Number of tasks that run concurrently; None for one per core.
        executor: Executor for module-level functions with one picklable argument; it is not shut down. If it has an
            attribute `concurrency`, that is the number of tasks that run concurrently. Without an executor, each call
            of `map_in_order` has threads of its own.
    """

    threads: int | None = None
    executor: Executor | None = None

    @property
    def concurrency(self) -> int:
        """Number of tasks that run concurrently: by default one per core that this process may use, at most 8."""
        known: int | None = getattr(self.executor, "concurrency", None)
        if known is not None:
            return known
        if self.threads is not None:
            return self.threads
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return max(1, min(_THREADS_MAX, allowed or 1))

    @property
    def by_reference(self) -> bool:
        """Whether tasks reference their rows instead of containing them: for an executor, and to save memory."""
        return self.executor is not None or self.concurrency == 1

    def map_in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """Return an iterator over `work(item)` in order, with at most `concurrency` + 1 tasks submitted at a time."""
        if self.executor is None and self.concurrency == 1:
            # Reading and writing have threads of their own: one more would only keep rows in memory.
            return (work(item) for item in items)
        if self.executor is None:
            return map_in_order(work, items, self.concurrency)
        return _map_in_order(self.executor, work, items, self.concurrency)


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[Result]:
    """Apply a function to items in threads, with at most `threads` + 1 items submitted at a time.

    Args:
        work: The function.
        items: Its arguments; taken on demand.
        threads: Number of threads.

    Yields:
        The results in the order of the items.
    """
    remaining = iter(items)
    first = list(islice(remaining, 2))
    if not first[1:]:
        # For a single item, threads cost more than they save.
        yield from map(work, first)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from _map_in_order(pool, work, chain(first, remaining), threads)


def _map_in_order(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], concurrency: int
) -> Generator[Result]:
    """Yield the results of an executor in order."""
    submitted: deque[Future[Result]] = deque()
    try:
        for item in items:
            submitted.append(pool.submit(work, item))
            if len(submitted) > concurrency:
                yield _result(submitted.popleft())
        while submitted:
            yield _result(submitted.popleft())
    finally:
        for future in submitted:
            future.cancel()


def _result(future: Future[Result]) -> Result:
    """Return the result of a future; a signal interrupts the wait."""
    while not future.done():
        # polars installs handlers of signals after which the system resumes a wait without limit.
        wait((future,), _WAIT_S)
    return future.result()


class SerialExecutor(AbstractContextManager["SerialExecutor"]):
    """Executor with one thread and a bounded queue, for a single caller.

    After a call that raised, no further calls run; the caller receives the error at its next call. A context manager
    that cancels pending calls on exit and waits for the running one.
    """

    def __init__(self, waiting: int) -> None:
        """Allow at most `waiting` unfinished calls; the thread starts with the first call."""
        self._pool = ThreadPoolExecutor(1)
        self._waiting = waiting
        self._submitted: deque[Future[Any]] = deque()
        self._failure: BaseException | None = None

    def submit(
        self, call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Submit a call, and wait while too many earlier calls are unfinished.

        Args:
            call: The function.
            *args: Its positional arguments.
            **kwargs: Its keyword arguments.

        Returns:
            The future of the call.

        Raises:
            BaseException: If an earlier call raised it.
        """
        future = self._pool.submit(self._run, partial(call, *args, **kwargs))
        self._submitted.append(future)
        while self._submitted and (len(self._submitted) > self._waiting or self._submitted[0].done()):
            self._submitted.popleft().result()
        return future

    def _run(self, call: Callable[[], Result]) -> Result:
        """Run a call unless an earlier one failed."""
        if self._failure is not None:
            raise self._failure
        try:
            return call()
        except BaseException as error:
            self._failure = error
            raise

    def finish(self) -> None:
        """Wait until all calls are done.

        Raises:
            BaseException: If a call raised it.
        """
        while self._submitted:
            self._submitted.popleft().result()

    def stop(self) -> None:
        """Cancel pending calls, and wait for the running one."""
        self._submitted.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the thread."""
        self.stop()
