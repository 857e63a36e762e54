"""Calls and their answers as bytes, for workers that are other processes.

Connections to workers are pipes of this process, or are authenticated by certificates of both sides: those who can send
bytes to a worker may run code there in any case.
"""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Call = tuple["Callable[..., Any]", tuple[Any, ...], dict[str, Any]]


def pickled_call(call: Call) -> bytes:
    """Return a call as bytes.

    Args:
        call: Function, arguments and keyword arguments.
    """
    return bytes(ForkingPickler.dumps(call))


def run_pickled_call(payload: bytes) -> bytes:
    """Run a call, and return its pickled answer.

    Args:
        payload: The bytes of a call.

    Returns:
        The bytes of an answer, see `pickled_answer`.
    """
    with ThreadPoolExecutor(1) as pool:
        # In a thread, so that an error of any kind becomes one of a future.
        done = pool.submit(_run, payload)
        done.exception()
    return pickled_answer(done)


def _run(payload: bytes) -> Any:
    function, args, kwargs = ForkingPickler.loads(payload)
    return function(*args, **kwargs)


def pickled_answer(done: Future[Any]) -> bytes:
    """Return the answer to a call as bytes: whether it returned, and what it returned or raised.

    Args:
        done: The call, which has ended. What cannot be pickled becomes an error that says so.
    """
    error = done.exception()
    pickled = _pickled((True, done.result())) if error is None else _pickled((False, error), error)
    if (unpicklable := pickled.exception()) is not None:
        found = error if error is not None else unpicklable
        pickled = _pickled((False, TypeError(f"{type(found).__name__} of a task, which cannot be pickled: {found}")))
    return pickled.result()


def result_of_answer(answer: bytes) -> Any:
    """Return the result that an answer has.

    Args:
        answer: The bytes of an answer.

    Returns:
        What the call returned.

    Raises:
        BaseException: What the call raised.
    """
    done, value = ForkingPickler.loads(answer)
    if not done:
        raise value
    return value


def _pickled(answer: tuple[bool, Any], error: BaseException | None = None) -> Future[bytes]:
    """Return the bytes of an answer, or why there are none, as a future.

    Args:
        answer: The answer.
        error: The error in it, which must be one that can be unpickled.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_dump, answer, error)


def _dump(answer: tuple[bool, Any], error: BaseException | None) -> bytes:
    # A copy is made as unpickling makes it: an error whose constructor has other arguments would fail there.
    copy.copy(error)
    return bytes(ForkingPickler.dumps(answer))
