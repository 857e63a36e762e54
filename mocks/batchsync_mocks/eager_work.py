"""Eager processing of uploads: work that starts in a background thread as soon as a file has arrived.

One worker thread processes the files in order of arrival.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Counts = dict[str, int]


class EagerWork:
    """Background work by file. Callers hold the lock of the vendor's state; the work itself must not acquire it."""

    def __init__(self) -> None:
        """Create an idle worker."""
        self._worker: ThreadPoolExecutor | None = None
        self._futures: dict[Path, Future[Counts]] = {}

    def begin(self, file: Path, work: Callable[[], Counts]) -> None:
        """Start the work on a file."""
        self._worker = self._worker or ThreadPoolExecutor(1, "eager")
        self._futures[file] = self._worker.submit(work)

    def result(self, file: Path, work: Callable[[], Counts]) -> Counts:
        """Return the result of the work, or raise its error; work that was not started runs now."""
        future = self._futures.pop(file, None)
        return future.result() if future else work()

    def end(self) -> None:
        """Cancel all work that has not started, and wait for the rest; the files may be removed afterwards."""
        for future in self._futures.values():
            future.cancel()
        wait(self._futures.values())
        self._futures.clear()
