"""128-bit hashes of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars_hash as plh

if TYPE_CHECKING:
    import polars as pl


def digest_of_columns(columns: list[pl.Expr]) -> pl.Expr:
    """Return the hash of each row over some columns (xxh3, bytes[16])."""
    hashed: pl.Expr = plh.hash_rows(columns, version=1).nchash.xxh3_128(return_binary=True, byte_order="big")
    return hashed
