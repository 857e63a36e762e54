"""Segment files of a baseline: immutable, sorted by key hash, read by hash range; the latest state of a key wins.

Files of older releases, which are a single segment, are read too; unsorted ones are sorted in memory.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from batchsync.data.frame.content import FILE, HASHES, LAYOUT, content_among, content_schema
from batchsync.data.frame.hashes import (
    BITS,
    FINGERPRINT_BYTES,
    FINGERPRINT_VERSION,
    HASH,
    hash_of,
    in_hash_order,
    partition_end,
)
from batchsync.ports import SegmentEntry
from batchsync.util.files import sha256_of_file
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from batchsync.data.frame.known import Baseline, Segment
    from batchsync.ports import ObjectFolder

#: Columns of a segment: the key, the fingerprint of the version that the target holds (`accepted`), the fingerprint and
#: outcome of a later version (`last`, `last_state`), whether `accepted` is that of older segments (`as_before`), and
#: the members of the accepted version (`members`, of `record/held_members.py`), null if they are not known. The columns
#: of `frame/content.py` follow where a job keeps the content of records.
SEGMENT: dict[str, type[pl.DataType]] = {
    "key": pl.String,
    "accepted": pl.Binary,
    "last": pl.Binary,
    "last_state": pl.UInt8,
    "as_before": pl.Boolean,
    "members": pl.String,
}
#: Columns that segments of older releases lack, and their values.
_DEFAULTS = {"as_before": False, "members": None}
#: Maximum number of rows of a hash range if hashes are uniform; fewer where rows have content.
RANGE_ROWS = 65_536
_CONTENT_RANGES = 8
_ORDER, _ENDS, _FINGERPRINTS = b"batchsync.order", b"batchsync.ends", b"batchsync.fingerprints"
_METADATA = {_ORDER: b"xxh3_64"}


def range_count(rows: int, content: Sequence[str] = ()) -> int:
    """Return the number of hash ranges, a power of two, in which rows with some columns of content are written."""
    rows *= _CONTENT_RANGES if HASHES in content else 1
    return 1 << (max(0, rows - 1) // RANGE_ROWS).bit_length()


def kept_content(segments: Iterable[Segment]) -> tuple[str, ...]:
    """Return the columns of content that some segment has, by the schemas of their files."""
    return content_among(name for segment in segments for name in pq.read_metadata(segment.path).schema.names)


class SegmentReader:
    """Reader of the rows of a segment, with their key hashes, by hash range."""

    def __init__(self, segment: Segment, content: Sequence[str] = ()) -> None:
        """Read the metadata of the file; rows are read on demand, unless the file is unsorted.

        Args:
            segment: The segment.
            content: Columns of content to read, null where the segment lacks them.
        """
        self._path = segment.path
        self._columns = content_schema(content, **SEGMENT)
        # Not `pq.read_schema`: it has no metadata that was added after the schema was written.
        footer = pq.read_metadata(segment.path)
        metadata = footer.metadata or {}
        self._missing = [
            pl.lit(_DEFAULTS.get(name), dtype=kind).alias(name)
            for name, kind in self._columns.items()
            if name in (*_DEFAULTS, *content) and name not in footer.schema.names
        ]
        self._sorted: pl.DataFrame | None = None
        if _ENDS in metadata:
            self._ends: list[int] = json.loads(metadata[_ENDS])
        elif metadata.get(_ORDER) == _METADATA[_ORDER]:
            self._ends = self._count_ends()
        else:
            self._sorted = in_hash_order(self._read(0, None), "key")
            self._ends = [self._sorted.height]
        self._ranges = len(self._ends)
        self._next = 0
        self._rest = self._rows(0, 0)

    def _read(self, begin: int, rows: int | None) -> pl.DataFrame:
        """Return rows of the file with the hashes of their keys."""
        found = pl.scan_parquet(self._path, glob=False).slice(begin, rows)
        if self._missing:
            found = found.with_columns(self._missing)
        return found.select(*self._columns).collect().with_columns(hash_of("key"))

    def _count_ends(self) -> list[int]:
        """Return the end of each hash range in a sorted file without this metadata, by hashing all keys."""
        keys = pl.scan_parquet(self._path, glob=False).select("key")
        total = keys.select(pl.len()).collect().item()
        ranges = range_count(total)
        if ranges == 1:
            return [total]
        range_number = hash_of("key") // (1 << (BITS + 1 - ranges.bit_length()))
        counts = [0] * ranges
        for begin in range(0, total, RANGE_ROWS):
            numbers = keys.slice(begin, RANGE_ROWS).collect().select(range_number)[HASH]
            for number, count in numbers.value_counts().iter_rows():
                counts[number] += count
        return list(accumulate(counts))

    def _rows(self, first: int, end: int) -> pl.DataFrame:
        """Return the rows of consecutive hash ranges."""
        begin = self._ends[first - 1] if first else 0
        rows = (self._ends[end - 1] if end else 0) - begin
        if rows <= 0:
            return pl.DataFrame(schema=self._columns | {HASH: pl.UInt64})
        return self._sorted[begin : begin + rows] if self._sorted is not None else self._read(begin, rows)

    def until(self, limit: int) -> pl.DataFrame:
        """Return the next rows in order, up to a hash limit (exclusive)."""
        end = min(self._ranges, -(-limit * self._ranges >> BITS))
        if end > self._next:
            more = self._rows(self._next, end)
            self._rest = pl.concat([self._rest, more]) if self._rest.height else more
            self._next = end
        if limit >= partition_end(end - 1, self._ranges):
            found, self._rest = self._rest, self._rest.clear()
            return found
        cut = int(self._rest[HASH].search_sorted(limit))
        found, self._rest = self._rest[:cut], self._rest[cut:]
        return found

    def between(self, begin: int, end: int) -> pl.DataFrame:
        """Return the rows in order from one hash (inclusive) to another (exclusive)."""
        rows = self._rows(begin * self._ranges >> BITS, min(self._ranges, -(-end * self._ranges >> BITS)))
        hashes = rows[HASH]
        first = int(hashes.search_sorted(begin)) if begin else 0
        last = int(hashes.search_sorted(end)) if end < 1 << BITS else rows.height
        return rows[first:last]

    def read_keys(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of some keys (columns `key` and `HASH`), reading only the hash ranges of these keys."""
        shift = BITS + 1 - self._ranges.bit_length()
        numbers = sorted({key_hash >> shift for key_hash in keys[HASH]})
        found = [self._rows(number, number + 1).join(keys, on=["key", HASH], how="semi") for number in numbers]
        return pl.concat([self._rows(0, 0), *found])


