"""Fingerprints of records: a fast 128-bit hash of the mapped columns and the hash of the key definition."""

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


def fingerprints(plan: CompiledJob, found: MappedRecords) -> pl.Series:
    """Return 20 bytes for each record: xxh3-128 over its mapped columns and its mapping's hash, and a mark of its key.

    The mark says how the key was defined, so that a baseline's keys of another definition are told from today's.
    With `each:`, the items come in as the ordered hashes of their rows. The encoding of rows is version 1 of
    polars-hash, which promises not to change.
    """
    outer = [with_type_tag(leaf) for leaf in plan.record.leaves if leaf.repeat is None]
    heads = found.heads
    if found.rows is not None:
        inner = [with_type_tag(leaf) for leaf in plan.record.leaves if leaf.repeat is not None]
        per_row = digest_of_columns([pl.lit(0), *inner]).bin.encode("hex").alias("batchsync:hash")
        hashed = found.rows.with_columns(per_row).group_by(names.HEAD, maintain_order=True)
        heads = heads.join(
            hashed.agg(pl.col("batchsync:hash").str.join("")), on=names.HEAD, how="left", maintain_order="left"
        )
        outer.append(pl.col("batchsync:hash"))
    whole = digest_of_columns([pl.lit(plan.job.mapping_hash), *outer]) + pl.lit(key_definition_hash(plan.job.source))
    return heads.with_columns(whole.alias(names.FINGERPRINT))[names.FINGERPRINT]


def removal_fingerprint(job: Job, key: pl.Expr) -> pl.Expr:
    """Return the fingerprint of a removal: of the key and the removal's own mapping alone."""
    mapping = job.removal.mapping_hash if job.removal else ""
    return digest_of_columns([pl.lit("remove"), pl.lit(mapping), key]) + pl.lit(key_definition_hash(job.source))
