"""Ledger of delivered rows and records: how often each was delivered, and its outcome. Tests use it as a reference."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Outcome = Literal["accepted", "rejected", "pending", "unprocessed"]


class _Delivery(TypedDict):
    """Keys of every entry."""

    batch: str
    line: int
    delivery: int
    outcome: Outcome


class LedgerEntry(_Delivery, total=False):
    """A delivered row or record, as `ledger()` and `GET /_mock/ledger` return it.

    Attributes:
        batch: The vendor's id of the batch.
        line: Number of the row or record in its file, from 1.
        delivery: 1 for the first delivery of this row (by its columns) or record (by its ref), then 2, ...
        outcome: `accepted`, `rejected`, `pending` (the batch is not finished) or `unprocessed` (it never will be).
        reference: Motorweb and vendors of folders: the client's reference of the batch.
        columns: Motorweb: the row by column; vendors of folders: the record, if it has no lasting reference.
        errorType: Motorweb: type of the error of a rejected row, else None.
        errorDescription: Motorweb: its text.
        ref: Sitecore and vendors of folders: the client's reference of the record; `null` for a line that could not be
            parsed.
        schema: The same: schema of the record, or None.
        mode: The same: mode of the record, or None.
        code: The same: code in the log, or None.
        message: The same: message in the log, or None.
        detail: Sitecore: why the mock refused the record.
        value: Sitecore and vendors of folders: the record, with `ledger(values=True)`.
    """

    reference: str
    columns: dict[str, str]
    errorType: str | None
    errorDescription: str | None
    ref: str
    schema: str | None
    mode: str | None
    code: str | None
    message: str | None
    detail: str
    value: Any


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
