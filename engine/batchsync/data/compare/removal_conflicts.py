"""Protect keys from removal if their removal record equals that of a key still in the source.

Skipped if removal records identify keys uniquely; records of the source are hashed only if any key was deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from batchsync.core.record_schema import Kind
from batchsync.data.baseline.segments import SegmentReader, latest_per_key
from batchsync.data.compare.classify import PARTITION_ROWS
from batchsync.data.compare.classify_partition import deleted_since
from batchsync.data.frame import columns
from batchsync.data.frame.hashes import BITS, PARTITIONS, partition_end, partition_of_key
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.record.compiled_job import key_columns, key_names
from batchsync.data.record.fingerprint import has_current_definition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.data.compare.diff_inputs import DiffInputs
    from batchsync.data.mapping.shapes import Record

_RECORD_HASH = "batchsync:record_hash"
_REMOVED = {"key": pl.String, _RECORD_HASH: pl.UInt64}
_PRESENT = {_RECORD_HASH: pl.UInt64}


def protect_from_removal(job: Job, record: Record, inputs: DiffInputs, workdir: Path) -> int:
    """Exclude keys from removal whose removal record equals that of a key still in the source.

    Protected keys are added to the in-flight keys of `inputs`, which are never removed. Records are compared by 64-bit
    hash; beyond the size of a `PartitionedSpill` in memory the hashes are spilled.

    Args:
        job: The job; its key definition decides which baseline keys are comparable.
        record: Compiled removal record of the job.
        inputs: Records and baseline to compare; `in_flight` is extended in place.
        workdir: Existing folder for spill files.

    Returns:
        Number of protected keys.
    """
    records, baseline = inputs.records, inputs.baseline
    if not baseline.rows or identifies_keys(job, record):
        return 0
    spilled = records.spilled or inputs.source.listed.spilled
    few = records.rows + baseline.rows <= PARTITION_ROWS and not spilled
    parts = 1 if few else PARTITIONS
    with (
        PartitionedSpill(workdir, "removed", _REMOVED) as removed,
        PartitionedSpill(workdir, "present", _PRESENT) as present,
    ):
        for rows, known in _partitions(job, inputs, parts):
            deleted = deleted_since(rows, known).filter(has_current_definition(job.source))
            removed.add(_record_hashes(job, record, deleted["key"]), _partition_of_record())
        removed.finish()
        if not removed.rows:
            return 0
        for number in range(parts):
            keys = inputs.kept(job, number, parts)[columns.KEY]
            present.add(_record_hashes(job, record, keys), _partition_of_record())
        present.finish()
        protected = 0
        for deleted, remaining in _pairs(removed, present):
            conflicts = deleted.join(remaining, on=_RECORD_HASH, how="semi").select("key")
            inputs.in_flight.add(conflicts, partition_of_key("key"))
            protected += conflicts.height
    return protected


def identifies_keys(job: Job, record: Record) -> bool:
    """Return whether the record contains each key column unmodified; then no two keys have the same record."""
    unmodified = [leaf.expr for leaf in record.leaves if leaf.rule.kind in (Kind.STRING, Kind.SCALAR)]
    return all(any(expr.meta.eq(pl.col(name)) for expr in unmodified) for name in key_names(job))


def _partitions(job: Job, inputs: DiffInputs, parts: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the records and the known baseline state of each partition of keys."""
    readers = [SegmentReader(segment) for segment in inputs.baseline.segments]
    for number in range(parts):
        known = [reader.until(partition_end(number, parts)) for reader in readers]
        yield inputs.kept(job, number, parts), latest_per_key(known, whole=True)


def _record_hashes(job: Job, record: Record, keys: pl.Series) -> pl.DataFrame:
    """Return keys with the hash of their removal record, except keys for which it cannot be computed."""
    sent_keys = keys.alias(columns.SENT_KEY).to_frame()
    values, invalid_values = evaluate(sent_keys.select(key_columns(job)), record.leaves)
    leaves = [pl.col(columns.leaf_column(leaf.index)) for leaf in record.leaves]
    hashes: pl.Expr = plh.hash_rows(leaves, version=1).nchash.xxh3_64()
    hashed = values.select(
        hashes.alias(_RECORD_HASH),
        pl.any_horizontal(
            pl.lit(value=False), *(pl.col(invalid_value.column) for invalid_value in invalid_values)
        ).alias("invalid"),
    )
    return hashed.with_columns(keys.alias("key")).filter(~pl.col("invalid"))


def _partition_of_record() -> pl.Expr:
    """Return the expression of the partition number of a record hash."""
    return pl.col(_RECORD_HASH) // (1 << (BITS - PARTITIONS.bit_length() + 1))


def _pairs(removed: PartitionedSpill, present: PartitionedSpill) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield deleted and present records in pairs of frames, so that equal hashes meet."""
    parts = PARTITIONS if removed.spilled or present.spilled else 1
    for number in range(parts):
        yield removed.partition(number, parts), present.partition(number, parts)
