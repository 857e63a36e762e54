"""Records of a comparison for a reviewer: the first of each kind as they would be sent, and the members that differ.

The partitions of the source that have such rows are read again. Members are compared with the baseline one partition of
keys at a time.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.keep import Keep
from batchsync.data.baseline.segments import SegmentReader, kept_content, latest_per_key, scan_keys
from batchsync.data.batchfile.changes import CHANGES, Changes
from batchsync.data.batchfile.pinned_pass import is_pinned, pinned_pass
from batchsync.data.batchfile.prepare import stage_pass
from batchsync.data.compare.changed_members import BEFORE_HASHES, BEFORE_LAYOUT, changed_members
from batchsync.data.compare.classify import PARTITION_ROWS
from batchsync.data.compare.preview import preview
from batchsync.data.compare.review_task import ReviewTask, prepare_review
from batchsync.data.frame.content import COLUMNS_OF, HASHES, LAYOUT, RECORD, content_schema
from batchsync.data.frame.hashes import PARTITIONS, partition_end, partition_of_key
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.mapping.shapes import Constant
from batchsync.data.record.held_members import member_shapes
from batchsync.ports import PlanRecords, ShownRecord
from batchsync.util.files import make_private
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.batchfile.pinned_pass import PinnedPass
    from batchsync.data.batchfile.prepare import StagePass
    from batchsync.data.frame.known import Baseline
    from batchsync.data.mapping.shapes import Record
    from batchsync.ports import Comparison, KeyRef
    from batchsync.util.executor import TaskPool

_HASHES = COLUMNS_OF[Keep.MEMBERS]
_CHUNK_ROWS = 100_000


def review(
    job: Job, rules: VendorRules, comparison: Comparison, baseline: Baseline, limit: int, workers: TaskPool
) -> PlanRecords:
    """Return the first records of each kind of change, and the members that differ.

    Args:
        job: The job of the comparison, with its source as fetched; that of pinned rows is not read.
        rules: Rules of the job's vendor.
        comparison: The comparison.
        baseline: What it was compared with.
        limit: Number of records of each kind.
        workers: Task pool.

    Returns:
        The records.

    Raises:
        SourceError: If the source changed since it was compared.
        StateError: If a segment is damaged.
    """
    first = preview(comparison, limit)
    refs = [*first.added, *first.changed, *first.removed]
    content = kept_content(baseline.segments)
    keep = job.keep if comparison.plan.counts.changed else Keep.FINGERPRINTS
    if not refs and keep is Keep.FINGERPRINTS:
        return PlanRecords(keep=job.keep)
    folder = comparison.folder / "review"
    make_private(folder)
    wanted = pl.DataFrame({"key": pl.Series([ref.key for ref in refs], dtype=pl.String)}).unique()
    _write_reviewed(comparison.folder, folder, wanted, every_change=keep is not Keep.FINGERPRINTS)
    reviewed: StagePass | PinnedPass
    if is_pinned(comparison.folder):
        only = pl.read_parquet(folder / "changes.parquet", columns=["key"], glob=False)
        reviewed = pinned_pass(job, rules, comparison.folder, Changes(folder), only)
    else:
        reviewed = stage_pass(job, rules, comparison.folder, Changes(folder), workers)
    records: dict[tuple[str, str], str] = {}
    schema = content_schema(_HASHES, key=pl.String)
    with PartitionedSpill(folder, "hashes", schema) as hashes:
        tasks = (ReviewTask(stage=task, shown=wanted, keep=keep) for task in reviewed.tasks())
        with closing(workers.map_in_order(prepare_review, tasks)) as done:
            for rows in done:
                records.update({(op, key): text for key, _, op, text in rows.shown.iter_rows()})
                hashes.add(rows.hashes, partition_of_key("key"))
        hashes.finish()
        counts, members = _differences(hashes, baseline, wanted["key"].to_list())
    before = _records_before(baseline, [ref.key for ref in first.changed]) if RECORD in content else {}

    def shown(op: str, found: tuple[KeyRef, ...]) -> tuple[ShownRecord, ...]:
        return tuple(
            ShownRecord(
                key=ref.key,
                row=ref.row,
                record=records[op, ref.key],
                before=before.get(ref.key) if op == "change" else None,
                members=members.get(ref.key) if op == "change" else None,
            )
            for ref in found
            if (op, ref.key) in records
        )

    compared = counts.pop("", 0)
    sizes = [len(text.encode()) for text in records.values()]
    return PlanRecords(
        added=shown("add", first.added),
        changed=shown("change", first.changed),
        removed=shown("remove", first.removed),
        keep=job.keep,
        members=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        without_content=comparison.plan.counts.changed - compared if keep is not Keep.FINGERPRINTS else 0,
        constants=constant_members(reviewed.compiled.record) | constant_members(reviewed.compiled.removal),
        bytes_per_record=sum(sizes) / len(sizes) if sizes else None,
    )


def constant_members(record: Record) -> frozenset[str]:
    """Return the paths of the members that have the same value in each record."""
    return frozenset(path for path, shape in member_shapes(record).items() if isinstance(shape, Constant))


def _write_reviewed(compared: Path, folder: Path, shown: pl.DataFrame, *, every_change: bool) -> None:
    """Write the changes to read again to `changes.parquet` of a folder, in their order."""
    changes = pl.scan_parquet(compared / "changes.parquet", glob=False)
    wanted = pl.col("key").is_in(shown["key"].implode())
    if every_change:
        wanted = wanted | (pl.col("op") == "change")
    with ParquetWriter(folder / "changes.parquet", CHANGES) as out:
        for frame in changes.filter(wanted).collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True):
            out.add(frame)


def _differences(
    hashes: PartitionedSpill, baseline: Baseline, shown: list[str]
) -> tuple[Counter[str], dict[str, tuple[str, ...]]]:
    """Return the number of records by member that differs, and the members of the shown records.

    The number of records that could be compared is that of the empty member.
    """
    counts: Counter[str] = Counter()
    members: dict[str, tuple[str, ...]] = {}
    if not hashes.rows or LAYOUT not in kept_content(baseline.segments):
        return counts, members
    few = not hashes.spilled and hashes.rows + baseline.rows <= PARTITION_ROWS
    parts = 1 if few else PARTITIONS
    readers = [SegmentReader(segment, _HASHES) for segment in baseline.segments]
    for number in range(parts):
        after = hashes.partition(number, parts)
        layers = [reader.until(partition_end(number, parts)) for reader in readers]
        if not after.height:
            continue
        wanted = after.select("key")
        known = latest_per_key([layer.join(wanted, on="key", how="semi") for layer in layers], whole=True)
        before = known.select(
            "key", pl.col(LAYOUT).alias(BEFORE_LAYOUT), pl.col(HASHES).alias(BEFORE_HASHES)
        ).drop_nulls()
        both = after.join(before, on="key", how="inner")
        found, of_shown = changed_members(both, shown)
        counts.update(found)
        counts[""] += both.height
        members |= of_shown
    return counts, members


def _records_before(baseline: Baseline, keys: list[str]) -> dict[str, str]:
    """Return the records that the target holds, of some keys."""
    found = scan_keys(baseline, keys, (RECORD,)).select("key", RECORD).drop_nulls()
    return dict(found.iter_rows())
