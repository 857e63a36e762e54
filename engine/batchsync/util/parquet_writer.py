"""Incremental writer of a Parquet file, which appears completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Columns and their types.
Schema = Mapping[str, pl.DataType | type[pl.DataType]]


class ParquetWriter(AbstractContextManager["ParquetWriter"]):
    """Writer of a Parquet file under a temporary name. A context manager that discards the file on an exception.

    Without rows and metadata no file is written.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        compression: str = "lz4",
        metadata: Mapping[bytes, bytes] | None = None,
        few: Sequence[str] = (),
    ) -> None:
        """Write nothing yet.

        Args:
            path: Path of the completed file.
            schema: Columns and types; every frame must have these columns.
            compression: Parquet compression.
            metadata: Key-value metadata of the file.
            few: Columns with few distinct values, which are dictionary-encoded; for others that costs more than it
                saves.
        """
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._schema, self._compression, self._metadata = schema, compression, dict(metadata or {})
        self._dictionaries = [name for name in few if name in schema]
        self._opened: pq.ParquetWriter | None = None
        self.rows = 0

    def _writer(self) -> pq.ParquetWriter:
        """Return the writer of the temporary file, which is created at the first call."""
        if self._opened is None:
            empty = pl.DataFrame(schema=self._schema).to_arrow(compat_level=pl.CompatLevel.oldest())
            self._opened = pq.ParquetWriter(
                self._partial,
                empty.schema.with_metadata(self._metadata or None),
                compression=self._compression,
                use_dictionary=self._dictionaries,
            )
        return self._opened

    def add(self, frame: pl.DataFrame) -> None:
        """Write a frame; columns are selected by name."""
        if frame.height:
            table = frame.select(*self._schema).to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = self._writer()
            writer.write_table(table if table.schema.equals(writer.schema) else table.cast(writer.schema))
            self.rows += frame.height

    def add_metadata(self, metadata: Mapping[bytes, bytes]) -> None:
        """Add key-value metadata to the file."""
        self._writer().add_key_value_metadata(dict(metadata))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the file, or discard it if the block failed."""
        if kind is None:
            self.close()
        else:
            self.drop()

    def drop(self) -> None:
        """Delete the temporary file, if the file is not complete."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
            self._partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Complete the file under its final name, or delete an older one if nothing was written. Repeatable."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
            self._partial.replace(self._path)
        elif not self.rows:
            self._path.unlink(missing_ok=True)
