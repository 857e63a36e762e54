"""The oracle's books: every row or record delivered, which time it came, and what became of it.

It does not know how a vendor tells one row from another; the vendor hands over entries, and says what identifies one.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FATES = ("accepted", "rejected", "pending", "unprocessed")


def counted(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Add `delivery` to each entry: 1 for the first time this row (by columns) or record (by ref) came, then 2, ...

    A line that could not be parsed has no ref to be known by, so it is never a repetition.
    """
    seen: dict[bytes, int] = {}
    for entry in entries:
        what = entry["columns"] if "columns" in entry else entry["ref"]
        mark = hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=16).digest()
        seen[mark] = seen.get(mark, 0) + 1
        yield entry | {"delivery": 1 if what == "null" else seen[mark]}


def summary(entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Count the deliveries, how many of them were repetitions, and how many met which fate."""
    totals = {"delivered": 0, "repeated": 0, **dict.fromkeys(FATES, 0)}
    for entry in counted(entries):
        totals["delivered"] += 1
        totals["repeated"] += entry["delivery"] > 1
        totals[entry["fate"]] += 1
    return totals
