"""Work is done beside, in order, and never far ahead of whoever takes it: by threads, or by any executor given.

It does not know what the work is. An executor is whatever has the shape of `concurrent.futures.Executor`.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

One = TypeVar("One")
Other = TypeVar("Other")
Given = ParamSpec("Given")

#: More threads than this bring nothing on the machines that were measured.
_MOST = 8


def threads() -> int:
    """Return how many threads map and encode at the same time where nobody says otherwise."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(_MOST, allowed or 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Who does the tasks. Without an executor: so many threads (None: one for each core), for each work anew.

    With an executor: it gets module-level functions with one argument that can be pickled, `threads` of them at a time
    (and one more), and is not shut down.
    """

    threads: int | None = None
    executor: Executor | None = None

    @property
    def at_once(self) -> int:
        """How many tasks are under way at a time."""
        return self.threads or threads()

    @property
    def apart(self) -> bool:
        """Whether a task rather says where its rows lie than holds them: elsewhere, and where memory is short."""
        return self.executor is not None or self.at_once == 1

    def in_order(self, work: Callable[[One], Other], given: Iterable[One]) -> Generator[Other]:
        """Yield `work(one)` for each one in order, with at most one more than `at_once` under way."""
        if self.executor is None and self.at_once == 1:
            # Reading and writing have threads of their own: one more would only hold rows in memory.
            return (work(one) for one in given)
        if self.executor is None:
            return in_order(work, given, self.at_once)
        return _in_order(self.executor, work, given, self.at_once)


def in_order(work: Callable[[One], Other], given: Iterable[One], threads: int) -> Generator[Other]:
    """Yield `work(one)` for each one in order, computed by threads, with at most one more than threads under way."""
    coming = iter(given)
    begun = list(islice(coming, 2))
    if not begun[1:]:
        # Where there is one thing to do, threads cost more than they bring.
        yield from map(work, begun)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from _in_order(pool, work, chain(begun, coming), threads)


def _in_order(pool: Executor, work: Callable[[One], Other], given: Iterable[One], at_once: int) -> Generator[Other]:
    """Yield the results of an executor in order."""
    under_way: deque[Future[Other]] = deque()
    try:
        for one in given:
            under_way.append(pool.submit(work, one))
            if len(under_way) > at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for left in under_way:
            left.cancel()


class InTurn:
    """Calls run one after the other in a thread of their own, a few of them ahead of their caller at most.

    For one caller. After a call that raised, nothing more runs; the caller is told at its next call. A context
    manager: on the way out what did not begin is dropped and the thread is gone.
    """

    def __init__(self, waiting: int) -> None:
        """Begin with nothing to do; the thread starts with the first call."""
        self._pool = ThreadPoolExecutor(1)
        self._waiting = waiting
        self._under_way: deque[Future[Any]] = deque()
        self._failure: BaseException | None = None

    def do(self, call: Callable[Given, Other], *given: Given.args, **named: Given.kwargs) -> Future[Other]:
        """Have something done, after all that was asked before; wait while too much of that is not done.

        Raises:
            BaseException: whatever an earlier call raised.
        """
        future = self._pool.submit(self._run, partial(call, *given, **named))
        self._under_way.append(future)
        while self._under_way and (len(self._under_way) > self._waiting or self._under_way[0].done()):
            self._under_way.popleft().result()
        return future

    def _run(self, call: Callable[[], Other]) -> Other:
        """Do one thing unless an earlier one failed."""
        if self._failure is not None:
            raise self._failure
        try:
            return call()
        except BaseException as error:
            self._failure = error
            raise

    def finish(self) -> None:
        """Wait until everything is done.

        Raises:
            BaseException: whatever a call raised.
        """
        while self._under_way:
            self._under_way.popleft().result()

    def stop(self) -> None:
        """Drop what did not begin, and wait for what did."""
        self._under_way.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the thread go."""
        self.stop()
