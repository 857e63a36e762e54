"""A key that left the source is spared when its removal would name the very record of a key that is still there.

It does not know what is added or changed. Where the removal's record tells all keys apart, nothing is looked at; where
nothing is gone, the present keys are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from batchsync.core.record_schema import Kind
from batchsync.data.baseline.merge_reader import SegmentMerge, latest_per_key, rows_with_history
from batchsync.data.compare.classify import PARTITION_ROWS, deleted_since
from batchsync.data.frame import columns
from batchsync.data.frame.key_hash import BITS, PARTITIONS, end_of, partition_of_key
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.record.key_definition import has_current_definition
from batchsync.data.record.removal import key_columns, key_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.data.compare.classify import DiffInputs
    from batchsync.data.mapping.compiled import Record
    from batchsync.ports import Baseline

_NAME = "batchsync:name"
_GONE = {"key": pl.String, _NAME: pl.UInt64}
_PRESENT = {_NAME: pl.UInt64}


def protect_from_removal(job: Job, record: Record, given: DiffInputs, work: Path) -> int:
    """Put the keys to spare to those under way, which are not removed either; return how many.

    `record` is the compiled record of a removal. What is compared are 64-bit hashes, on the disk when there are many.
    """
    records, baseline = given.records, given.baseline
    if not baseline.rows or _identifies_keys(job, record):
        return 0
    few = records.rows + baseline.rows <= PARTITION_ROWS and not records.spilled
    parts = 1 if few else PARTITIONS
    with PartitionedSpill(work, "gone", _GONE) as gone, PartitionedSpill(work, "present", _PRESENT) as present:
        for rows, before in _beside(records, baseline, parts):
            left = deleted_since(rows, before).filter(has_current_definition(job.source))
            gone.add(_named(job, record, left["key"]), _part_of_name())
        gone.finish()
        if not gone.rows:
            return 0
        for number in range(parts):
            rows = records.whole() if few else records.partition(number)
            present.add(_named(job, record, rows[columns.KEY]), _part_of_name())
        present.finish()
        found = 0
        for left, there in _pairs(gone, present):
            alike = left.join(there, on=_NAME, how="semi").select("key")
            given.in_flight.add(alike, partition_of_key("key"))
            found += alike.height
    return found


def _identifies_keys(job: Job, record: Record) -> bool:
    """Whether each key column stands in the record as it is: no two keys have the same one then."""
    plain = [leaf.expr for leaf in record.leaves if leaf.rule.kind in (Kind.STRING, Kind.SCALAR)]
    return all(any(item.meta.eq(pl.col(name)) for item in plain) for name in key_names(job))


def _beside(records: PartitionedSpill, baseline: Baseline, parts: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the records of each part of the keys, and what the baseline knows of that part."""
    before = SegmentMerge(baseline.segments)
    for number in range(parts):
        rows = records.whole() if parts == 1 else records.partition(number)
        yield rows, rows_with_history(latest_per_key(before.until(end_of(number, parts))))


def _named(job: Job, record: Record, keys: pl.Series) -> pl.DataFrame:
    """Return keys with a hash of the removal's record of each; without those of which it cannot be made."""
    wanted = keys.alias(columns.SENT_KEY).to_frame()
    values, flaws = evaluate(wanted.select(key_columns(job)), record.leaves)
    leaves = [pl.col(columns.leaf_column(leaf.index)) for leaf in record.leaves]
    name: pl.Expr = plh.hash_rows(leaves, version=1).nchash.xxh3_64()
    made = values.select(
        name.alias(_NAME),
        pl.any_horizontal(pl.lit(value=False), *(pl.col(flaw.column) for flaw in flaws)).alias("flaw"),
    )
    return made.with_columns(keys.alias("key")).filter(~pl.col("flaw"))


def _part_of_name() -> pl.Expr:
    """Return which of PARTS parts the hash of a record belongs to."""
    return pl.col(_NAME) // (1 << (BITS - PARTITIONS.bit_length() + 1))


def _pairs(gone: PartitionedSpill, present: PartitionedSpill) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield what is gone and what is there, so that equal hashes come together."""
    if not gone.spilled and not present.spilled:
        yield gone.whole(), present.whole()
        return
    for number in range(PARTITIONS):
        yield gone.partition(number), present.partition(number)