def latest_per_key(layers: Sequence[pl.DataFrame], *, whole: bool) -> pl.DataFrame:
    """Merge layers of segment rows into the state of each key.

    Args:
        layers: Rows with the columns `SEGMENT` and `HASH`, and the same columns of content, oldest first; each key at
            most once per layer. Rows with `as_before` keep the accepted version of older layers.
        whole: Whether there are no older layers: keys without any version are left out, and `as_before` is cleared.

    Returns:
        A row per key with the same columns, in no order.
    """
    filled = [layer for layer in layers if layer.height]
    empty = layers[0].clear() if layers else pl.DataFrame(schema={**SEGMENT, HASH: pl.UInt64})
    rows = pl.concat(filled) if filled else empty
    if len(filled) > 1 and (repeated := rows[HASH].is_duplicated()).any():
        is_own = ~pl.col("as_before")
        merged = (
            rows.filter(repeated)
            .group_by("key")
            .agg(
                pl.col("accepted").filter(is_own).last(),
                pl.col("last").last(),
                pl.col("last_state").last(),
                pl.col("as_before").all(),
                pl.col("members").filter(is_own).last(),
                *(_latest_content(name, is_own) for name in content_among(rows.columns)),
                pl.col(HASH).first(),
            )
        )
        rows = pl.concat([rows.filter(~repeated), merged.select(rows.columns)])
    if whole:
        rows = rows.filter(pl.col("accepted").is_not_null() | pl.col("last").is_not_null())
        if rows["as_before"].any():
            rows = rows.with_columns(pl.lit(value=False).alias("as_before"))
    return rows


def _latest_content(name: str, is_own: pl.Expr) -> pl.Expr:
    """Return the content of the accepted version; one that was renewed was delivered by an older file."""
    own = pl.col(name).filter(is_own)
    return own.drop_nulls().last() if name == FILE else own.last()


def scan_keys(baseline: Baseline, keys: Sequence[str], content: Sequence[str] = ()) -> pl.DataFrame:
    """Return the states of some keys, reading only the necessary hash ranges.

    Args:
        baseline: The baseline.
        keys: The keys.
        content: Columns of content to read.

    Returns:
        The columns `SEGMENT`, the content and `HASH`.
    """
    return latest_per_key(segment_rows(baseline, keys, content), whole=True)


def segment_rows(baseline: Baseline, keys: Sequence[str], content: Sequence[str] = ()) -> list[pl.DataFrame]:
    """Return the rows of some keys in each segment, oldest first; see `scan_keys`."""
    wanted = pl.DataFrame({"key": pl.Series(list(keys), dtype=pl.String)}).unique("key").with_columns(hash_of("key"))
    return [SegmentReader(segment, content).read_keys(wanted) for segment in baseline.segments]


def write_segment(
    ranges: Iterable[pl.DataFrame], into: ObjectFolder, content: Sequence[str] = (), workspace: Path | None = None
) -> SegmentEntry:
    """Write rows as a new segment, which is durable when this returns.

    Args:
        ranges: Rows with the columns `SEGMENT` and the content, sorted by key hash: a frame per hash range, for
            `range_count` ranges.
        into: Destination of the segment.
        content: Columns of content.
        workspace: Workspace of `into` to write in; None opens one, which deletes others of it.

    Returns:
        The segment, named by the SHA-256 of its file.
    """
    with into.workspace() if workspace is None else nullcontext(workspace) as opened:
        file = opened / "segment"
        schema = content_schema(content, **SEGMENT)
        few = ("members", LAYOUT, FILE)
        with ParquetWriter(file, schema, compression="zstd", metadata=_METADATA, few=few) as writer:
            ends = []
            version = FINGERPRINT_VERSION
            for rows in ranges:
                writer.add(rows)
                ends.append(writer.rows)
                if _has_former_fingerprints(rows):
                    version = FINGERPRINT_VERSION - 1
            writer.add_metadata({_ENDS: json.dumps(ends).encode(), _FINGERPRINTS: str(version).encode()})
        digest = sha256_of_file(file)
        name = f"{digest}.parquet"
        into.put(file, name)
    return SegmentEntry(file=name, digest=digest, rows=writer.rows)


def holds_former_fingerprints(segment: Path) -> bool:
    """Return whether a segment may hold fingerprints of version 1, by the metadata of its file."""
    return (pq.read_metadata(segment).metadata or {}).get(_FINGERPRINTS) != str(FINGERPRINT_VERSION).encode()


def _has_former_fingerprints(rows: pl.DataFrame) -> bool:
    """Return whether a fingerprint is shorter than those of this version."""
    is_former = pl.any_horizontal(pl.col("accepted", "last").bin.size() < FINGERPRINT_BYTES)
    return bool(rows.select(is_former.any()).item())
