"""Frames go to a Parquet file one after the other, and the file is there whole or not at all.

It does not know what the columns mean.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Columns and their types.
Schema = Mapping[str, pl.DataType | type[pl.DataType]]


class Spool:
    """A Parquet file that grows frame by frame under a temporary name. A context manager: an exception drops it."""

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        compression: str = "lz4",
        mark: Mapping[bytes, bytes] | None = None,
        few: Sequence[str] = (),
    ) -> None:
        """Open the file; every frame must have these columns. The mark is kept in the file's metadata.

        `few` names the columns with few distinct values: the others are not worth the search for equal ones.
        """
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._empty = pl.DataFrame(schema=schema)
        columns = self._arrow(self._empty).schema.with_metadata(dict(mark) if mark else None)
        self._writer = pq.ParquetWriter(
            self._partial, columns, compression=compression, use_dictionary=[one for one in few if one in schema]
        )
        self.rows = 0

    def _arrow(self, frame: pl.DataFrame) -> Any:
        """Return the frame as an Arrow table with the types that every reader knows."""
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

    def add(self, frame: pl.DataFrame) -> None:
        """Write one frame; columns are taken by name."""
        if frame.height:
            table = self._arrow(frame.select(self._empty.columns))
            known = self._writer.schema
            self._writer.write_table(table if table.schema.equals(known) else table.cast(known))
            self.rows += frame.height

    def describe(self, mark: Mapping[bytes, bytes]) -> None:
        """Keep more in the file's metadata."""
        self._writer.add_key_value_metadata(dict(mark))

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
