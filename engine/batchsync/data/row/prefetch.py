"""The rows of a file are pulled at the pace of whoever takes them: what was not taken waits on the disk, not in memory.

It does not know sources. The columnar reader by itself runs ahead of its consumer without bound.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

#: Rows that are read at a time where a file can be entered anywhere.
STRETCH = 50_000
#: A file of so many bytes at most is read whole: threads would cost more than all the rest.
LITTLE = 1 << 20
#: Frames that wait for the consumer.
_WAITING = 1
_PAUSE = 0.2

# Text is parsed in pieces of this size, a few at a time: the reader's own choice takes half a gigabyte.
os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", str(4 << 20))
os.environ.setdefault("POLARS_CSV_CHUNK_PREFETCH_LIMIT", "4")
os.environ.setdefault("POLARS_NDJSON_CHUNK_SIZE", str(4 << 20))
os.environ.setdefault("POLARS_NDJSON_CHUNK_PREFETCH_LIMIT", "4")


def stretches(rows: pl.LazyFrame, total: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file that can be entered anywhere, some at a time, the next ones read beside."""
    if total <= STRETCH:
        if total:
            yield _read(rows, 0)
        return
    with ThreadPoolExecutor(1) as beside:
        coming: Future[pl.DataFrame] | None = None
        for begin in range(0, total, STRETCH):
            this = coming or beside.submit(_read, rows, begin)
            found = this.result()
            coming = beside.submit(_read, rows, begin + STRETCH) if begin + STRETCH < total else None
            yield found


def _read(rows: pl.LazyFrame, begin: int) -> pl.DataFrame:
    """Return one stretch."""
    return rows.slice(begin, STRETCH).collect(engine="streaming")


def at_once(rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query over little, which is read whole, in order, `size` at a time."""
    yield from rows.collect(engine="streaming").iter_slices(size)


def batches(rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query in order, `size` at a time. Whatever goes wrong in the query is raised here."""
    queue: Queue[pl.DataFrame | None] = Queue(_WAITING)
    stop = Event()

    def put(frame: pl.DataFrame | None) -> bool:
        while not stop.is_set():
            try:
                queue.put(frame, timeout=_PAUSE)
            except Full:
                continue
            return False
        return True

    def run() -> None:
        try:
            rows.sink_batches(put, chunk_size=size, maintain_order=True, engine="streaming")
        finally:
            put(None)

    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(run)
        try:
            while (frame := queue.get()) is not None:
                yield frame
            running.result()
        finally:
            stop.set()
            _drain(queue)


def _drain(queue: Queue[pl.DataFrame | None]) -> None:
    """Let the reader go."""
    while True:
        try:
            queue.get_nowait()
        except Empty:
            return
