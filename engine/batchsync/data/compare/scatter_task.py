"""Scatter: tasks that read and map a range of a source, and leave its records by bucket of key hashes for `join_task`.

A task returns counts only; the rows stay in the store that all tasks share.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.baseline.segments import holds_former_fingerprints
from batchsync.data.batchfile.encoded_range import EncodedWriter
from batchsync.data.compare.read_source import CompareTask, prepare_comparison
from batchsync.data.compare.source_counts import SourceCounts
from batchsync.data.frame import columns
from batchsync.data.frame.blob_file import BlobWriter
from batchsync.data.frame.hashes import bucket_of_key
from batchsync.data.frame.integrity import opened, verify_digest
from batchsync.data.frame.scratch_folder import scratch_folder
from batchsync.data.row.partitions import referenced_frames

if TYPE_CHECKING:
    from batchsync.data.batchfile.encoded_range import EncodedRange
    from batchsync.data.record.source_plan import SourcePlan
    from batchsync.data.record.stored_value import StoredValue
    from batchsync.ports import ObjectStore

#: Names of the tables that a range leaves: records, keys on the suppression list, both by bucket, and invalid rows.
RECORDS_BY_BUCKET, LISTED, INVALID = "records", "listed", "invalid"
#: Name of the table of the keys in flight, by bucket.
KEYS = "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterTask:
    """Read, map, validate and fingerprint consecutive frames of a source.

    Attributes:
        plan: How the source is read.
        frames: Numbers of the frames, from 0.
        eager: Whether to encode the valid records, too.
        label: What the task is about, for messages.
    """

    plan: StoredValue[SourcePlan]
    frames: range
    eager: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattered:
    """What a range of the source left.

    Attributes:
        counts: What was counted.
        key: Key of the file of its tables.
        invalid: Number of invalid rows.
        listed: Number of keys on the suppression list.
        last: Number of its last row.
        encoded: Its encoded records, a group for each frame, if the task is eager.
    """

    counts: SourceCounts
    key: str
    invalid: int
    listed: int
    last: int
    encoded: EncodedRange | None = None


def scatter(task: ScatterTask) -> Scattered:
    """Return what the frames of a task left.

    Raises:
        SourceError: If they cannot be read.
    """
    plan = task.plan.load()
    compiled = plan.spec.compiled
    counts, last = SourceCounts(), 0
    records: list[pl.DataFrame] = []
    invalid: list[pl.DataFrame] = []
    listed: list[pl.DataFrame] = []
    with ExitStack() as stack:
        encoder = (
            stack.enter_context(EncodedWriter(scratch_folder(plan.store, f"{plan.prefix}/encoded")))
            if task.eager
            else None
        )
        for part in referenced_frames(compiled.source_files, plan.reader, plan.row_counts, task.frames):
            compared = prepare_comparison(CompareTask(plan.spec, part, eager=task.eager))
            records.append(compared.examined.records)
            invalid.append(compared.examined.invalid)
            counts.warn(compared.examined.warnings)
            if compared.keyed is not None:
                counts.add(compiled.job, compiled.schema, compared.keyed)
                invalid.append(compared.keyed.keyless)
                listed.append(compared.keyed.listed)
            if encoder is not None and compared.encoded is not None:
                encoder.add(compared.encoded)
            last = part.last
        encoded = encoder.finish() if encoder is not None else None
    counts.records = sum(frame.height for frame in records)
    by_bucket = bucket_of_key(columns.KEY, plan.buckets)
    with BlobWriter(scratch_folder(plan.store, plan.prefix)) as out:
        out.add_parts(RECORDS_BY_BUCKET, pl.concat(records), by_bucket)
        out.add_parts(LISTED, pl.concat(listed), by_bucket)
        out.add(INVALID, 0, pl.concat(invalid))
        key = out.finish()
    return Scattered(
        counts=counts,
        key=key,
        invalid=sum(frame.height for frame in invalid),
        listed=sum(frame.height for frame in listed),
        last=last,
        encoded=encoded,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTask:
    """Verify a segment of the baseline, or distribute the keys of a row manifest in flight to buckets.

    Attributes:
        objects: Store of the segments and row manifests.
        key: Key of the object.
        store: Store that all tasks share.
        prefix: Prefix of their objects.
        in_flight: Whether the object is a row manifest.
        buckets: Number of buckets of key hashes.
        label: What the task is about, for messages.
    """

    objects: ObjectStore
    key: str
    store: ObjectStore
    prefix: str
    in_flight: bool
    buckets: int
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an object of the state.

    Attributes:
        former: Whether a segment may hold fingerprints of version 1.
        key: Key of the file with the keys of a row manifest by bucket; empty for a segment.
    """

    former: bool = False
    key: str = ""


def read_known(task: KnownTask) -> Known:
    """Return what is known of an object.

    Raises:
        StateError: If it is missing or damaged.
    """
    with opened(task.objects, [task.key]) as (path,):
        verify_digest([path])
        if not task.in_flight:
            return Known(former=holds_former_fingerprints(path))
        keys = pl.scan_parquet(path, glob=False).select("key").collect()
    with BlobWriter(scratch_folder(task.store, task.prefix)) as out:
        out.add_parts(KEYS, keys, bucket_of_key("key", task.buckets))
        return Known(key=out.finish())
