"""Fingerprints of records: a 128-bit hash of the mapped columns, followed by the hash of the key definition.

Keys accepted under another definition of the key are not comparable with those of today, and are never removed.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Expression
from batchsync.core.record_schema import Kind
from batchsync.data.frame import columns as names
from batchsync.data.frame.hashes import digest_of_columns

if TYPE_CHECKING:
    from batchsync.core.job import Job, Source
    from batchsync.data.mapping.evaluate import MappedRecords
    from batchsync.data.record.compiled_job import CompiledJob

#: Bytes of the hash of a key definition.
HASH_BYTES = 4


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
    outer: list[pl.Expr] = []
    inner: list[pl.Expr] = []
    for leaf in compiled.record.leaves:
        column = pl.col(names.leaf_column(leaf.index))
        if leaf.rule.kind is Kind.SCALAR and leaf.kind.is_numeric():
            # A number differs from a string of the same characters.
            column = pl.concat_str([pl.lit("\0"), column])
        (outer if leaf.repeat is None else inner).append(column)
    heads = mapped.heads
    if mapped.rows is not None:
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


def key_definition_hash(source: Source) -> bytes:
    """Return the hash of a source's key definition; equal key texts are different keys under different definitions."""
    definition = {"expression": source.key.sql} if isinstance(source.key, Expression) else list(source.key)
    return hashlib.sha256(json.dumps(definition).encode()).digest()[:HASH_BYTES]


def has_current_definition(source: Source) -> pl.Expr:
    """Return whether a key was sent under the current key definition, by its fingerprint (`accepted`, else `last`)."""
    return pl.coalesce("accepted", "last").bin.tail(HASH_BYTES) == key_definition_hash(source)
