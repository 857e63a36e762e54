"""Reading of the journal for pages: few threads, each with a read-only connection of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from batchsync.journal import Journal
from batchsync.storage.local_folder import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_T = TypeVar("_T")
_THREADS = 2
#: Seconds that the end of the process waits for reads that still run.
_PATIENCE = 0.3


class JournalReader:
    """Executor of queries. A connection is checked once, when it is opened, and then kept."""

    def __init__(self, folder: Path) -> None:
        """Store the state folder; its journal is opened by the first query."""
        self._folder = folder
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batchsync-page")

    async def read(self, query: Callable[[Journal], _T], *, consistent: bool = True) -> _T:
        """Return the result of queries.

        Args:
            query: Called with the journal, in another thread.
            consistent: Whether all its queries see the same state; false for long ones, which would keep the -wal file
                from being truncated.

        Raises:
            BatchsyncError: If the journal cannot be read.
        """
        run = self._read if consistent else self._read_apart
        return await asyncio.get_running_loop().run_in_executor(self._pool, run, query)

    def close(self) -> None:
        """Close the connections; those of threads that still read are closed by the end of the process."""
        together = threading.Barrier(_THREADS)
        for _ in range(_THREADS):
            self._pool.submit(self._close_own, together)
        self._pool.shutdown(wait=False)

    def _read(self, query: Callable[[Journal], _T]) -> _T:
        journal = self._journal()
        with journal.consistent():
            return query(journal)

    def _read_apart(self, query: Callable[[Journal], _T]) -> _T:
        return query(self._journal())

    def _journal(self) -> Journal:
        journal: Journal | None = getattr(self._own, "journal", None)
        if journal is None:
            journal = self._own.journal = Journal.open(self._folder, read_only=True, objects=LocalFolder(self._folder))
        return journal

    def _close_own(self, together: threading.Barrier) -> None:
        # Each thread waits until all have come, so that none closes twice while another is left out.
        with suppress(threading.BrokenBarrierError):
            together.wait(_PATIENCE)
        journal: Journal | None = getattr(self._own, "journal", None)
        if journal is not None:
            journal.close()
