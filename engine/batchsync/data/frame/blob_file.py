"""Files of many small tables, each of which is read by itself: what a task leaves for other tasks.

A file holds its tables one after the other, as Arrow streams, followed by their places. The tables have a name and a
number, such as the bucket of a shuffle, so that a task reads no more than it needs, from a folder or object storage.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import IO, TYPE_CHECKING, Self

import polars as pl

from batchsync.util.files import sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from batchsync.ports import ObjectFolder, ObjectStore

#: Bytes of the length of the index, which ends the file, and the most that an index may have.
_LENGTH_BYTES, _INDEX_MAX = 8, 64 << 20
#: Indexes kept per process.
_INDEXES = 4096

#: Place of each table: first byte and number of bytes, by number, by name.
_Index = dict[str, dict[int, tuple[int, int]]]


class BlobWriter(AbstractContextManager["BlobWriter"]):
    """Writer of a file of tables, which is put under its digest. A context manager that drops an unfinished file."""

    def __init__(self, into: ObjectFolder) -> None:
        """Prepare the file; it is created when the context is entered."""
        self._into = into
        self._workspace = into.workspace()
        self._index: _Index = {}
        self._size = 0

    def __enter__(self) -> Self:
        """Create the file.

        Returns:
            The writer.
        """
        self._path = self._workspace.__enter__() / "tables"
        self._stream: IO[bytes] = self._path.open("xb")
        return self

    def add(self, name: str, number: int, table: pl.DataFrame) -> None:
        """Add a table, unless it is empty."""
        if table.height:
            stream = BytesIO()
            table.write_ipc_stream(stream, compression="zstd", compat_level=pl.CompatLevel.oldest())
            self.add_bytes(name, number, stream.getbuffer())

    def add_bytes(self, name: str, number: int, data: bytes | memoryview) -> None:
        """Add bytes under a name and number."""
        self._index.setdefault(name, {})[number] = (self._size, len(data))
        self._size += self._stream.write(data)

    def add_parts(self, name: str, rows: pl.DataFrame, number: pl.Expr) -> None:
        """Add rows as tables by number, each in the order of the rows.

        Args:
            name: Name of the tables.
            rows: The rows.
            number: Number of the table of each row.
        """
        if not rows.height:
            return
        numbered = rows.with_columns(number.alias("batchsync:part")).sort("batchsync:part", maintain_order=True)
        begin = 0
        for height, part in numbered["batchsync:part"].rle().struct.unnest().iter_rows():
            self.add(name, int(part), numbered[begin : begin + height].drop("batchsync:part"))
            begin += height

    def finish(self) -> str:
        """Complete the file.

        Returns:
            Its key.
        """
        index = json.dumps(self._index, separators=(",", ":")).encode()
        self._stream.write(index)
        self._stream.write(len(index).to_bytes(_LENGTH_BYTES, "big"))
        self._stream.close()
        name = f"{sha256_of_file(self._path)}.tables"
        self._into.put(self._path, name)
        return f"{self._into.prefix}/{name}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the file unless it is finished."""
        self._stream.close()
        self._workspace.__exit__(kind, error, trace)


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A finished file of tables.

    Attributes:
        store: Its store.
        key: Its key.
    """

    store: ObjectStore
    key: str

    def table(self, name: str, number: int, schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
        """Return a table; an empty one if it was not added.

        Args:
            name: Its name.
            number: Its number.
            schema: Columns and types of an empty table.
        """
        found = self.span(name, number)
        if found is None:
            return pl.DataFrame(schema=schema)
        return pl.read_ipc_stream(BytesIO(self.store.read(self.key, *found)))

    def span(self, name: str, number: int) -> tuple[int, int] | None:
        """Return the first byte and the number of bytes of a table; None if it was not added."""
        return _index_of(self).get(name, {}).get(number)

    def numbers(self, name: str) -> list[int]:
        """Return the numbers of the tables of a name."""
        return sorted(_index_of(self).get(name, {}))


@lru_cache(maxsize=_INDEXES)
def _index_of(file: BlobFile) -> _Index:
    """Return the index of a file, whose key names its content."""
    store, key = file.store, file.key
    length = int.from_bytes(store.read(key, -_LENGTH_BYTES, _LENGTH_BYTES), "big")
    if length > _INDEX_MAX:
        message = f"{key}: the index of the tables is damaged"
        raise EOFError(message)
    found = json.loads(store.read(key, -_LENGTH_BYTES - length, length))
    return {
        name: {int(number): (begin, size) for number, (begin, size) in spans.items()} for name, spans in found.items()
    }
