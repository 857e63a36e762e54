"""Executor that supervises the tasks of a backend, such as a cluster: tries, time limits, lost and late results.

A backend takes calls and knows which of its failures are no error of the call. Everything about a task is decided in
one thread, in the order in which the backend reports it.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from batchsync.executors.failures import duration_text, task_failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync.core.executor_choice import TaskLimits
    from batchsync.errors import BatchsyncError
    from batchsync.executors.pickled_calls import Call

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")
#: Longest wait for the supervising thread to end, in seconds.
_END_MAX = 5.0


@dataclass(frozen=True, slots=True)
class FailedTry:
    """A failure that is none of the call itself.

    Attributes:
        reason: What happened, as the end of a sentence.
        advice: What may help.
        final: Whether the call is not submitted again, because the backend has done so already.
        error: Error of all unfinished tasks, because the backend is lost; None if the call can be submitted again.
    """

    reason: str = ""
    advice: str = ""
    final: bool = False
    error: BatchsyncError | None = None


class Backend(Protocol):
    """Where calls run. Methods are called by one thread at a time."""

    @property
    def concurrency(self) -> int | None:
        """Number of calls that run at a time; None if it is unknown. Starts the backend."""
        ...

    def start(self, started: Callable[[int], None]) -> None:
        """Start, unless it runs.

        Args:
            started: Called by any thread with the number of a try that has begun, if the backend knows that.

        Raises:
            BatchsyncError: If it cannot start.
        """
        ...

    def submit(self, number: int, call: Call) -> Future[Any]:
        """Submit a call as a try with a number; the future does not raise, but holds what happened."""
        ...

    def result_of(self, future: Future[Any]) -> Any:
        """Return the result of an ended try.

        Raises:
            BaseException: What the call raised.
        """
        ...

    def failure_of(self, future: Future[Any]) -> FailedTry | None:
        """Return why an ended try failed, if that is no error of the call."""
        ...

    def abandon(self, number: int, future: Future[Any]) -> None:
        """Give up a try that exceeds its time, and free what it occupies as far as possible."""
        ...

    def close(self) -> None:
        """End everything that runs, at once."""
        ...


@dataclass(slots=True)
class _Task:
    """A task: the future that its submitter has, its call, and how many of its tries failed."""

    future: Future[Any]
    call: Call
    failed: int = 0


@dataclass(slots=True)
class _Try:
    """A running try of a task; `since` is when it began, or when it was submitted if that is unknown."""

    task: _Task
    future: Future[Any]
    since: float
    begun: bool = False


@dataclass(slots=True)
class _Supervision:
    """The thread that supervises, and what it knows."""

    backend: Backend
    limits: TaskLimits
    clock: Callable[[], float] = monotonic
    events: SimpleQueue[Callable[[], None] | None] = field(default_factory=SimpleQueue)
    running: dict[int, _Try] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=count)
    #: Runs what may raise, so that any error reaches the future of its task.
    caller: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "batchsync-executor-call"))
    #: When a try last ended: a try that has not begun waits for the others.
    progress: float = 0.0

    def run(self) -> None:
        """Handle events until the executor is shut down."""
        while True:
            try:
                event = self.events.get(timeout=self._wait())
            except Empty:
                self._expire()
                continue
            if event is None:
                break
            event()
        self.caller.shutdown(wait=False)
        for attempt in self.running.values():
            _give(attempt.task.future, CancelledError())

    def submit(self, task: _Task) -> None:
        """Submit a task to the backend."""
        if task.future.cancelled():
            return
        number = next(self.numbers)
        submitted = self.caller.submit(self._submitted, number, task.call)
        if (error := submitted.exception()) is not None:
            _give(task.future, error)
            return
        future = submitted.result()
        self.running[number] = _Try(task, future, self.clock())
        future.add_done_callback(lambda _: self._post(self._end, number))
        task.future.add_done_callback(lambda done: self._post(self._drop, number) if done.cancelled() else None)

    def _submitted(self, number: int, call: Call) -> Future[Any]:
        """Return the future of a try, after the backend was started."""
        self.backend.start(partial(self._post, self._begin))
        return self.backend.submit(number, call)

    def _drop(self, number: int) -> None:
        """Cancel a try of a task that was cancelled."""
        if (attempt := self.running.pop(number, None)) is not None:
            attempt.future.cancel()

    def _post(self, handle: Callable[[int], None], number: int) -> None:
        """Handle something about a try in the supervising thread."""
        self.events.put(partial(handle, number))

    def _begin(self, number: int) -> None:
        """A try has begun."""
        if (attempt := self.running.get(number)) is not None and not attempt.begun:
            attempt.begun, attempt.since = True, self.clock()

    def _end(self, number: int) -> None:
        """A try has ended; the result of one that was given up comes too late, and is ignored."""
        attempt = self.running.pop(number, None)
        if attempt is None:
            return
        self.progress = self.clock()
        failure = self.backend.failure_of(attempt.future)
        if failure is None:
            result = self.caller.submit(self.backend.result_of, attempt.future)
            _give(attempt.task.future, result.exception(), result)
        elif failure.error is not None:
            self._fail_all(failure.error, attempt.task)
        else:
            self._try_again(attempt.task, failure)

    def _try_again(self, task: _Task, failure: FailedTry) -> None:
        """Submit a task again, unless this was its last try."""
        task.failed += 1
        if failure.final or task.failed >= self.limits.tries:
            _give(task.future, task_failed(_first(task.call), task.failed, failure.reason, failure.advice))
        else:
            self.submit(task)

    def _fail_all(self, error: BatchsyncError, task: _Task) -> None:
        """End all tasks with an error; the backend starts again with the next one."""
        tasks = [task, *(attempt.task for attempt in self.running.values())]
        self.running.clear()
        self.backend.close()
        for item in tasks:
            _give(item.future, error)

    def _deadline(self, attempt: _Try) -> float:
        since = attempt.since if attempt.begun else max(attempt.since, self.progress)
        return since + self.limits.seconds

    def _wait(self) -> float | None:
        """Return the seconds until a running try exceeds its time; None if none runs."""
        if not self.running:
            return None
        return max(0.0, min(map(self._deadline, self.running.values())) - self.clock())

    def _expire(self) -> None:
        """Give up the tries whose time is over."""
        now = self.clock()
        for number, attempt in list(self.running.items()):
            if self._deadline(attempt) > now or self.running.pop(number, None) is None:
                continue
            self.backend.abandon(number, attempt.future)
            text = duration_text(self.limits.seconds)
            reason = f"it took longer than {text}" if attempt.begun else f"it had no result after {text}"
            advice = "set BATCHSYNC_TASK_TIMEOUT to a longer time, or add workers"
            self._try_again(attempt.task, FailedTry(reason, advice))


class SupervisedExecutor(Executor):
    """Executor of a backend, which starts with the first call.

    A call whose worker is lost, or that exceeds the time limit, is submitted again; after the last try, its future has
    an `UnavailableError`.
    """

    def __init__(self, backend: Backend, limits: TaskLimits, clock: Callable[[], float] = monotonic) -> None:
        """Create an executor; nothing is started.

        Args:
            backend: Where calls run.
            limits: Tries and time limit of a call.
            clock: Returns seconds of a monotonic clock.
        """
        self._backend = backend
        self._supervision = _Supervision(backend, limits, clock)
        self._thread: Thread | None = None
        self._closed = False
        self._lock = Lock()

    @property
    def concurrency(self) -> int | None:
        """Number of calls that run at a time; None if the backend does not tell."""
        return self._backend.concurrency

    @property
    def backend(self) -> Backend:
        """Where calls run."""
        return self._backend

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Submit a call.

        Args:
            fn: A module-level function.
            *args: Its arguments; the property `label` of the first one names the call in errors.
            **kwargs: Its keyword arguments.

        Returns:
            The future of its result.
        """
        task = _Task(Future(), (fn, args, kwargs))
        with self._lock:
            if self._closed:
                task.future.cancel()
                return task.future
            if self._thread is None:
                self._thread = Thread(target=self._supervision.run, name="batchsync-executor", daemon=True)
                self._thread.start()
            self._supervision.events.put(partial(self._supervision.submit, task))
        return task.future

    def shutdown(self, *_: Any, **__: Any) -> None:
        """End the workers. Calls that have not ended are cancelled, whatever the arguments of the interface."""
        with self._lock:
            self._closed = True
        self._supervision.events.put(None)
        if self._thread is not None:
            self._thread.join(_END_MAX)
        self._backend.close()


def _give(future: Future[Any], error: BaseException | None, result: Future[Any] | None = None) -> None:
    """End the future of a task with an error or a result, unless it was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    elif result is not None:
        future.set_result(result.result())


def _first(call: Call) -> object:
    """Return the first argument of a call."""
    return call[1][0] if call[1] else None
