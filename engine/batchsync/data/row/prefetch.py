"""Bounded prefetch: frames of a lazy query are produced in a background thread at the pace of the consumer.

polars alone would read ahead without a limit on memory.
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

#: Rows of a Parquet file that are read at a time.
RANGE_ROWS = 50_000
#: Size in bytes up to which a file is read without a thread, which would take longer than reading.
SMALL_FILE_BYTES = 1 << 20
#: Maximum number of frames in the queue.
_QUEUE_MAX = 1
#: Seconds between two checks whether the consumer has stopped.
_PAUSE = 0.2

# The default chunk size of polars takes half a gigabyte of memory.
os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", str(4 << 20))
os.environ.setdefault("POLARS_CSV_CHUNK_PREFETCH_LIMIT", "4")
os.environ.setdefault("POLARS_NDJSON_CHUNK_SIZE", str(4 << 20))
os.environ.setdefault("POLARS_NDJSON_CHUNK_PREFETCH_LIMIT", "4")


def iter_ranges(rows: pl.LazyFrame, total: int) -> Iterator[pl.DataFrame]:
    """Read a query that supports random access in ranges, prefetching the next range.

    Args:
        rows: A query whose slices can be read without the rows before them, such as a Parquet scan.
        total: Number of its rows.

    Yields:
        Frames of at most `RANGE_ROWS` rows, in order.
    """
    if total <= RANGE_ROWS:
        if total:
            yield _read_range(rows, 0)
        return
    with ThreadPoolExecutor(1) as pool:
        prefetched: Future[pl.DataFrame] | None = None
        for begin in range(0, total, RANGE_ROWS):
            current = prefetched or pool.submit(_read_range, rows, begin)
            found = current.result()
            prefetched = pool.submit(_read_range, rows, begin + RANGE_ROWS) if begin + RANGE_ROWS < total else None
            yield found


def _read_range(rows: pl.LazyFrame, begin: int) -> pl.DataFrame:
    """Return `RANGE_ROWS` rows from an index on."""
    return rows.slice(begin, RANGE_ROWS).collect(engine="streaming")


def collect_small(rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """Collect a small query at once.

    Yields:
        Its rows in order, in frames of `size` rows.
    """
    yield from rows.collect(engine="streaming").iter_slices(size)


def iter_batches(rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """Run a query in a background thread; errors of the query are raised to the consumer.

    Yields:
        Its rows in order, in frames of `size` rows.
    """
    queue: Queue[pl.DataFrame | None] = Queue(_QUEUE_MAX)
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

    with ThreadPoolExecutor(1) as pool:
        producer = pool.submit(run)
        try:
            while (frame := queue.get()) is not None:
                yield frame
            producer.result()
        finally:
            stop.set()
            _drain(queue)


def _drain(queue: Queue[pl.DataFrame | None]) -> None:
    """Empty the queue to unblock the producer."""
    while True:
        try:
            queue.get_nowait()
        except Empty:
            return
