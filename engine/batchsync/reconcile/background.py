"""Background producer: runs an iterator in a thread and hands its items over through a queue.

An error of the worker is raised by `take` after all items that were produced before it.
"""

from __future__ import annotations

import queue
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from datetime import timedelta

Item = TypeVar("Item")
#: Seconds to wait for a stopped worker; a source that hangs must not keep the process alive.
_JOIN_TIMEOUT_S = 1.5
#: Longest single wait, in seconds: the operating system refuses waits beyond its own limit.
_MAX_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class _EndOfItems:
    """End marker of the queue, with the error that stopped the worker, if any."""

    error: BaseException | None


class BackgroundProducer(Generic[Item]):
    """Worker thread and its queue of produced items. The queue is unbounded: items are handles of files on disk."""

    def __init__(self, work: Callable[[Callable[[], bool]], Iterator[Item]]) -> None:
        """Start the worker.

        Args:
            work: Iterator factory, called in the worker thread with a function that returns whether to stop; the
                iterator should call it often.
        """
        self._queue: queue.SimpleQueue[Item | _EndOfItems] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._ended = False
        self._worker = threading.Thread(target=self._run, args=(work,), name="batchsync-background", daemon=True)
        self._worker.start()

    @property
    def ended(self) -> bool:
        """Whether all items were taken and no more will follow."""
        return self._ended

    def take(self, within: timedelta | None, /) -> Item | None:
        """Return the next item.

        Args:
            within: Longest time to wait; None waits until there is an item.

        Returns:
            The item, or None if there was none within that time or the producer has ended.

        Raises:
            BaseException: The error that stopped the worker, after all items that were produced before it.
        """
        if self._ended:
            return None
        seconds = _MAX_WAIT_S if within is None else min(_MAX_WAIT_S, max(0.0, within.total_seconds()))
        try:
            item = self._queue.get(timeout=seconds) if seconds else self._queue.get_nowait()
        except queue.Empty:
            return None
        if not isinstance(item, _EndOfItems):
            return item
        self._ended = True
        if item.error is not None:
            raise item.error
        return None

    def close(self) -> None:
        """Ask the worker to stop and wait for it for at most `_JOIN_TIMEOUT_S` seconds."""
        self._stop.set()
        self._worker.join(_JOIN_TIMEOUT_S)

    def _run(self, work: Callable[[Callable[[], bool]], Iterator[Item]]) -> None:
        try:
            with closing(_as_generator(work(self._stop.is_set))) as items:
                for item in items:
                    self._queue.put(item)
                    if self._stop.is_set():
                        break
        except BaseException as error:  # noqa: BLE001 - `take` raises it
            self._queue.put(_EndOfItems(error))
        else:
            self._queue.put(_EndOfItems(None))


class InlineProducer(Generic[Item]):
    """Producer with the same interface and no thread. Of the calls that do not wait, every second returns None."""

    def __init__(self, work: Callable[[Callable[[], bool]], Iterator[Item]]) -> None:
        """Store the iterator; nothing is produced yet."""
        self._items = _as_generator(work(lambda: False))
        self._ended = False
        self._yielded = False

    @property
    def ended(self) -> bool:
        """Whether no more items will follow."""
        return self._ended

    def take(self, within: timedelta | None, /) -> Item | None:
        """Return the next item, or None if there is none (yet). Errors of the iterator are raised unchanged."""
        if self._yielded and within is not None and not within:
            self._yielded = False
            return None
        for item in self._items:
            self._yielded = True
            return item
        self._ended = True
        return None

    def close(self) -> None:
        """Close the iterator."""
        self._items.close()


def _as_generator(items: Iterator[Item]) -> Generator[Item]:
    """Yield the items of an iterator, closing it when the generator is closed."""
    yield from items
