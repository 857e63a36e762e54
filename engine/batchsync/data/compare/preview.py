"""Preview of a plan for a reviewer: the first changes of each kind, and the invalid rows by reason.

One chunk of the changes is in memory at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.row_outcome import RowOutcome
from batchsync.ports import InvalidGroup, KeyRef, PlanPreview

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.ports import Comparison

_CHUNK_ROWS = 100_000


def preview(comparison: Comparison, limit: int) -> PlanPreview:
    """Return the first `limit` keys of each kind of change, and of each reason for which rows are invalid.

    Adds, changes and invalid rows come in source order, removals in the order of their keys.
    """
    plan_counts = comparison.plan.counts
    expected = {"add": plan_counts.added, "change": plan_counts.changed, "remove": plan_counts.removed}
    changes = {op: _first(comparison.folder, op, min(count, limit)) for op, count in expected.items()}
    return PlanPreview(
        added=changes["add"],
        changed=changes["change"],
        removed=changes["remove"],
        invalid=_groups(comparison.folder, limit) if plan_counts.outcomes[RowOutcome.INVALID] else (),
    )


def _first(folder: Path, op: str, count: int) -> tuple[KeyRef, ...]:
    """Return the first changes of a kind. `changes.parquet` is in source order, with removals at its end."""
    if not count:
        return ()
    rows = pl.scan_parquet(folder / "changes.parquet", glob=False).filter(pl.col("op") == op).select("row", "key")
    first = rows.bottom_k(count, by="key").sort("key") if op == "remove" else rows.head(count)
    return _key_refs(first.collect(engine="streaming"))


def _groups(folder: Path, limit: int) -> tuple[InvalidGroup, ...]:
    """Return the invalid rows by field and rule, largest group first."""
    counts: dict[tuple[str, str], int] = {}
    first: dict[tuple[str, str], tuple[KeyRef, ...]] = {}
    found = pl.scan_parquet(folder / "invalid.parquet", glob=False)
    rows = found.filter(pl.col("kind") == RowOutcome.INVALID.value).select("row", "key", "field", "code")
    for chunk in rows.collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True):
        for name, group in chunk.group_by("field", "code", maintain_order=True):
            reason = (str(name[0] or ""), str(name[1] or ""))
            counts[reason] = counts.get(reason, 0) + group.height
            previous = first.get(reason, ())
            first[reason] = (*previous, *_key_refs(group.head(limit - len(previous))))
    ordered = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(InvalidGroup(field=item[0], code=item[1], count=counts[item], first=first[item]) for item in ordered)


def _key_refs(rows: pl.DataFrame) -> tuple[KeyRef, ...]:
    return tuple(KeyRef(key=key or "", row=row) for row, key in rows.select("row", "key").iter_rows())
