"""Backend of executors that installed packages register, `executor: {NAME: options}`."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from batchsync.errors import UnavailableError
from batchsync.executors.supervised import FailedTry
from batchsync.ports import ExecutorSettings
from batchsync.util.plugins import EXECUTORS, load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from batchsync.core.executor_choice import ExecutorChoice
    from batchsync.executors.opening import ExecutionSettings
    from batchsync.executors.pickled_calls import Call
    from batchsync.ports import OpenExecutor

#: Longest wait until a context is left, in seconds: a worker that hangs may keep it for ever.
_LEAVE_MAX = 1.0


def make_backend(choice: ExecutorChoice, settings: ExecutionSettings) -> InstalledBackend:
    """Return the backend of an executor that a package registers; the package is not imported yet.

    Args:
        choice: The choice of jobs.yaml.
        settings: Settings of this process.
    """
    about = ExecutorSettings(
        state_folder=settings.state_folder,
        task_seconds=settings.limits.seconds,
        task_tries=settings.limits.tries,
    )
    return InstalledBackend(choice, about)


class InstalledBackend:
    """Backend of an executor whose context is entered, and entered again if it breaks or a task hangs."""

    def __init__(self, choice: ExecutorChoice, settings: ExecutorSettings) -> None:
        """Store what the package is given."""
        self._choice, self._settings = choice, settings
        self._open: tuple[AbstractContextManager[Executor], Executor] | None = None
        #: The executor of each call: one that breaks ends many calls, and is left once.
        self._executors: WeakKeyDictionary[Future[Any], Executor] = WeakKeyDictionary()
        self._lock = Lock()

    @property
    def concurrency(self) -> int | None:
        """Number of calls that run at a time; None if the executor has no attribute `concurrency`."""
        return getattr(self._opened(), "concurrency", None)

    def start(self, _: Callable[[int], None]) -> None:
        """Enter the context, unless it is entered. When a call begins is unknown.

        Raises:
            BatchsyncError: If the package is missing, or its executor does not start.
        """
        self._opened()

    def _opened(self) -> Executor:
        """Return the executor, with its context entered.

        Raises:
            UnavailableError: If the package is missing, or its executor does not start.
        """
        with self._lock:
            if self._open is None:
                function: OpenExecutor = load_plugin(EXECUTORS, self._choice.kind)
                try:
                    context = function(self._choice.options, self._settings)
                    self._open = context, context.__enter__()
                except Exception as error:
                    raise UnavailableError(
                        f"the executor {self._choice.kind} does not start: {type(error).__name__}: {error}",
                        hint="check its options in jobs.yaml and its service; nothing was sent",
                        name="environment.executor",
                    ) from error
            return self._open[1]

    def submit(self, _: int, call: Call) -> Future[Any]:
        """Submit a call to the executor.

        Args:
            _: Number of the try.
            call: The call.

        Returns:
            The future of its result.
        """
        function, args, kwargs = call
        executor = self._opened()
        future: Future[Any] = executor.submit(function, *args, **kwargs)
        self._executors[future] = executor
        return future

    def result_of(self, future: Future[Any]) -> Any:
        """Return the result of a call."""
        return future.result()

    def failure_of(self, future: Future[Any]) -> FailedTry | None:
        """Return why a call failed, if its executor broke or cancelled it. A broken executor is left.

        Args:
            future: The try, which has ended.

        Returns:
            The reason; None if the call returned or raised by itself.
        """
        if future.cancelled():
            return FailedTry(f"the executor {self._choice.kind} cancelled it", "check the service of the executor")
        error = future.exception()
        if not isinstance(error, BrokenExecutor):
            return None
        self._leave(future)
        reason = f"the executor {self._choice.kind} broke: {type(error).__name__}"
        return FailedTry(reason, "give its workers more memory, if they died")

    def abandon(self, _: int, future: Future[Any]) -> None:
        """Leave the executor, whose workers end with it, unless the call has not begun."""
        if not future.cancel():
            self._leave(future)

    def _leave(self, future: Future[Any]) -> None:
        """Leave the executor of a call, unless another one was opened since."""
        if self._open is not None and self._executors.get(future) is self._open[1]:
            self.close()

    def close(self) -> None:
        """Leave the context, in a thread that is not waited for if a worker hangs."""
        with self._lock:
            left, self._open = self._open, None
        if left is not None:
            thread = Thread(target=left[0].__exit__, args=(None, None, None), daemon=True)
            thread.start()
            thread.join(_LEAVE_MAX)
