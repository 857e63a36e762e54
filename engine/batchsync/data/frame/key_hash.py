"""64-bit hashes of keys, their order, and the partition that a hash belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars_hash as plh

if TYPE_CHECKING:
    import polars as pl

#: Parts of a scatter that went to the disk. A power of two.
PARTITIONS = 64


#: The column with the hash that decides which part a key belongs to, and in which order keys are gone through.
HASH = "batchsync:key_hash"


#: Bits of a hash.
BITS = 64


def hash_of(key: str) -> pl.Expr:
    """Return the 64-bit hash of a column of keys (xxh3), which never changes."""
    found: pl.Expr = plh.col(key).nchash.xxh3_64().alias(HASH)
    return found


def partition_of_key(key: str) -> pl.Expr:
    """Return which of PARTS parts a key belongs to: a stretch of hashes each."""
    return hash_of(key) // (1 << (BITS - PARTITIONS.bit_length() + 1))


def in_hash_order(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return rows that have the column HASH in the order of it, and of their keys where two of them share one."""
    found = rows.sort(HASH)
    hashes = found[HASH]
    return found.sort(HASH, key) if (hashes[1:] == hashes[:-1]).any() else found


def end_of(part: int, parts: int) -> int:
    """Return the first hash beyond a part."""
    return (part + 1) << (BITS - parts.bit_length() + 1)
