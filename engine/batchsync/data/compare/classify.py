"""Classify every record of a source by comparing it with the baseline, one partition of keys at a time.

Each record is exactly one of unchanged, to send (add or change), deferred, still rejected, still unknown, or invalid.
Rows that lost against another row of their key, as declared, are superseded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.baseline.segments import SegmentReader
from batchsync.data.compare.classify_partition import PartitionInputs, classify_partition
from batchsync.data.compare.duplicate_keys import DuplicateKeys
from batchsync.data.frame import columns
from batchsync.data.frame.content import LAYOUT
from batchsync.data.frame.hashes import PARTITIONS, partition_end
from batchsync.util.executor import map_in_order

if TYPE_CHECKING:
    import hashlib

    from batchsync.core.job import Job
    from batchsync.data.compare.diff_inputs import DiffInputs
    from batchsync.data.frame.partitioned_spill import PartitionedSpill
    from batchsync.util.parquet_writer import ParquetWriter

#: Maximum number of records, of source and baseline together, that are compared in one partition.
PARTITION_ROWS = 500_000
#: Partitions compared concurrently; polars uses all cores within each.
_PARTITIONS_AT_ONCE = 2
_IS_REMOVAL = pl.col("op") == "remove"


@dataclass(slots=True)
class ClassifiedRows:
    """Result of `classify`.

    Attributes:
        changes: Changes but removals, with the columns `CHANGES`, partitioned by source row.
        removed: Removals, with the columns `CHANGES`, in order of their key hashes.
        superseded: Rows that lost against another row of their key, with the columns `SUPERSEDED`, partitioned by row.
        renewed: Unchanged records that the baseline holds with a fingerprint of version 1, with the columns `RENEWED`.
        unkept: Unchanged records whose content the job keeps and the baseline lacks, with the columns `CHANGES`,
            partitioned by source row; None if the job keeps no content.
        partition_rows: Number of source rows of a partition.
        digest: Digest over all changes.
        counts: Row counts by classification.
        lost: Number of records by the members that they lost and the target keeps.
    """

    changes: PartitionedSpill
    removed: ParquetWriter
    superseded: PartitionedSpill
    renewed: ParquetWriter
    partition_rows: int
    digest: hashlib._Hash
    counts: Counter[str] = field(default_factory=Counter)
    lost: Counter[frozenset[str]] = field(default_factory=Counter)
    unkept: PartitionedSpill | None = None


def classify(job: Job, inputs: DiffInputs, result: ClassifiedRows) -> None:
    """Classify all records, one partition of keys at a time, in the order of their hashes.

    Args:
        job: The job.
        inputs: Records, baseline and keys in flight.
        result: Receives the changes, superseded rows and counts.

    Raises:
        StaleWatermarkError: If a row below the watermark has a key whose record the baseline does not hold.
    """
    few = inputs.records.rows + inputs.in_flight.rows + inputs.baseline.rows <= PARTITION_ROWS
    spilled = inputs.records.spilled or inputs.in_flight.spilled or inputs.source.listed.spilled
    parts = 1 if few and not spilled else PARTITIONS
    duplicates, stale_watermark = DuplicateKeys(), False
    # Content itself is not compared: the layouts say which records have it.
    content = () if result.unkept is None else (LAYOUT,)
    baseline = [SegmentReader(segment, content) for segment in inputs.baseline.segments]
    partitions = (
        PartitionInputs(
            number=number,
            parts=parts,
            rows=inputs.records.partition(number, parts),
            segments=[reader.until(partition_end(number, parts)) for reader in baseline],
            in_flight=inputs.in_flight.partition(number, parts),
            listed=inputs.source.listed.partition(number, parts),
        )
        for number in range(parts)
    )
    for found in map_in_order(partial(classify_partition, job, inputs.suppression), partitions, _PARTITIONS_AT_ONCE):
        if found.duplicates is not None:
            duplicates.add(found.duplicates)
        stale_watermark = stale_watermark or found.stale_watermark
        if duplicates.count or stale_watermark:
            continue
        result.counts.update(found.counts)
        result.lost.update(found.lost)
        result.superseded.add(found.superseded, partition_by_row(columns.ROW, result.partition_rows))
        result.digest.update(found.digest)
        result.changes.add(found.changes.filter(~_IS_REMOVAL), partition_by_row("row", result.partition_rows))
        result.removed.add(found.changes.filter(_IS_REMOVAL))
        result.renewed.add(found.renewed)
        if result.unkept is not None and found.unkept is not None:
            result.unkept.add(found.unkept, partition_by_row("row", result.partition_rows))
    if duplicates.count:
        raise duplicates.error(job)
    if stale_watermark:
        raise StaleWatermarkError


class StaleWatermarkError(Exception):
    """A row below the watermark of `send: since` has a key whose record the target is not known to hold.

    Either the baseline lacks it, or the row is one of several of its key.
    """


def partition_by_row(column: str, partition_rows: int) -> pl.Expr:
    """Return the expression of the partition number of a source row."""
    return (pl.col(column) - 1).clip(0) // partition_rows
