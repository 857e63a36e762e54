"""Content of accepted records on its way into a segment: looked up by key, one range of key hashes at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.baseline.segments import SegmentReader, kept_content, range_count, write_segment
from batchsync.data.frame.content import COLUMNS_OF, CONTENT, FILE, LAYOUT, content_among, content_schema, layout_prefix
from batchsync.data.frame.hashes import PARTITIONS, partition_end, partition_of_key
from batchsync.data.frame.integrity import verify_digest
from batchsync.data.frame.partitioned_spill import PartitionedSpill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from batchsync.core.keep import Keep
    from batchsync.data.frame.known import Baseline, Segment
    from batchsync.ports import BaselineEntry, ObjectFolder, SegmentEntry

#: Rows of content in memory; records are large.
_ROWS = 10_000


def manifest_content(manifests: Sequence[Path]) -> pl.LazyFrame | None:
    """Return the content of the records of row manifests: `key` and the columns of content; None if they have none."""
    frames = [pl.scan_parquet(path, glob=False) for path in manifests]
    names = content_among(name for frame in frames for name in frame.collect_schema())
    if not names:
        return None
    return pl.concat([_selected(frame, names) for frame in frames])


def _selected(frame: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    """Return the key and the columns of content of a row manifest, null where it lacks them."""
    present = frame.collect_schema().names()
    columns = [(pl.col(name) if name in present else pl.lit(None)).cast(CONTENT[name]).alias(name) for name in names]
    return frame.select("key", *columns)


class ContentByKey(AbstractContextManager["ContentByKey"]):
    """Content of records, partitioned by the hash of their keys, on the disk when it is large."""

    def __init__(self, work: Path, rows: pl.LazyFrame) -> None:
        """Distribute rows with `key` and columns of content; of a key that occurs twice, the last row counts."""
        schema = rows.collect_schema()
        self.columns = content_among(schema)
        self._schema = content_schema(self.columns, key=pl.String)
        self._spill = PartitionedSpill(work, "content", self._schema, rows_in_memory=_ROWS)
        for frame in rows.collect_batches(chunk_size=_ROWS, maintain_order=True):
            self._spill.add(frame, partition_of_key("key"))
        self._spill.finish()
        self._parts: tuple[int, int] | None = None
        self._rows = pl.DataFrame(schema=self._schema)

    def joined(self, rows: pl.DataFrame, number: int, ranges: int) -> pl.DataFrame:
        """Return rows of a segment with their content; those whose accepted version is an older one have none.

        Args:
            rows: New rows of a range of key hashes.
            number: Number of the range.
            ranges: Number of ranges, a power of two.
        """
        first = number * PARTITIONS // ranges
        parts = (first, max(first + 1, (number + 1) * PARTITIONS // ranges))
        if not self._spill.spilled:
            parts = (0, 1)
        if parts != self._parts:
            found = [self._spill.partition(part, PARTITIONS if self._spill.spilled else 1) for part in range(*parts)]
            self._rows = pl.concat(found).unique("key", keep="last")
            self._parts = parts
        joined = rows.join(self._rows, on="key", how="left", maintain_order="left")
        is_new = pl.col("accepted").is_not_null() & ~pl.col("as_before")
        return joined.with_columns(pl.when(is_new).then(pl.col(name)).alias(name) for name in self.columns)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the files."""
        self._spill.__exit__(kind, error, trace)


def with_nulls(rows: pl.DataFrame, content: Sequence[str]) -> pl.DataFrame:
    """Return rows of a segment with columns of content, null where they lack them."""
    missing = [pl.lit(None, dtype=CONTENT[name]).alias(name) for name in content if name not in rows.columns]
    return rows.with_columns(missing) if missing else rows


def without_surplus(
    baseline: Baseline, entry: BaselineEntry, keep: Keep, into: ObjectFolder
) -> tuple[SegmentEntry, ...]:
    """Return the segments without content that the job does not keep any more. Others stay as they are.

    Args:
        baseline: The baseline.
        entry: The reference to it.
        keep: What the job keeps now.
        into: Destination of new segments.

    Raises:
        StateError: If a segment to rewrite is missing or damaged.
    """
    wanted = (*COLUMNS_OF[keep], FILE)
    segments = []
    for segment, reference in zip(baseline.segments, entry.segments, strict=True):
        content = kept_content([segment])
        if set(content) <= set(wanted):
            segments.append(reference)
            continue
        verify_digest([segment.path])
        left = tuple(name for name in content if name in wanted)
        segments.append(write_segment(_reduced(segment, left, keep), into, left))
    return tuple(segments)


def _reduced(segment: Segment, content: Sequence[str], keep: Keep) -> Iterator[pl.DataFrame]:
    """Yield the rows of a segment with some of its content, one range of key hashes at a time."""
    reader, ranges = SegmentReader(segment, content), range_count(segment.rows, content)
    for number in range(ranges):
        rows = reader.until(partition_end(number, ranges))
        if LAYOUT in content:
            layout = pl.col(LAYOUT).str.replace(r'^\["[a-z]+"', layout_prefix(keep))
            rows = rows.with_columns(layout)
        yield rows
