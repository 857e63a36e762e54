"""Fingerprints of records: a 128-bit hash of the mapped columns, followed by the hash of the key definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.frame.row_hash import digest_of_columns
from batchsync.data.mapping.coerce import with_type_tag
from batchsync.data.record.key_definition import key_definition_hash

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.data.mapping.apply import MappedRecords
    from batchsync.data.record.compiled_job import CompiledJob


def fingerprints(compiled: CompiledJob, mapped: MappedRecords) -> pl.Series:
    """Return the fingerprints of mapped records.

    16 bytes xxh3-128 over the mapped columns and the hash of the mapping, then 4 bytes of the key definition's hash, so
    that keys of another definition can be distinguished in a baseline. With `each:`, items enter as the ordered hashes
    of their rows. Rows are encoded in version 1 of polars-hash, which is stable.

    Args:
        compiled: The compiled job.
        mapped: Mapped records.

    Returns:
        `FINGERPRINT: bytes[20]`, in the order of `mapped.heads`.
    """
    outer = [with_type_tag(leaf) for leaf in compiled.record.leaves if leaf.repeat is None]
    heads = mapped.heads
    if mapped.rows is not None:
        inner = [with_type_tag(leaf) for leaf in compiled.record.leaves if leaf.repeat is not None]
        per_row = digest_of_columns([pl.lit(0), *inner]).bin.encode("hex").alias("batchsync:hash")
        hashed = mapped.rows.with_columns(per_row).group_by(names.HEAD, maintain_order=True)
        heads = heads.join(
            hashed.agg(pl.col("batchsync:hash").str.join("")), on=names.HEAD, how="left", maintain_order="left"
        )
        outer.append(pl.col("batchsync:hash"))
    whole = digest_of_columns([pl.lit(compiled.job.mapping_hash), *outer]) + pl.lit(
        key_definition_hash(compiled.job.source)
    )
    return heads.with_columns(whole.alias(names.FINGERPRINT))[names.FINGERPRINT]


def removal_fingerprint(job: Job, key: pl.Expr) -> pl.Expr:
    """Return the fingerprint of a removal, over its key and the hash of the removal's mapping."""
    mapping = job.removal.mapping_hash if job.removal else ""
    return digest_of_columns([pl.lit("remove"), pl.lit(mapping), key]) + pl.lit(key_definition_hash(job.source))
