"""Packed lines of a range of the source with their row manifests, which one task leaves and others put into files."""

from __future__ import annotations

import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from batchsync.data.batchfile.gzip_blocks import GzipBlock
from batchsync.data.frame.blob_file import BlobFile, BlobWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from batchsync.data.batchfile.encode import Encoded
    from batchsync.ports import ObjectFolder, ObjectStore

#: Names of the tables of an encoded range: packed lines and row manifest by group, and the blocks of all groups.
_LINES, _MANIFEST, _BLOCKS = "lines", "manifest", "blocks"
_BLOCK_COLUMNS = {"group": pl.UInt32, "size": pl.UInt32, "rows": pl.UInt32, "crc": pl.UInt32, "raw": pl.UInt64}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRange:
    """What a task encoded.

    Attributes:
        key: Key of the file of its lines and row manifests.
        blocks: Sizes and numbers of lines of its blocks, compressed.
        groups: Number of records of each group of frames that were encoded together.
        removals: Whether these are removals.
    """

    key: str
    blocks: bytes
    groups: tuple[int, ...]
    removals: bool = False

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Yield the bytes and the number of lines of each block."""
        found = np.frombuffer(zlib.decompress(self.blocks), dtype="<u4").reshape(2, -1)
        yield from zip(found[0].tolist(), found[1].tolist(), strict=True)


class EncodedWriter(AbstractContextManager["EncodedWriter"]):
    """Writer of packed lines and their row manifests, by group of frames that were encoded together."""

    def __init__(self, into: ObjectFolder) -> None:
        """Prepare the file."""
        self._out = BlobWriter(into)
        self._blocks: list[tuple[int, int, int, int, int]] = []
        self._rows: list[int] = []

    def __enter__(self) -> Self:
        """Create the file.

        Returns:
            The writer.
        """
        self._out.__enter__()
        return self

    def add(self, item: Encoded) -> None:
        """Add the next group."""
        group = len(self._rows)
        self._out.add_bytes(_LINES, group, b"".join(block.data for block in item.blocks))
        self._out.add(_MANIFEST, group, item.row_manifest)
        self._blocks += [(group, len(block.data), block.rows, block.crc, block.size) for block in item.blocks]
        self._rows.append(item.rows)

    def finish(self, *, removals: bool = False) -> EncodedRange:
        """Complete the file.

        Args:
            removals: Whether its records are removals.

        Returns:
            What was encoded.
        """
        table = pl.DataFrame(self._blocks, schema=_BLOCK_COLUMNS, orient="row")
        self._out.add(_BLOCKS, 0, table)
        sizes = np.array([table["size"].to_numpy(), table["rows"].to_numpy()], dtype="<u4")
        blocks = zlib.compress(sizes.tobytes())
        return EncodedRange(key=self._out.finish(), blocks=blocks, groups=tuple(self._rows), removals=removals)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the file unless it is finished."""
        self._out.__exit__(kind, error, trace)


def iter_blocks(store: ObjectStore, key: str, span: range) -> Iterator[tuple[GzipBlock, pl.DataFrame]]:
    """Yield consecutive blocks of an encoded range, each with the row manifest of its lines.

    Args:
        store: Store of the encoded range.
        key: Its key.
        span: Numbers of the blocks, from 0.
    """
    file = BlobFile(store, key)
    ends = pl.col("size", "rows").cum_sum().over("group").name.suffix("_end")
    table = (
        file.table(_BLOCKS, 0, _BLOCK_COLUMNS).with_columns(pl.col("size", "rows").cast(pl.Int64)).with_columns(ends)
    )
    for _, blocks in table[span.start : span.stop].group_by("group", maintain_order=True):
        yield from _blocks_of_group(file, blocks)


def _blocks_of_group(file: BlobFile, blocks: pl.DataFrame) -> Iterator[tuple[GzipBlock, pl.DataFrame]]:
    """Yield consecutive blocks of a group with their row manifests."""
    group = int(blocks["group"][0])
    first = int(blocks["size_end"][0]) - int(blocks["size"][0])
    place = file.span(_LINES, group)
    begin = first + (place[0] if place is not None else 0)
    data = memoryview(file.store.read(file.key, begin, int(blocks["size_end"][-1]) - first))
    manifest = file.table(_MANIFEST, group, {})
    for row in blocks.iter_rows(named=True):
        end = row["size_end"] - first
        block = GzipBlock(bytes(data[end - row["size"] : end]), row["rows"], row["crc"], row["raw"])
        yield block, manifest[row["rows_end"] - row["rows"] : row["rows_end"]]


def is_complete(encoded: Sequence[EncodedRange], records: int, rows_min: int) -> bool:
    """Return whether eagerly encoded ranges are what a later stage would encode.

    Args:
        encoded: The ranges, a group for each frame.
        records: Number of records to send.
        rows_min: Number of records from which on a frame is not joined with the next.
    """
    groups = [rows for item in encoded for rows in item.groups if rows]
    return sum(groups) == records and all(rows >= rows_min for rows in groups[:-1])
