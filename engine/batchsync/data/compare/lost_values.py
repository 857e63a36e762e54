"""Changed records that lost a value which the target keeps: leaving a member out of a record does not clear it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns
from batchsync.data.record.held_members import lost_members, members_of, token_of
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.data.mapping.shapes import Record

#: Members that a warning names.
_NAMED = 5


def count_lost(sent: pl.DataFrame) -> Counter[frozenset[str]]:
    """Return the number of records by the tokens of the members that they lost.

    Args:
        sent: Records to add or change, with `members` of the accepted version; with `MEMBERS` if the target keeps
            values.
    """
    found: Counter[frozenset[str]] = Counter()
    if columns.MEMBERS in sent.columns and "members" in sent.columns:
        texts = sent.select("members", pl.col(columns.MEMBERS).cast(pl.String)).drop_nulls()
        differing = texts.filter(pl.col("members") != pl.col(columns.MEMBERS))
        for before, after, count in differing.group_by("members", columns.MEMBERS).len().iter_rows():
            if lost := lost_members(before, after):
                found[lost] += count
    return found


def lost_values(record: Record, lost: Counter[frozenset[str]]) -> dict[str, int]:
    """Return the warning about records that lost a value, with their number; nothing if there are none."""
    if not lost:
        return {}
    paths = {token_of(path): path for path in members_of(record)}
    tokens = frozenset[str]().union(*lost)
    named = [path for token, path in paths.items() if token in tokens]
    listed = [quoted(path) for path in named[:_NAMED]]
    more = len(named) - len(listed)
    listed += [f"{more} more"] if more else []
    listed += ["members that the job no longer maps"] if tokens - paths.keys() else []
    return {f"lost a value that the target keeps ({', '.join(listed)})": lost.total()}
