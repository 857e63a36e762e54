"""Backend of Dask: worker processes of this machine, or a cluster whose address is a setting.

Tasks are pickled code, so a connection is encrypted and authenticated by certificates of both sides: for the processes
of this machine by some that are made for them. Dask only carries bytes: what they contain is pickled here.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import tempfile
import warnings
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from multiprocessing import resource_tracker
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from batchsync.errors import BatchsyncError, UnavailableError, UsageError, install_hint
from batchsync.executors.dask_access import check_access, security_of
from batchsync.executors.opening import cores
from batchsync.executors.pickled_calls import pickled_call, result_of_answer, run_pickled_call
from batchsync.executors.supervised import FailedTry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from batchsync.core.executor_choice import ExecutorChoice
    from batchsync.executors.opening import ExecutionSettings
    from batchsync.executors.pickled_calls import Call
    from batchsync.executors.probe import Probe, WorkerReport

#: Longest wait for a scheduler, and for the first worker, in seconds.
_CONNECT_MAX, _WORKERS_MAX = 10.0, 60.0
#: Longest wait for the end of what was started, and for workers that are started again, in seconds.
_CLOSE_MAX, _RESTART_MAX = 0.7, 30.0
_LOGGERS = ("distributed", "distributed.client", "tornado.application", "asyncio")
_ENDED = "then run the same command again; nothing is lost"


def make_backend(choice: ExecutorChoice, settings: ExecutionSettings) -> DaskBackend:
    """Return the backend; nothing is imported, started or connected yet.

    Args:
        choice: The choice of jobs.yaml.
        settings: Settings of this process.
    """
    return DaskBackend(choice, settings)


class DaskBackend:
    """Backend of Dask, which connects with the first call, and again after the connection was lost."""

    def __init__(self, choice: ExecutorChoice, settings: ExecutionSettings) -> None:
        """Store the settings."""
        self._choice, self._settings = choice, settings
        self._client: Any = None
        self._executor: Any = None
        self._resources = ExitStack()
        self._lock = Lock()
        self._started: Callable[[int], None] = lambda _: None
        #: Address of the worker that runs a try.
        self._workers: dict[int, str] = {}

    @property
    def concurrency(self) -> int | None:
        """Number of threads of all workers."""
        client = self.client()
        with self._translated():
            threads: dict[str, int] = client.nthreads()
        return max(1, sum(threads.values()))

    def start(self, started: Callable[[int], None]) -> None:
        """Start or connect, unless that was done.

        Args:
            started: Called with the number of a try that has begun.

        Raises:
            BatchsyncError: If packages or settings are missing, or the scheduler cannot be reached.
        """
        self._started = started
        self.client()

    def client(self) -> Any:
        """Return the connected client.

        Raises:
            UsageError: If packages or settings are missing.
            UnavailableError: If the scheduler cannot be reached, or has no worker.
        """
        with self._lock:
            if self._client is not None and self._client.status != "running":
                self._close()
            if self._client is None:
                try:
                    self._client = self._connected()
                except BaseException:
                    self._close()
                    raise
                with self._translated():
                    self._client.subscribe_topic(self._topic, self._begin)
                    self._executor = self._client.get_executor(pure=False, retries=0)
            return self._client

    @property
    def _topic(self) -> str:
        """Topic of the reports of this client's tries."""
        return f"batchsync-{self._client.id}"

    def _begin(self, event: tuple[float, dict[str, Any]]) -> None:
        """Note which worker runs a try."""
        _, report = event
        self._workers[report["number"]] = report["worker"]
        self._started(report["number"])

    def _connected(self) -> Any:
        """Return a client of a new local cluster, or of the one of the settings.

        Raises:
            UsageError: If packages or settings are missing.
            UnavailableError: If the scheduler cannot be reached, or has no worker.
        """
        access = self._settings.dask
        if self._choice.cluster:
            check_access(access)
        # Dask prints what goes wrong, which is part of an error here: in workers, and in this process.
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
        warnings.filterwarnings("ignore", module=r"distributed\.")
        try:
            distributed = import_module("distributed")
        except ModuleNotFoundError as error:
            message = f"executor: {{dask: ...}} needs the package {error.name}"
            raise UsageError(message, hint=install_hint("dask"), name="environment.package") from None
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if not self._choice.cluster:
            with _interrupts_blocked():
                return self._local(distributed)
        try:
            client = distributed.Client(
                access.address,
                security=security_of(access, distributed.Security),
                timeout=_CONNECT_MAX,
                set_as_default=False,
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise UnavailableError(
                f"the Dask scheduler at {access.address} cannot be reached: {type(error).__name__}",
                hint=f"check that it runs, its address and the certificates, {_ENDED}",
                name="environment.executor",
            ) from error
        self._resources.callback(_closed_within, client)
        with self._translated():
            self._require_workers(client)
        return client

    def _require_workers(self, client: Any) -> None:
        """Wait until a cluster has a worker.

        Raises:
            UnavailableError: If it has none.
        """
        try:
            client.wait_for_workers(1, timeout=_WORKERS_MAX)
        except TimeoutError as error:
            raise UnavailableError(
                f"the Dask cluster at {self._settings.dask.address} has no workers",
                hint=f"start workers, {_ENDED}",
                name="environment.executor",
            ) from error

    def _local(self, distributed: Any) -> Any:
        """Return a client of new processes of this machine."""
        count = self._choice.workers or cores()
        folder = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="batchsync-dask-"))
        # No service on HTTP, which would answer everybody on this machine.
        import_module("dask").config.set(
            {
                "distributed.scheduler.allowed-failures": self._settings.limits.tries - 1,
                "distributed.scheduler.http.routes": [],
                "distributed.worker.http.routes": [],
            }
        )
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls",
            security=distributed.Security.temporary(),
            dashboard_address="127.0.0.1:0",
            memory_limit=0,  # nothing is paused, killed or written to a disk for its size
            local_directory=folder,
            silence_logs=False,
            env={"POLARS_MAX_THREADS": str(max(1, cores() // count))},
        )
        self._resources.callback(_closed_cluster, cluster)
        client = distributed.Client(cluster, set_as_default=False)
        self._resources.callback(_closed_within, client)
        return client

    def submit(self, number: int, call: Call) -> Future[Any]:
        """Submit a call as bytes.

        Args:
            number: Number of the try.
            call: The call.

        Returns:
            The future of its answer.
        """
        run_try = import_module("batchsync.executors.dask_tasks").run_try
        payload = pickled_call(call)
        with self._translated():
            future: Future[Any] = self._executor.submit(run_try, payload, self._topic, number)
        return future

    def result_of(self, future: Future[Any]) -> Any:
        """Return the result of a call."""
        return result_of_answer(future.result())

    def failure_of(self, future: Future[Any]) -> FailedTry | None:
        """Return why a call failed: the connection was lost, or its workers died or cannot run it.

        Args:
            future: The try, which has ended.

        Returns:
            The reason; None if there is an answer, which has the error of the call if it raised one.
        """
        error = None if future.cancelled() else future.exception()
        if future.cancelled() and self._client is not None and self._client.status == "running":
            return FailedTry("the Dask scheduler cancelled it", "check the scheduler")
        if future.cancelled() or isinstance(error, OSError | TimeoutError):
            return FailedTry(error=self._lost())
        if error is None:
            return None
        if type(error).__name__ == "KilledWorker":
            reason = "the worker processes that ran it died, one after the other"
            return FailedTry(reason, "give the workers more memory, if the system ended them for that", final=True)
        reason = f"a worker cannot run it: {type(error).__name__}: {error}"
        return FailedTry(reason, "compare the versions of the workers with `batchsync doctor`", final=True)

    def _lost(self) -> UnavailableError:
        """Return the error of a connection that was lost."""
        where = f"at {self._settings.dask.address} " if self._choice.cluster else ""
        return UnavailableError(
            f"the connection to the Dask scheduler {where}was lost",
            hint=f"check that it runs with `batchsync doctor`, {_ENDED}",
            name="environment.executor",
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate errors of the connection.

        Raises:
            UnavailableError: If the connection was lost.
        """
        try:
            yield
        except (OSError, TimeoutError, RuntimeError) as error:
            raise self._lost() from error

    def run_on_each_worker(
        self, function: Callable[[Probe], WorkerReport], probe: Probe
    ) -> dict[str, WorkerReport | BaseException]:
        """Return what a function returned or raised on each worker, by the address of the worker.

        Args:
            function: A module-level function.
            probe: Its argument.
        """
        client, payload = self.client(), pickled_call((function, (probe,), {}))
        with self._translated():
            answers = client.run(run_pickled_call, payload, on_error="return")
        return {
            worker: answer if isinstance(answer, BaseException) else result_of_answer(answer)
            for worker, answer in answers.items()
        }

    def abandon(self, number: int, future: Future[Any]) -> None:
        """Cancel a try. A worker with a single thread is started again, because nothing else ends what it runs."""
        future.cancel()
        worker, client = self._workers.pop(number, None), self._client
        if worker is None or client is None:
            return
        with suppress(OSError, TimeoutError, ValueError, BatchsyncError):
            if client.nthreads().get(worker) == 1:
                client.restart_workers([worker], timeout=_RESTART_MAX, raise_for_error=False)

    def close(self) -> None:
        """Disconnect, and end the processes of this machine."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._resources.close()
        self._client = self._executor = None
        self._workers.clear()


def _closed_cluster(cluster: Any) -> None:
    """Close the processes of this machine, and kill those that take longer: an interrupted command has no time."""
    # Closing once more at the end of this process would only wait longer.
    atexit.unregister(import_module("distributed.deploy.spec").close_clusters)
    processes = [nanny.pid for nanny in cluster.workers.values()]
    _closed_within(cluster)
    for process in filter(None, processes):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _closed_within(resource: Any) -> None:
    """Close a client or a cluster, and wait for a limited time."""
    thread = Thread(target=resource.close, name="batchsync-dask-close", daemon=True)
    thread.start()
    thread.join(_CLOSE_MAX)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT for the threads and processes that are started: Ctrl-C of a terminal reaches all its processes."""
    # Its first start would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
