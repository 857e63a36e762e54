"""Join: a task per bucket of key hashes, which compares the records of all ranges of a source with the baseline.

It leaves the changes by range of source rows for the tasks that encode them, and returns counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.keep import Keep
from batchsync.core.naming import segment_key
from batchsync.data.baseline.segments import SegmentReader
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.batchfile.scattered_changes import CHANGES_BY_RANGE, FRAME_COUNTS, FRAMES, REMOVED, range_rows
from batchsync.data.compare.classify_partition import (
    RENEWED,
    SUPERSEDED,
    PartitionInputs,
    classify_partition,
)
from batchsync.data.compare.duplicate_keys import DuplicateKeys
from batchsync.data.compare.scatter_task import KEYS, LISTED, RECORDS_BY_BUCKET
from batchsync.data.frame import columns
from batchsync.data.frame.blob_file import BlobFile, BlobWriter
from batchsync.data.frame.content import LAYOUT
from batchsync.data.frame.hashes import partition_end
from batchsync.data.frame.integrity import opened
from batchsync.data.frame.known import Segment
from batchsync.data.frame.scratch_folder import scratch_folder
from batchsync.data.row import partitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.job import Job
    from batchsync.data.record.stored_value import StoredValue
    from batchsync.ports import BaselineEntry, ObjectStore

#: Names of the tables that a bucket leaves besides those of `scattered_changes.py`.
SUPERSEDED_ROWS, RENEWED_KEYS, UNKEPT = "superseded", "renewed", "unkept"
#: Their columns.
WHOLE: Mapping[str, Mapping[str, pl.DataType | type[pl.DataType]]] = {
    SUPERSEDED_ROWS: SUPERSEDED,
    RENEWED_KEYS: RENEWED,
    UNKEPT: CHANGES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPlan:
    """What the tasks of all buckets compare.

    Attributes:
        job: The job.
        store: Store that all tasks share.
        prefix: Prefix of their objects.
        scattered: Keys of the files of the ranges, in source order.
        in_flight: Keys of the files with the keys in flight.
        objects: Store of the baseline.
        baseline: What the target is known to hold.
        schema: Columns and types of the records.
        buckets: Number of buckets, a power of two.
    """

    job: Job
    store: ObjectStore
    prefix: str
    scattered: tuple[str, ...]
    in_flight: tuple[str, ...]
    objects: ObjectStore
    baseline: BaselineEntry
    schema: Mapping[str, pl.DataType | type[pl.DataType]]
    buckets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinTask:
    """Compare the records of a bucket.

    Attributes:
        plan: What all tasks compare.
        number: Number of the bucket.
        label: What the task is about, for messages.
    """

    plan: StoredValue[JoinPlan]
    number: int
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a bucket left.

    Attributes:
        key: Key of the file of its tables.
        counts: Row counts by classification.
        lost: Number of records by the members that they lost and the target keeps.
        digest: Digests of the changes in its ranges of key hashes.
        sent: Number of changes but removals.
        removed: Number of removals.
        rows: Number of rows of the tables `WHOLE`, by name.
        duplicates: Keys that occur more than once and may not.
        stale_watermark: See `StaleWatermarkError`.
    """

    key: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    lost: Counter[frozenset[str]] = field(default_factory=Counter)
    digest: bytes = b""
    sent: int = 0
    removed: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    duplicates: DuplicateKeys | None = None
    stale_watermark: bool = False


def join_bucket(task: JoinTask) -> Joined:
    """Return what the bucket of a task left.

    Raises:
        SourceError: If the rows of a key cannot be put in order.
        StateError: If a segment of the baseline is missing.
    """
    plan = task.plan.load()
    found = classify_partition(plan.job, None, _inputs(plan, task.number))
    if found.duplicates is not None:
        duplicates = DuplicateKeys()
        duplicates.add(found.duplicates)
        return Joined(duplicates=duplicates)
    if found.stale_watermark:
        return Joined(stale_watermark=True)
    is_removal = pl.col("op") == "remove"
    sent, removed = found.changes.filter(~is_removal), found.changes.filter(is_removal)
    tables = {
        SUPERSEDED_ROWS: found.superseded,
        RENEWED_KEYS: found.renewed,
        UNKEPT: found.unkept if found.unkept is not None else pl.DataFrame(schema=CHANGES),
    }
    return Joined(
        key=_write(plan, sent, tables | {REMOVED: removed}),
        counts=found.counts,
        lost=found.lost,
        digest=found.digest,
        sent=sent.height,
        removed=removed.height,
        rows={name: table.height for name, table in tables.items() if table.height},
    )


def _inputs(plan: JoinPlan, number: int) -> PartitionInputs:
    """Return what is known of the keys of a bucket."""
    begin = partition_end(number - 1, plan.buckets) if number else 0
    end = partition_end(number, plan.buckets)
    content = () if plan.job.keep is Keep.FINGERPRINTS else (LAYOUT,)
    entry = plan.baseline
    with opened(plan.objects, [segment_key(entry.job, item.file) for item in entry.segments]) as paths:
        segments = [
            SegmentReader(Segment(path=path, rows=item.rows), content).between(begin, end)
            for path, item in zip(paths, entry.segments, strict=True)
        ]
    keys: dict[str, type[pl.DataType]] = {columns.KEY: pl.String}
    return PartitionInputs(
        number=number,
        parts=plan.buckets,
        rows=_tables(plan, plan.scattered, RECORDS_BY_BUCKET, number, plan.schema),
        segments=segments,
        in_flight=_tables(plan, plan.in_flight, KEYS, number, {"key": pl.String}),
        listed=_tables(plan, plan.scattered, LISTED, number, keys),
    )


def _tables(
    plan: JoinPlan,
    keys: tuple[str, ...],
    name: str,
    number: int,
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
) -> pl.DataFrame:
    """Return the rows of the tables of a name and number in some files, one after the other."""
    tables = [BlobFile(plan.store, key).table(name, number, schema) for key in keys]
    return pl.concat([pl.DataFrame(schema=schema), *(table for table in tables if table.height)])


def _write(plan: JoinPlan, sent: pl.DataFrame, tables: Mapping[str, pl.DataFrame]) -> str:
    """Write the tables of a bucket, and return the key of their file."""
    by_row = sent.sort("row")
    row = pl.col("row") - 1
    frames = by_row.group_by((row // partitions.FRAME_ROWS).alias("frame"), maintain_order=True).len("count")
    with BlobWriter(scratch_folder(plan.store, plan.prefix)) as out:
        out.add_parts(CHANGES_BY_RANGE, by_row, row // range_rows())
        out.add(FRAMES, 0, frames.select(pl.col(name).cast(kind) for name, kind in FRAME_COUNTS.items()))
        for name, table in tables.items():
            out.add(name, 0, table)
        return out.finish()
