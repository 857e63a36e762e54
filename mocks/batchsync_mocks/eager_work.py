"""Work on uploads that is begun when they arrive, so that nobody waits for it when its time has come.

It does not know what the work is, nor any vendor. There is one worker: what arrived first is done first.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Counts = dict[str, int]


class Ahead:
    """Work by the file it is about. Whoever calls holds the lock of the vendor's memory; the work must not want it."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._worker: ThreadPoolExecutor | None = None
        self._begun: dict[Path, Future[Counts]] = {}

    def begin(self, file: Path, work: Callable[[], Counts]) -> None:
        """Begin the work on a file."""
        self._worker = self._worker or ThreadPoolExecutor(1, "ahead")
        self._begun[file] = self._worker.submit(work)

    def result(self, file: Path, work: Callable[[], Counts]) -> Counts:
        """Give what came of the work, or raise what it raised; work that nobody began is done now."""
        begun = self._begun.pop(file, None)
        return begun.result() if begun else work()

    def end(self) -> None:
        """Forget all work, waiting for what cannot be stopped: the files may be removed after that."""
        for one in self._begun.values():
            one.cancel()
        wait(self._begun.values())
        self._begun.clear()
