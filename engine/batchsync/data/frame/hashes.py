"""64-bit hashes of keys, their order and partition; 128-bit hashes of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars_hash as plh

from batchsync.data.frame.joined_text import joined_text

if TYPE_CHECKING:
    import polars as pl

#: Number of partitions of a spill: equal ranges of key hashes. A power of two.
PARTITIONS = 64


#: Column of the key hash, which determines the partition and the order of keys.
HASH = "batchsync:key_hash"


#: Number of bits of a hash.
BITS = 64
#: Version of fingerprints, their first byte, and their size in bytes: version, hash, hash of the key definition.
FINGERPRINT_VERSION = 2
FINGERPRINT_BYTES = 21


def hash_of(key: str) -> pl.Expr:
    """Return the hash of a key column (xxh3, u64) as column `HASH`; stored in segments, so it must never change."""
    found: pl.Expr = plh.col(key).nchash.xxh3_64().alias(HASH)
    return found


def partition_of_key(key: str) -> pl.Expr:
    """Return the partition of a key column, from 0 to `PARTITIONS` - 1."""
    return bucket_of_key(key, PARTITIONS)


def bucket_of_key(key: str, buckets: int) -> pl.Expr:
    """Return which of `buckets` equal ranges of hashes, a power of two, the hash of a key column is in, from 0."""
    return hash_of(key) // (1 << (BITS - buckets.bit_length() + 1)) if buckets > 1 else hash_of(key) * 0


def in_hash_order(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return rows sorted by their column `HASH`, and by the key column where hashes are equal."""
    found = rows.sort(HASH)
    hashes = found[HASH]
    return found.sort(HASH, key) if (hashes[1:] == hashes[:-1]).any() else found


def partition_end(partition: int, partitions: int) -> int:
    """Return the exclusive upper bound of the hashes of a partition; `partitions` is a power of two."""
    return (partition + 1) << (BITS - partitions.bit_length() + 1)


def digest_of_text(parts: list[pl.Expr]) -> pl.Expr:
    """Return the hash of joined texts without nulls (xxh3, bytes[16]); stored in segments, so it must never change."""
    text = joined_text(parts)
    hashed: pl.Expr = plh.concat_str([text]).nchash.xxh3_128(return_binary=True, byte_order="big")
    return hashed


def digest_of_columns(columns: list[pl.Expr]) -> pl.Expr:
    """Return the hash of each row over some columns (xxh3, bytes[16])."""
    hashed: pl.Expr = plh.hash_rows(columns, version=1).nchash.xxh3_128(return_binary=True, byte_order="big")
    return hashed
