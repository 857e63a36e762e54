"""Changes of a comparison by tasks: tables in a shared store, by bucket of key hashes and by range of source rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.batchfile.encoded_range import EncodedRange
from batchsync.data.frame.blob_file import BlobFile
from batchsync.data.record.stored_value import StoredValue
from batchsync.data.row import partitions
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.ports import ObjectStore

#: Names of the tables of a bucket: changes by range of rows, number of changes by frame, and removals.
CHANGES_BY_RANGE, FRAMES, REMOVED = "changes", "frames", "removed"
#: Columns of the number of changes by frame.
FRAME_COUNTS = {"frame": pl.Int64, "count": pl.UInt32}
#: Number of frames of a range of source rows whose changes are one table.
RANGE_FRAMES = 10
_FILE = "scattered.json"


def range_rows() -> int:
    """Return the number of source rows of a range whose changes are one table."""
    return RANGE_FRAMES * partitions.FRAME_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatteredChanges:
    """Where the changes are.

    Attributes:
        source: How the source is read by tasks.
        keys: Keys of the files of the buckets, in the order of the key hashes.
        sent: Number of changes but removals.
        removed: Number of removals in each bucket.
        rows: Number of rows of the source.
        encoded: The changes, encoded while they were compared; empty if they are not.
    """

    source: StoredValue[Any]
    keys: tuple[str, ...]
    sent: int
    removed: tuple[int, ...]
    rows: int
    encoded: tuple[EncodedRange, ...] = ()

    @property
    def store(self) -> ObjectStore:
        """Store of the files."""
        return self.source.store

    @property
    def total(self) -> int:
        """Number of changes."""
        return self.sent + sum(self.removed)

    def save(self, folder: Path) -> None:
        """Write down in the folder of the comparison where its changes are."""
        facts = {
            "source": {"key": self.source.key, "size": self.source.size, "digest": self.source.digest},
            "keys": self.keys,
            "sent": self.sent,
            "removed": self.removed,
            "rows": self.rows,
            "encoded": [[item.key, item.blocks.hex(), item.groups] for item in self.encoded],
        }
        (folder / _FILE).write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def of(cls, folder: Path, store: ObjectStore) -> Self:
        """Return where the changes of the comparison in a folder are.

        Args:
            folder: Folder of a comparison that `is_scattered`.
            store: Store that its tasks share.
        """
        facts = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        source: StoredValue[Any] = StoredValue(store, **facts["source"])
        return cls(
            source=source,
            keys=tuple(facts["keys"]),
            sent=facts["sent"],
            removed=tuple(facts["removed"]),
            rows=facts["rows"],
            encoded=tuple(
                EncodedRange(key=key, blocks=bytes.fromhex(blocks), groups=tuple(groups))
                for key, blocks, groups in facts["encoded"]
            ),
        )

    def files(self) -> list[BlobFile]:
        """Return the files of the buckets."""
        return [BlobFile(self.store, key) for key in self.keys]

    def of_frames(self, frames: range) -> pl.DataFrame:
        """Return the changes in consecutive frames, but removals, by source row; the columns `CHANGES`."""
        begin, end = frames.start * partitions.FRAME_ROWS, frames.stop * partitions.FRAME_ROWS
        ranges = range(begin // range_rows(), -(-end // range_rows()))
        tables = [file.table(CHANGES_BY_RANGE, number, CHANGES) for number in ranges for file in self.files()]
        row = pl.col("row") - 1
        return pl.concat([pl.DataFrame(schema=CHANGES), *tables]).filter((row >= begin) & (row < end)).sort("row")

    def removals(self, begin: int, count: int) -> pl.DataFrame:
        """Return consecutive removals in the order of their key hashes; the columns `CHANGES`."""
        found = [pl.DataFrame(schema=CHANGES)]
        for key, last, rows in zip(self.keys, accumulate(self.removed), self.removed, strict=True):
            first = last - rows
            if rows and first < begin + count and last > begin:
                table = BlobFile(self.store, key).table(REMOVED, 0, CHANGES)
                found.append(table[max(0, begin - first) : begin + count - first])
        return pl.concat(found)

    def count_by_frame(self) -> dict[int, int]:
        """Return the number of changes but removals of each frame that has some, in order."""
        tables = [file.table(FRAMES, 0, FRAME_COUNTS) for file in self.files()]
        sums = pl.concat([pl.DataFrame(schema=FRAME_COUNTS), *tables]).group_by("frame").agg(pl.col("count").sum())
        return dict(sums.sort("frame").iter_rows())

    def write(self, file: Path) -> None:
        """Write all changes to a file as `compare` does: by source row, removals last."""
        with ParquetWriter(file, CHANGES) as out:
            for first in range(0, -(-self.rows // partitions.FRAME_ROWS), RANGE_FRAMES):
                out.add(self.of_frames(range(first, first + RANGE_FRAMES)))
            for begin in range(0, sum(self.removed), range_rows()):
                out.add(self.removals(begin, range_rows()))


def label_of(job: str, frames: range, rows: int) -> str:
    """Return what messages call consecutive frames of the source of a job, which has so many rows."""
    last = min(frames.stop * partitions.FRAME_ROWS, rows)
    return f"rows {frames.start * partitions.FRAME_ROWS + 1:,} to {last:,} of {job}"


def is_scattered(folder: Path) -> bool:
    """Return whether the comparison in a folder was made by tasks."""
    return (folder / _FILE).exists()


def iter_groups(counts: dict[int, int], rows_min: int) -> Iterator[list[int]]:
    """Yield consecutive frames that are encoded together, because each has few changes.

    Args:
        counts: Number of changes by frame, of frames that have some, in order.
        rows_min: Number of changes from which on a group is complete.

    Yields:
        The numbers of the frames of each group.
    """
    group: list[int] = []
    count = 0
    for frame, rows in counts.items():
        group.append(frame)
        count += rows
        if count >= rows_min:
            yield group
            group, count = [], 0
    if group:
        yield group
