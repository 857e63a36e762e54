"""Supervision of a backend: tries, time limits, results that come late, and a backend that is lost."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.executor_choice import TaskLimits
from batchsync.errors import SourceError, UnavailableError
from batchsync.executors.supervised import FailedTry, SupervisedExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.executors.pickled_calls import Call


class DiedError(Exception):
    """The worker of a fake backend died."""


class LostError(Exception):
    """The connection of a fake backend was lost."""


@dataclass(frozen=True)
class Item:
    """A task with a name."""

    label: str


@dataclass
class FakeBackend:
    """A backend whose tries are ended by the test."""

    tries: Queue[tuple[int, Future[Any]]] = field(default_factory=Queue)
    abandoned: list[int] = field(default_factory=list)
    starts: int = 0
    closes: int = 0
    begun: Callable[[int], None] = lambda _: None
    error: Exception | None = None
    runs: bool = False

    concurrency = 3

    def start(self, started: Callable[[int], None]) -> None:
        if self.error is not None:
            raise self.error
        self.starts += not self.runs
        self.runs, self.begun = True, started

    def submit(self, number: int, call: Call) -> Future[Any]:
        del call
        future: Future[Any] = Future()
        self.tries.put((number, future))
        return future

    def result_of(self, future: Future[Any]) -> Any:
        return future.result()

    def failure_of(self, future: Future[Any]) -> FailedTry | None:
        match None if future.cancelled() else future.exception():
            case LostError():
                return FailedTry(error=UnavailableError("the connection was lost"))
            case DiedError() as error:
                return FailedTry("the worker died", "add memory", final=bool(error.args))
        return None

    def abandon(self, number: int, future: Future[Any]) -> None:
        del future
        self.abandoned.append(number)

    def close(self) -> None:
        self.closes += self.runs
        self.runs = False

    def next(self) -> tuple[int, Future[Any]]:
        """Return the next try that was submitted."""
        return self.tries.get(timeout=30)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def executor(backend: FakeBackend) -> Iterator[SupervisedExecutor]:
    with SupervisedExecutor(backend, TaskLimits(tries=3, seconds=60)) as found:
        yield found


@pytest.fixture
def hasty(backend: FakeBackend) -> Iterator[SupervisedExecutor]:
    with SupervisedExecutor(backend, TaskLimits(tries=2, seconds=0.05)) as found:
        yield found


def work(item: Item) -> str:
    return item.label


def test_backend_starts_with_the_first_call(executor: SupervisedExecutor, backend: FakeBackend) -> None:
    assert (backend.starts, executor.concurrency) == (0, 3)
    futures = [executor.submit(work, Item("a")), executor.submit(work, Item("b"))]
    for text in ("first", "second"):
        backend.next()[1].set_result(text)
    assert [future.result(30) for future in futures] == ["first", "second"]
    assert backend.starts == 1


def test_lost_worker_costs_a_try_and_an_error_of_the_call_does_not(
    executor: SupervisedExecutor, backend: FakeBackend
) -> None:
    future = executor.submit(work, Item("rows 1 to 9"))
    for _ in range(2):
        backend.next()[1].set_exception(DiedError())
    backend.next()[1].set_result("done")
    assert future.result(30) == "done"
    refused = executor.submit(work, Item("rows 1 to 9"))
    backend.next()[1].set_exception(SourceError("row 3", hint="correct it"))
    with pytest.raises(SourceError, match="row 3"):
        refused.result(30)
    assert backend.tries.empty()


@pytest.mark.parametrize(("arguments", "tries"), [((), 3), (("for good",), 1)])
def test_last_try_ends_the_task_with_an_error(
    executor: SupervisedExecutor, backend: FakeBackend, arguments: tuple[str, ...], tries: int
) -> None:
    future = executor.submit(work, Item("rows 1 to 9"))
    for _ in range(tries):
        backend.next()[1].set_exception(DiedError(*arguments))
    with pytest.raises(UnavailableError, match=r"^rows 1 to 9: tried .*the worker died$") as raised:
        future.result(30)
    assert raised.value.hint == "add memory, then run the same command again; nothing is lost"


def test_each_task_counts_its_own_tries(executor: SupervisedExecutor, backend: FakeBackend) -> None:
    first = executor.submit(work, Item("first"))
    number, _ = found = backend.next()
    second = executor.submit(work, Item("second"))
    backend.next()[1].set_exception(DiedError())
    backend.next()[1].set_exception(DiedError())
    found[1].set_exception(DiedError())
    last = [backend.next(), backend.next()]
    assert number not in [item for item, _ in last]
    for _, future in last:
        future.set_result("done")
    assert (first.result(30), second.result(30)) == ("done", "done")


@pytest.mark.parametrize("begins", [True, False])
def test_try_that_exceeds_its_time_is_given_up_and_its_late_result_ignored(
    hasty: SupervisedExecutor, backend: FakeBackend, *, begins: bool
) -> None:
    future = hasty.submit(work, Item("rows 1 to 9"))
    number, late = backend.next()
    if begins:
        backend.begun(number)
    _, second = backend.next()
    assert backend.abandoned == [number]
    late.set_result("late")
    second.set_result("in time")
    assert future.result(30) == "in time"


@pytest.mark.parametrize(("begins", "text"), [(True, "it took longer than"), (False, "it had no result after")])
def test_last_try_that_exceeds_its_time_names_the_limit(
    hasty: SupervisedExecutor, backend: FakeBackend, text: str, *, begins: bool
) -> None:
    future = hasty.submit(work, Item("rows 1 to 9"))
    for _ in range(2):
        number, _ = backend.next()
        if begins:
            backend.begun(number)
    with pytest.raises(UnavailableError, match=f"rows 1 to 9: tried 2 times without success; .*{text} 0.05 s"):
        future.result(30)


def test_lost_backend_ends_all_tasks_and_starts_again_with_the_next(
    executor: SupervisedExecutor, backend: FakeBackend
) -> None:
    futures = [executor.submit(work, Item("a")), executor.submit(work, Item("b"))]
    _, first = backend.next()
    _, second = backend.next()
    first.set_exception(LostError())
    for future in futures:
        with pytest.raises(UnavailableError, match="the connection was lost"):
            future.result(30)
    second.set_result("late")
    again = executor.submit(work, Item("c"))
    backend.next()[1].set_result("done")
    assert again.result(30) == "done"
    assert (backend.starts, backend.closes) == (2, 1)


def test_backend_that_does_not_start_is_the_error_of_the_task(
    executor: SupervisedExecutor, backend: FakeBackend
) -> None:
    backend.error = UnavailableError("no scheduler", hint="start it")
    with pytest.raises(UnavailableError, match="no scheduler"):
        executor.submit(work, Item("a")).result(30)


def test_cancelled_task_cancels_its_try(executor: SupervisedExecutor, backend: FakeBackend) -> None:
    future = executor.submit(work, Item("a"))
    _, attempt = backend.next()
    assert future.cancel()
    other = executor.submit(work, Item("b"))
    backend.next()[1].set_result("done")
    assert other.result(30) == "done"
    assert attempt.cancelled()


def test_shutdown_cancels_what_runs(backend: FakeBackend) -> None:
    with SupervisedExecutor(backend, TaskLimits()) as executor:
        future = executor.submit(work, Item("a"))
        backend.next()
    with pytest.raises(CancelledError):
        future.result(30)
    assert backend.closes == 1
    assert executor.submit(work, Item("b")).cancelled()
