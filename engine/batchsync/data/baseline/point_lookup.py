"""What is known of one key is found without reading the rows of the others, as far as the files allow.

It does not know the journal: which files speak of the key is said by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from lading.data.diff import AGAIN, REJECTED, REMOVAL_UNKNOWN, UNKNOWN
from lading.data.ordered import about
from lading.ports import KnownKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lading.ports import Baseline

_ENDED = {REJECTED: "rejected", UNKNOWN: "unknown", REMOVAL_UNKNOWN: "unknown", AGAIN: "again"}


def lookup(key: str, baseline: Baseline, in_flight: Sequence[Path]) -> KnownKey:
    """Return what the baseline and the evidence files say of one key.

    Of a baseline only the stretches that can hold the key are read. In evidence the column of keys is gone through a
    stretch at a time; of the others only what stands beside the key is read.
    """
    if not _can_stand_in_a_file(key):
        return KnownKey()
    lines = {path: at["line"] for path in in_flight if (at := _one(path, key, "line"))}
    found = about(baseline, [key])
    if not found.height:
        return KnownKey(lines=lines)
    row = found.row(0, named=True)
    return KnownKey(held=row["accepted"] is not None, newest=_ENDED.get(row["last_state"], "accepted"), lines=lines)


def _can_stand_in_a_file(key: str) -> bool:
    """Whether the key is text at all: an argument that is no UTF-8 arrives with lone surrogates."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _one(path: Path, key: str, *columns: str) -> dict[str, Any] | None:
    """Return these columns of the row with this key, or None."""
    rows = pl.scan_parquet(path, glob=False, parallel="prefiltered").filter(pl.col("key") == pl.lit(key))
    found = rows.select(columns).head(1).collect(engine="streaming")
    return found.row(0, named=True) if found.height else None
