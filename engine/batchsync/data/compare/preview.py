"""The first changes of each kind and the invalid rows by reason: what a person looks at to judge a plan.

It does not compare. A stretch of the findings is in memory at a time, whatever their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.ports import Excerpt, InvalidGroup, Named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.ports import Comparison

_STRETCH = 100_000


def excerpt(comparison: Comparison, limit: int) -> Excerpt:
    """Return the first `limit` keys of each kind, and of each reason for which rows are invalid.

    Adds, changes and invalid rows come in the order of the source, removals in that of their keys.
    """
    tally = comparison.tally
    expected = {"add": tally.added, "change": tally.changed, "remove": tally.removed}
    changes = {op: _first(comparison.folder, op, min(count, limit)) for op, count in expected.items()}
    return Excerpt(
        added=changes["add"],
        changed=changes["change"],
        removed=changes["remove"],
        invalid=_groups(comparison.folder, limit) if tally.invalid else (),
    )


def _first(folder: Path, op: str, wanted: int) -> tuple[Named, ...]:
    """Return the first changes of a kind; their file is in the order of the source, with the removals at its end."""
    if not wanted:
        return ()
    order = "key" if op == "remove" else "row"
    found = pl.DataFrame(schema={"row": pl.Int64, "key": pl.String})
    for part in _stretches(folder / "changes.parquet", pl.col("op") == op, "row", "key"):
        found = pl.concat([found, part]).bottom_k(wanted, by=order).sort(order)
        if op != "remove" and found.height == wanted:
            break
    return _named(found)


def _groups(folder: Path, limit: int) -> tuple[InvalidGroup, ...]:
    """Return the invalid rows by field and rule, the greatest count first."""
    counts: dict[tuple[str, str], int] = {}
    first: dict[tuple[str, str], tuple[Named, ...]] = {}
    for part in _stretches(folder / "invalid.parquet", pl.lit(value=True), "row", "key", "field", "code"):
        for name, rows in part.group_by("field", "code", maintain_order=True):
            reason = (str(name[0] or ""), str(name[1] or ""))
            counts[reason] = counts.get(reason, 0) + rows.height
            known = first.get(reason, ())
            first[reason] = (*known, *_named(rows.head(limit - len(known))))
    ordered = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(InvalidGroup(field=one[0], code=one[1], count=counts[one], first=first[one]) for one in ordered)


def _stretches(file: Path, wanted: pl.Expr, *columns: str) -> Iterator[pl.DataFrame]:
    rows = pl.scan_parquet(file, glob=False).filter(wanted).select(columns)
    yield from rows.collect_batches(chunk_size=_STRETCH, maintain_order=True)


def _named(rows: pl.DataFrame) -> tuple[Named, ...]:
    return tuple(Named(key=key or "", row=row) for row, key in rows.select("row", "key").iter_rows())
