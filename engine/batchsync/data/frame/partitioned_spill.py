"""Partitioned spill (a shuffle): rows are distributed to numbered partitions, in memory or in Arrow files.

Files are written by a background thread, while the caller goes on.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from batchsync.data.frame.hashes import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from batchsync.util.parquet_writer import Schema

#: Maximum number of rows that are kept in memory; with more, all rows are written to files.
ROWS_IN_MEMORY = 125_000
#: Approximate number of rows that are sorted by partition and written at a time.
_FLUSH_ROWS = 50_000


class PartitionedSpill(AbstractContextManager["PartitionedSpill"]):
    """Rows by partition. A context manager that deletes its files on exit."""

    def __init__(self, work: Path, name: str, schema: Schema, *, rows_in_memory: int = ROWS_IN_MEMORY) -> None:
        """Create an empty spill.

        Args:
            work: Existing folder for files.
            name: Prefix of the files, which are named `name-000.arrow` and so on.
            schema: Columns and types of the rows.
            rows_in_memory: Maximum number of rows in memory; fewer for large rows.
        """
        self._rows_in_memory, self._flush_rows = rows_in_memory, min(_FLUSH_ROWS, rows_in_memory)
        self._work, self._name, self._schema = work, name, schema
        self._buffer: list[pl.DataFrame] = []
        self._count = 0
        self._stack = ExitStack()
        self._writers: dict[int, Any] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._flushed: Future[None] | None = None
        self.rows = 0

    def add(self, rows: pl.DataFrame, number: pl.Expr) -> None:
        """Add rows; the expression gives the partition of each row, from 0 to 255."""
        if not rows.height:
            return
        self._buffer.append(rows.select(*self._schema, number.cast(pl.UInt8).alias("batchsync:part")))
        self._count += rows.height
        self.rows += rows.height
        if self._count >= (self._rows_in_memory if self._thread is None else self._flush_rows):
            self._flush()

    def _flush(self) -> Future[None]:
        """Write the rows in memory in the background, after those before; raise the error of an earlier write."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1)
        if self._flushed is not None:
            self._flushed.result()
        self._flushed = self._thread.submit(self._write_all, self._buffer)
        self._buffer, self._count = [], 0
        return self._flushed

    def _write_all(self, buffered: list[pl.DataFrame]) -> None:
        """Write frames, a few at a time, and drop them."""
        while buffered:
            height, end = 0, 0
            while end < len(buffered) and (not end or height + buffered[end].height <= self._flush_rows):
                height, end = height + buffered[end].height, end + 1
            self._write(pl.concat(buffered[:end]))
            del buffered[:end]

    def _write(self, rows: pl.DataFrame) -> None:
        """Write rows to their partitions. A stable sort is cheaper than a filter per partition."""
        rows = rows.sort("batchsync:part", maintain_order=True)
        counts = rows["batchsync:part"].rle().struct.unnest()
        table = rows.drop("batchsync:part").to_arrow(compat_level=pl.CompatLevel.oldest())
        begin = 0
        for height, number in counts.iter_rows():
            if number not in self._writers:
                self._writers[number] = self._stack.enter_context(pa.ipc.new_stream(self._path(number), table.schema))
            self._writers[number].write_table(table.slice(begin, height))
            begin += height

    def _path(self, number: int) -> Path:
        """Return the path of a partition's file."""
        return self._work / f"{self._name}-{number:03d}.arrow"

    @property
    def spilled(self) -> bool:
        """Whether rows were written to files."""
        return self._thread is not None

    def finish(self) -> None:
        """Complete the files. No rows may be added afterwards.

        Raises:
            OSError: If a file cannot be written.
        """
        if self._thread is not None:
            self._flush().result()
        self._stack.close()

    def partition(self, number: int, parts: int = PARTITIONS) -> pl.DataFrame:
        """Return rows in the order in which they were added.

        Args:
            number: Number of the partition.
            parts: Number of partitions; 1 for all rows at once, only if none were spilled.

        Returns:
            The rows of the partition.
        """
        if number in self._writers:
            with pa.ipc.open_stream(self._path(number).read_bytes()) as stream:
                return pl.DataFrame(stream.read_all())
        if self._thread is not None or not self._buffer:
            return pl.DataFrame(schema=self._schema)
        part = pl.col("batchsync:part") == number
        found = [frame if parts == 1 else frame.filter(part) for frame in self._buffer]
        return pl.concat(found).drop("batchsync:part")

    def partitions(self) -> Iterator[pl.DataFrame]:
        """Iterate over all rows.

        Yields:
            The rows of each partition if rows were spilled, else all rows at once.
        """
        if self._thread is None:
            yield self.partition(0, 1)
        for number in sorted(self._writers):
            yield self.partition(number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the files."""
        if self._thread is not None:
            self._thread.shutdown()
        self._stack.close()
        for number in self._writers:
            self._path(number).unlink(missing_ok=True)
