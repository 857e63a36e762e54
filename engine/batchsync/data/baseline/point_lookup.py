"""Point lookup: the state of a key in the baseline and in the row manifests of batches in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.row_outcome import RowOutcome
from batchsync.data.baseline.segments import kept_content, latest_per_key, segment_rows
from batchsync.data.baseline.states import ASSUMED, REJECTED, REMOVAL_UNKNOWN, RESEND, UNKNOWN
from batchsync.data.frame.content import FILE, RECORD
from batchsync.ports import KnownKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync.data.frame.known import Baseline

_OUTCOMES = {
    REJECTED: RowOutcome.REJECTED,
    UNKNOWN: RowOutcome.UNKNOWN,
    REMOVAL_UNKNOWN: RowOutcome.UNKNOWN,
    RESEND: "again",
    ASSUMED: RowOutcome.ASSUMED,
}


def lookup(key: str, baseline: Baseline, in_flight: Sequence[str]) -> KnownKey:
    """Look up a key, reading only the hash ranges of the baseline that can contain it.

    Args:
        key: Canonical text of the key.
        baseline: The baseline of the job and the row manifests of the batches in flight, whose column `key` is scanned.
        in_flight: Keys of the row manifests.

    Returns:
        The state of the key, with its line in each row manifest that contains it.
    """
    if not _is_encodable(key):
        return KnownKey()
    manifests = zip(in_flight, baseline.in_flight, strict=True)
    lines = {name: row["line"] for name, path in manifests if (row := _find_row(path, key, "line"))}
    content = [name for name in kept_content(baseline.segments) if name in (RECORD, FILE)]
    layers = segment_rows(baseline, [key], content)
    found = latest_per_key(layers, whole=True)
    if not found.height:
        return KnownKey(in_flight=lines)
    row = found.row(0, named=True)
    return KnownKey(
        in_target=row["accepted"] is not None,
        latest_outcome=_OUTCOMES.get(row["last_state"], RowOutcome.ACCEPTED),
        in_flight=lines,
        version=(row["accepted"] or b"").hex(),
        record=row.get(RECORD),
        delivered=tuple(
            (item[FILE], item["accepted"].hex())
            for layer in layers
            for item in layer.iter_rows(named=True)
            if item.get(FILE) and item["accepted"] is not None
        ),
    )


def _is_encodable(key: str) -> bool:
    """Return whether a key is valid text: command line arguments that are not UTF-8 contain lone surrogates."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_row(path: Path, key: str, *columns: str) -> dict[str, Any] | None:
    """Return some columns of the row with a key, or None."""
    rows = pl.scan_parquet(path, glob=False, parallel="prefiltered").filter(pl.col("key") == pl.lit(key))
    found = rows.select(columns).head(1).collect(engine="streaming")
    return found.row(0, named=True) if found.height else None
