"""Ledger of delivered rows and records: how often each was delivered, and its outcome. Tests use it as a reference."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OUTCOMES = ("accepted", "rejected", "pending", "unprocessed")


def with_delivery_numbers(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Add `delivery` to each entry: 1 for the first delivery of a row (by columns) or record (by ref), then 2, ...

    A line that could not be parsed has no ref, so it never counts as a repetition.

    Yields:
        The entries, each with `delivery`.
    """
    seen: dict[bytes, int] = {}
    for entry in entries:
        identity = entry["columns"] if "columns" in entry else entry["ref"]
        digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=16).digest()
        seen[digest] = seen.get(digest, 0) + 1
        yield entry | {"delivery": 1 if identity == "null" else seen[digest]}


def summary(entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return the numbers of deliveries (`delivered`) and repeated deliveries (`repeated`), and of rows by outcome."""
    totals = {"delivered": 0, "repeated": 0, **dict.fromkeys(OUTCOMES, 0)}
    for entry in with_delivery_numbers(entries):
        totals["delivered"] += 1
        totals["repeated"] += entry["delivery"] > 1
        totals[entry["outcome"]] += 1
    return totals
