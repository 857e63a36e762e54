"""Frames go to a Parquet file one after the other, and the file is there whole or not at all.

It does not know what the columns mean.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

import polars as pl
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path
    from types import TracebackType

#: Columns and their types.
Schema = Mapping[str, pl.DataType | type[pl.DataType]]
One = TypeVar("One")
Other = TypeVar("Other")


class Spool:
    """A Parquet file that grows frame by frame under a temporary name. A context manager: an exception drops it."""

    def __init__(
        self, path: Path, schema: Schema, *, compression: str = "lz4", mark: Mapping[bytes, bytes] | None = None
    ) -> None:
        """Open the file; every frame must have these columns. The mark is kept in the file's metadata."""
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._empty = pl.DataFrame(schema=schema)
        columns = self._arrow(self._empty).schema.with_metadata(dict(mark) if mark else None)
        self._writer = pq.ParquetWriter(self._partial, columns, compression=compression)
        self.rows = 0

    def _arrow(self, frame: pl.DataFrame) -> Any:
        """Return the frame as an Arrow table with the types that every reader knows."""
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

    def add(self, frame: pl.DataFrame) -> None:
        """Write one frame; columns are taken by name."""
        if frame.height:
            self._writer.write_table(self._arrow(frame.select(self._empty.columns)).cast(self._writer.schema))
            self.rows += frame.height

    def __enter__(self) -> Self:
        """Return the spool itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file and give it its name; drop it when the block failed."""
        if kind is None:
            self.close()
        else:
            self.drop()

    def drop(self) -> None:
        """Forget what was written, unless the file has its name."""
        if self._partial.exists():
            self._writer.close()
            self._partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file and give it its name; once more is nothing."""
        if self._partial.exists():
            self._writer.close()
            self._partial.replace(self._path)


def threads() -> int:
    """Return how many threads map and encode at the same time."""
    return max(1, min(8, os.cpu_count() or 1))


def in_order(work: Callable[[One], Other], given: Iterable[One], threads: int) -> Generator[Other]:
    """Yield `work(one)` for each one in order, computed by threads, with at most one more than threads under way."""
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[Other]] = deque()
        try:
            for one in given:
                under_way.append(pool.submit(work, one))
                if len(under_way) > threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for left in under_way:
                left.cancel()


def digest_of(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def settle_on_disk(path: Path, final: Path) -> None:
    """Force a file to the disk, give it its name, and force the folder too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot sync a folder; the rename is still ordered there
            os.fsync(folder)
    finally:
        os.close(folder)
