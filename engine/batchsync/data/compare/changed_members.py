"""Members that differ between two versions of a record, by the hashes of `data/record/kept_content.py`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from batchsync.data.frame.content import HASH_BYTES, HASHES, LAYOUT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import polars as pl
    from numpy.typing import NDArray

#: Columns of the version before.
BEFORE_LAYOUT, BEFORE_HASHES = "before_layout", "before_hashes"
_TYPE = f"<u{HASH_BYTES}"


def changed_members(rows: pl.DataFrame, shown: Collection[str]) -> tuple[Counter[str], dict[str, tuple[str, ...]]]:
    """Return the number of records by member that differs, and the members of some records.

    Args:
        rows: Two versions of each record: `key`, `LAYOUT`, `HASHES`, and `BEFORE_LAYOUT` and `BEFORE_HASHES`, none of
            them null.
        shown: Keys of the records whose members are returned.

    Returns:
        The number of records by path of a member, and the paths by key in the order of the record.
    """
    counts: Counter[str] = Counter()
    members: dict[str, tuple[str, ...]] = {}
    for (layout, before_layout), group in rows.group_by(LAYOUT, BEFORE_LAYOUT):
        after = _by_member(str(layout), group[HASHES])
        before = _by_member(str(before_layout), group[BEFORE_HASHES])
        absent = np.zeros(group.height, dtype=_TYPE)
        differs = {
            path: after.get(path, absent) != before.get(path, absent) for path in dict.fromkeys([*after, *before])
        }
        counts.update({path: int(where.sum()) for path, where in differs.items() if where.any()})
        members |= _of_shown(group["key"], differs, shown)
    return counts, members


def _of_shown(
    keys: pl.Series, differs: Mapping[str, NDArray[np.bool_]], shown: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the members that differ, of the records that are shown."""
    wanted = keys.is_in(list(shown)).arg_true()
    return {keys[index]: tuple(path for path, where in differs.items() if where[index]) for index in wanted}


def _by_member(layout: str, hashes: pl.Series) -> dict[str, NDArray[np.uint32]]:
    """Return the hashes of some records by member."""
    paths = json.loads(layout)[1:]
    table = np.frombuffer(b"".join(hashes), dtype=_TYPE).reshape(len(hashes), len(paths))
    return {path: table[:, number] for number, path in enumerate(paths)}
