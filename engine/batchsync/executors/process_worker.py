"""Worker process of `ProcessExecutor`: runs one call after the other, and ends with the process that started it."""

from __future__ import annotations

import copy
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from multiprocessing.connection import Connection

#: First message of a worker.
READY = "ready"


def run_worker(connection: Connection, library_threads: int) -> None:
    """Run the calls that arrive at a connection until its other end is closed, which ends a running call, too.

    Each call is answered by a pair: whether it returned, and what it returned or raised.

    Args:
        connection: Receives functions with their arguments, and sends the answers.
        library_threads: Number of threads of polars, which reads it when it is imported: by the first call.
    """
    os.environ["POLARS_MAX_THREADS"] = str(library_threads)
    # Ctrl-C of a terminal reaches all its processes; the parent process decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ThreadPoolExecutor(1) as receiver, ThreadPoolExecutor(1) as runner:
        connection.send(READY)
        while True:
            received = receiver.submit(connection.recv)
            error = received.exception()
            if isinstance(error, EOFError | OSError):
                os._exit(0)
            call = partial(_fail, error) if error is not None else partial(_call, *received.result())
            runner.submit(call).add_done_callback(partial(_answer, connection))


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)


def _fail(error: BaseException) -> None:
    raise error


def _answer(connection: Connection, done: Future[Any]) -> None:
    """Send the result or the error of a call. What cannot be pickled becomes an error that says so."""
    error = done.exception()
    pickled = _pickled((True, done.result())) if error is None else _pickled((False, error), error)
    if (unpicklable := pickled.exception()) is not None:
        found = error if error is not None else unpicklable
        pickled = _pickled((False, TypeError(f"{type(found).__name__} of a task, which cannot be pickled: {found}")))
    try:
        connection.send_bytes(pickled.result())
    except OSError:
        os._exit(0)


def _pickled(answer: tuple[bool, Any], error: BaseException | None = None) -> Future[Any]:
    """Return the bytes of an answer, or why there are none, as a future.

    Args:
        answer: The answer.
        error: The error in it, which must be one that can be unpickled.
    """
    with ThreadPoolExecutor(1) as pool:
        # A copy is made as unpickling makes it: an error whose constructor has other arguments would fail there.
        copied = pool.submit(copy.copy, error)
        return copied if copied.exception() is not None else pool.submit(ForkingPickler.dumps, answer)
