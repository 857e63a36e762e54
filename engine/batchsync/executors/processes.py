"""Executor of worker processes on this machine, `executor: {processes: N}`.

Each worker has a connection of its own, so that it is known which task a dead or hanging worker was running: only that
task is tried again, in a new process, and the others continue. `ProcessPoolExecutor` ends all tasks with the first
process that dies, and waits for ever for one that hangs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from threading import Event, Lock, Timer
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from batchsync.executors.failures import duration_text, exit_text, task_failed
from batchsync.executors.process_worker import run_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from batchsync.core.executor_choice import TaskLimits
    from batchsync.executors.pickled_calls import Call

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

#: Longest time until a new process is ready, in seconds: it imports a few modules, on a machine that may be busy.
_START_MAX = 120.0
#: Longest wait for a process that was killed, in seconds.
_END_MAX = 5.0
#: Spawned, never forked: a fork copies the locks of threads of polars and Arrow.
_CONTEXT = multiprocessing.get_context("spawn")


class LostWorkerError(Exception):
    """A worker process died, or was killed because its time was over."""

    def __init__(self, reason: str, advice: str) -> None:
        """Store the reason, and what may help."""
        super().__init__(reason)
        self.reason, self.advice = reason, advice


@dataclass(slots=True)
class _Worker:
    """A worker process with the connection to it."""

    process: SpawnProcess
    connection: Connection

    def call(self, call: Call, seconds: float) -> Any:
        """Run a call in the process.

        Args:
            call: Function, arguments and keyword arguments.
            seconds: Its time limit.

        Returns:
            What the call returned.

        Raises:
            LostWorkerError: If the process died, or was killed because the time was over.
            BaseException: What the call raised.
        """
        done, value = self._within(seconds, lambda: self._exchange(call))
        if not done:
            raise value
        return value

    def wait_until_ready(self) -> None:
        """Wait for the first message of the process.

        Raises:
            LostWorkerError: If it died first.
        """
        self._within(_START_MAX, self.connection.recv)

    def _exchange(self, call: Call) -> Any:
        self.connection.send(call)
        return self.connection.recv()

    def _within(self, seconds: float, work: Callable[[], Any]) -> Any:
        """Return the result of work, which ends with an error of the connection when the process is killed in time."""
        expired = Event()
        # A process that is stopped receives nothing, so that sending to it must end in time, too.
        timer = Timer(seconds, self._expire, (expired,))
        timer.daemon = True
        timer.start()
        try:
            return work()
        except (EOFError, OSError) as error:
            code = self.kill()
            if expired.is_set():
                reason = f"it took longer than {duration_text(seconds)}"
                raise LostWorkerError(reason, "set BATCHSYNC_TASK_TIMEOUT to a longer time") from error
            advice = "lower the number of processes, or give the machine more memory if the system ended it for that"
            raise LostWorkerError(exit_text(code), advice) from error
        finally:
            timer.cancel()

    def _expire(self, expired: Event) -> None:
        expired.set()
        self.process.kill()

    def kill(self) -> int | None:
        """Kill the process, which may have ended, and return its exit code."""
        self.process.kill()
        self.process.join(_END_MAX)
        self.connection.close()
        return self.process.exitcode


@dataclass(slots=True)
class _Workers:
    """The processes of an executor: those that wait for a call, and all."""

    library_threads: int
    idle: list[_Worker] = field(default_factory=list)
    alive: list[_Worker] = field(default_factory=list)
    closed: bool = False
    lock: Lock = field(default_factory=Lock)

    def take(self) -> _Worker:
        """Return a process that waits, or a new one.

        Raises:
            LostWorkerError: If a new one does not start.
            CancelledError: If the executor is shut down.
        """
        with self.lock:
            if self.closed:
                raise CancelledError
            if self.idle:
                return self.idle.pop()
            ours, theirs = multiprocessing.Pipe()
            with theirs:
                process = _CONTEXT.Process(target=run_worker, args=(theirs, self.library_threads), daemon=True)
                process.start()
            worker = _Worker(process, ours)
            self.alive = [*(other for other in self.alive if other.process.is_alive()), worker]
        worker.wait_until_ready()
        return worker

    def give_back(self, worker: _Worker) -> None:
        """Let a process wait for its next call."""
        with self.lock:
            self.idle.append(worker)

    def close(self) -> None:
        """Kill all processes; none is started afterwards."""
        with self.lock:
            self.closed = True
            for worker in self.alive:
                worker.process.kill()
            for worker in self.alive:
                worker.process.join(_END_MAX)


class ProcessExecutor(Executor):
    """Executor of spawned processes, which start when there are calls for them.

    A call whose process dies or exceeds the time limit is run again in a new process; after the last try, its future
    has an `UnavailableError`. Functions must be importable, and arguments, results and errors picklable.
    """

    def __init__(self, workers: int, limits: TaskLimits) -> None:
        """Create an executor without a process.

        Args:
            workers: Number of processes.
            limits: Tries and time limit of a call.
        """
        self.concurrency = workers
        self._limits = limits
        self._threads = ThreadPoolExecutor(workers, "batchsync-worker", _block_interrupts)
        self._workers = _Workers(max(1, (os.cpu_count() or 1) // workers))

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
        return self._threads.submit(self._run, fn, args, kwargs)

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a call in a process, and again in another one if that is lost.

        Raises:
            UnavailableError: If the process of the last try was lost.
        """
        lost = LostWorkerError("", "")
        for _ in range(self._limits.tries):
            try:
                worker = self._workers.take()
                result = self._call(worker, (function, args, kwargs))
            except LostWorkerError as error:
                lost = error
            else:
                return result
        raise task_failed(args[0] if args else None, self._limits.tries, lost.reason, lost.advice)

    def _call(self, worker: _Worker, call: Call) -> Any:
        """Run a call in a process, which waits for the next one afterwards unless it is lost."""
        is_lost = False
        try:
            return worker.call(call, self._limits.seconds)
        except LostWorkerError:
            is_lost = True
            raise
        finally:
            if not is_lost:
                self._workers.give_back(worker)

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Kill the processes. Calls that have not ended are cancelled, whatever the arguments of the interface."""
        self._workers.close()
        self._threads.shutdown(wait=True, cancel_futures=True)


def _block_interrupts() -> None:
    """Block SIGINT in the processes that this thread starts, also before they can ignore it."""
    # Its first start would unblock the signal again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
