"""Rows go to numbered parts, by the hash of their key or by any other number; few of them are in memory at a time.

It does not know what the rows mean. As long as there are few rows nothing is written at all.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import polars_hash as plh
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from lading.data.spool import Schema

#: Parts of a scatter that went to the disk. A power of two.
PARTS = 64
#: Rows up to which nothing goes to the disk.
HELD = 125_000
#: Rows that are put in order and written at a time, about; beyond HELD they do not wait for more.
_AT_ONCE = 50_000
#: The column with the hash that decides which part a key belongs to, and in which order keys are gone through.
HASH = "lading:key_hash"
#: Bits of a hash.
BITS = 64


def hashed(key: str) -> pl.Expr:
    """Return the 64-bit hash of a column of keys (xxh3), which never changes."""
    found: pl.Expr = plh.col(key).nchash.xxh3_64().alias(HASH)
    return found


def part_of_key(key: str) -> pl.Expr:
    """Return which of PARTS parts a key belongs to: a stretch of hashes each."""
    return hashed(key) // (1 << (BITS - PARTS.bit_length() + 1))


def in_hash_order(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return rows that have the column HASH in the order of it, and of their keys where two of them share one."""
    found = rows.sort(HASH)
    hashes = found[HASH]
    return found.sort(HASH, key) if (hashes[1:] == hashes[:-1]).any() else found


def end_of(part: int, parts: int) -> int:
    """Return the first hash beyond a part."""
    return (part + 1) << (BITS - parts.bit_length() + 1)


class Scatter:
    """Rows by part. A context manager: on the way out its files are dropped."""

    def __init__(self, work: Path, name: str, schema: Schema) -> None:
        """Hold nothing yet; the files would be `name-*.arrow` in the folder `work`."""
        self._work, self._name, self._schema = work, name, schema
        self._empty = pl.DataFrame(schema=schema)
        self._held: list[pl.DataFrame] = []
        self._count = 0
        self._stack = ExitStack()
        self._outs: dict[int, Any] = {}
        self.rows = 0

    def add(self, rows: pl.DataFrame, number: pl.Expr) -> None:
        """Add rows; the expression gives the number of each one's part, from 0, within PARTS."""
        if not rows.height:
            return
        self._held.append(rows.select(*self._schema, number.cast(pl.UInt8).alias("lading:part")))
        self._count += rows.height
        self.rows += rows.height
        if self._count >= (_AT_ONCE if self._outs else HELD):
            self._flush()

    def _flush(self) -> None:
        """Write what is held, a few frames at a time."""
        held, self._held, self._count = self._held, [], 0
        while held:
            height, end = 0, 0
            while end < len(held) and (not end or height + held[end].height <= _AT_ONCE):
                height, end = height + held[end].height, end + 1
            self._write(pl.concat(held[:end]))
            del held[:end]

    def _write(self, rows: pl.DataFrame) -> None:
        """Write rows to their parts. One sort that keeps the order within a part is cheaper than many filters."""
        rows = rows.sort("lading:part", maintain_order=True)
        counts = rows["lading:part"].rle().struct.unnest()
        table = rows.drop("lading:part").to_arrow(compat_level=pl.CompatLevel.oldest())
        begin = 0
        for height, number in counts.iter_rows():
            if number not in self._outs:
                self._outs[number] = self._stack.enter_context(pa.ipc.new_stream(self._path(number), table.schema))
            self._outs[number].write_table(table.slice(begin, height))
            begin += height

    def _path(self, number: int) -> Path:
        """Return where a part lies."""
        return self._work / f"{self._name}-{number:03d}.arrow"

    @property
    def spilled(self) -> bool:
        """Whether anything went to the disk."""
        return bool(self._outs)

    def finish(self) -> None:
        """Take no more rows."""
        if self._outs and self._held:
            self._flush()
        self._stack.close()

    def part(self, number: int) -> pl.DataFrame:
        """Return the rows of one part, in the order in which they came."""
        if self._outs:
            if number not in self._outs:
                return self._empty
            with pa.ipc.open_stream(self._path(number).read_bytes()) as stream:
                return pl.DataFrame(stream.read_all())
        held = [one.filter(pl.col("lading:part") == number).drop("lading:part") for one in self._held]
        return pl.concat([self._empty, *held])

    def whole(self) -> pl.DataFrame:
        """Return all rows in the order in which they came, as long as none went to the disk."""
        return pl.concat([self._empty, *(one.drop("lading:part") for one in self._held)])

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield all rows, part by part where they went to the disk."""
        if not self._outs:
            yield self.whole()
        for number in sorted(self._outs):
            yield self.part(number)

    def __enter__(self) -> Self:
        """Return the scatter itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what is left."""
        self._stack.close()
        for number in self._outs:
            self._path(number).unlink(missing_ok=True)
