"""Rows whose keys were forgotten: found by the keyed hashes that remained of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

if TYPE_CHECKING:
    from batchsync.ports import Suppression


def is_suppressed(rows: pl.DataFrame, key: str, suppression: Suppression | None) -> pl.Series:
    """Return whether each row has a forgotten key, by the hash of `core.personal_data.hash_of_key`.

    Args:
        rows: The rows.
        key: Name of their key column.
        suppression: The forgotten keys; None if there are none.

    Returns:
        A Boolean series without nulls; a row without a key is not suppressed.
    """
    if suppression is None or not rows.height:
        return pl.repeat(value=False, n=rows.height, dtype=pl.Boolean, eager=True)
    hashes = plh.col(key).chash.hmac_sha256(key=suppression.secret).is_in(sorted(suppression.hashes))
    return rows.select(hashes.fill_null(value=False).alias("suppressed"))["suppressed"]
