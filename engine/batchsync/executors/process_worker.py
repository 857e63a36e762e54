"""Worker process of `ProcessExecutor`: runs one call after the other, and ends with the process that started it."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from batchsync.executors.pickled_calls import pickled_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from multiprocessing.connection import Connection

#: First message of a worker.
READY = "ready"


def run_worker(connection: Connection, library_threads: int) -> None:
    """Run the calls that arrive at a connection until its other end is closed, which ends a running call, too.

    Args:
        connection: Receives functions with their arguments, and sends the answers (`pickled_answer`).
        library_threads: Number of threads of polars, which reads it when it is imported: by the first call.
    """
    os.environ["POLARS_MAX_THREADS"] = str(library_threads)
    # Ctrl-C of a terminal reaches all its processes; the parent process decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ThreadPoolExecutor(1) as receiver, ThreadPoolExecutor(1) as runner:
        _send(connection, bytes(ForkingPickler.dumps(READY)))
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
    """Send the answer to a call."""
    _send(connection, pickled_answer(done))


def _send(connection: Connection, message: bytes) -> None:
    """Send the bytes of a message; end if the parent process has ended."""
    try:
        connection.send_bytes(message)
    except OSError:
        os._exit(0)
