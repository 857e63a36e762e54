"""Iteration over blocking native code that a signal can end: each step runs in a thread, one step ahead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Item = TypeVar("Item")
#: Seconds after which a step that is still running is cancelled again.
_AGAIN_SECONDS = 0.05
#: Seconds after which Python looks for a signal: the handler that polars adds for SIGINT restarts a wait without end.
_SIGNAL_SECONDS = 0.1


def cancellable(items: Iterator[Item], cancel: Callable[[], None]) -> Iterator[Item]:
    """Yield the items of an iterator whose steps run in a thread.

    Python runs signal handlers in the main thread only, and not while it is in native code.

    Args:
        items: The iterator.
        cancel: Ends the step that is running, which then raises an error; called from another thread.

    Yields:
        The items. The next one is prepared meanwhile.
    """
    end: list[Item] = []

    def step() -> list[Item]:
        for item in items:
            return [item]
        return end

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batchsync-source") as pool:
        ahead = pool.submit(step)
        try:
            while True:
                while not ahead.done():
                    wait([ahead], _SIGNAL_SECONDS)
                if not (found := ahead.result()):
                    return
                ahead = pool.submit(step)
                yield found[0]
        except BaseException:
            # A signal, an error of the caller, or an abandoned iteration: the item ahead is not used.
            # Repeated, because the step may not have entered the native code yet.
            while not ahead.done():
                cancel()
                wait([ahead], _AGAIN_SECONDS)
            raise
