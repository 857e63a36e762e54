"""Suppressed rows: those whose keys were forgotten, by the keyed hashes that remained of these, and those on a list.

Values of a list are compared without blanks at their ends; those with an @, such as e-mail addresses, without any
blanks and regardless of case.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from batchsync.data.frame.hashes import digest_of_text

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.ports import Suppression

#: Column of the digests of a list, and of those of the values of a record.
LISTED = "listed"


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


def digest_of_value(column: str) -> pl.Expr:
    """Return the digest by which a value of a column is looked up in a list (bytes[16]); null for no value."""
    text = pl.col(column).cast(pl.String)
    folded = text.str.replace_all(r"\s+", "").str.to_lowercase()
    value = pl.when(text.str.contains("@", literal=True)).then(folded).otherwise(text.str.strip_chars())
    return pl.when(value != "").then(digest_of_text([value]))


def manifest_column(column: str) -> str:
    """Return the column of a row manifest with the digests of the values of each record that are looked up."""
    return f"suppress:{column}"


def listed_digests(path: Path) -> pl.DataFrame:
    """Return the digests of a list, remembered until its file changes (column `LISTED`)."""
    status = path.stat()
    return _listed_digests(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2)
def _listed_digests(path: Path, _inode: int, _size: int, _modified: int) -> pl.DataFrame:
    """Read the digests of a list; most arguments only identify the content."""
    return pl.read_parquet(path, glob=False)
