"""A key that left the source is spared when its removal would name the very record of a key that is still there.

It does not know what is added or changed. Where the removal's record tells all keys apart, nothing is looked at; where
nothing is gone, the present keys are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from lading.core.record_schema import Kind
from lading.data import names
from lading.data.diff import PART, gone_from
from lading.data.encode import key_columns, key_names
from lading.data.evaluate import evaluate
from lading.data.keys import defined_as_today
from lading.data.ordered import Ordered, known, newest
from lading.data.scatter import BITS, PARTS, Scatter, end_of, part_of_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.job import Job
    from lading.data.diff import Given
    from lading.data.shapes import Record
    from lading.ports import Baseline

_NAME = "lading:name"
_GONE = {"key": pl.String, _NAME: pl.UInt64}
_PRESENT = {_NAME: pl.UInt64}


def spare(job: Job, record: Record, given: Given, work: Path) -> int:
    """Put the keys to spare to those under way, which are not removed either; return how many.

    `record` is the compiled record of a removal. What is compared are 64-bit hashes, on the disk when there are many.
    """
    records, baseline = given.records, given.baseline
    if not baseline.rows or _tells_apart(job, record):
        return 0
    few = records.rows + baseline.rows <= PART and not records.spilled
    parts = 1 if few else PARTS
    with Scatter(work, "gone", _GONE) as gone, Scatter(work, "present", _PRESENT) as present:
        for rows, before in _beside(records, baseline, parts):
            left = gone_from(rows, before).filter(defined_as_today(job.source))
            gone.add(_named(job, record, left["key"]), _part_of_name())
        gone.finish()
        if not gone.rows:
            return 0
        for number in range(parts):
            rows = records.whole() if few else records.part(number)
            present.add(_named(job, record, rows[names.KEY]), _part_of_name())
        present.finish()
        found = 0
        for left, there in _pairs(gone, present):
            alike = left.join(there, on=_NAME, how="semi").select("key")
            given.flying.add(alike, part_of_key("key"))
            found += alike.height
    return found


def _tells_apart(job: Job, record: Record) -> bool:
    """Whether each key column stands in the record as it is: no two keys have the same one then."""
    plain = [one.expr for one in record.leaves if one.rule.kind in (Kind.STRING, Kind.SCALAR)]
    return all(any(one.meta.eq(pl.col(name)) for one in plain) for name in key_names(job))


def _beside(records: Scatter, baseline: Baseline, parts: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the records of each part of the keys, and what the baseline knows of that part."""
    before = Ordered(baseline.segments)
    for number in range(parts):
        rows = records.whole() if parts == 1 else records.part(number)
        yield rows, known(newest(before.until(end_of(number, parts))))


def _named(job: Job, record: Record, keys: pl.Series) -> pl.DataFrame:
    """Return keys with a hash of the removal's record of each; without those of which it cannot be made."""
    wanted = keys.alias(names.SENT_KEY).to_frame()
    values, flaws = evaluate(wanted.select(key_columns(job)), record.leaves)
    leaves = [pl.col(names.leaf(one.index)) for one in record.leaves]
    name: pl.Expr = plh.hash_rows(leaves, version=1).nchash.xxh3_64()
    made = values.select(
        name.alias(_NAME), pl.any_horizontal(pl.lit(value=False), *(pl.col(one.column) for one in flaws)).alias("flaw")
    )
    return made.with_columns(keys.alias("key")).filter(~pl.col("flaw"))


def _part_of_name() -> pl.Expr:
    """Return which of PARTS parts the hash of a record belongs to."""
    return pl.col(_NAME) // (1 << (BITS - PARTS.bit_length() + 1))


def _pairs(gone: Scatter, present: Scatter) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield what is gone and what is there, so that equal hashes come together."""
    if not gone.spilled and not present.spilled:
        yield gone.whole(), present.whole()
        return
    for number in range(PARTS):
        yield gone.part(number), present.part(number)
