"""Pages of the rows of one batch with their outcomes, as `/_mock/rows` and the status page show them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from batchsync_mocks.ledger import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync_mocks.batches import Batch
    from batchsync_mocks.vendor import Vendor

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
_MAX_OFFSET = 1_000_000_000


class UnknownBatchError(Exception):
    """Error for a batch that the vendor does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    """A page of rows.

    Attributes:
        vendor: Name of the vendor.
        batch: The vendor's id of the batch; empty if the vendor has no batch.
        outcome: Outcome that all rows have; empty for all outcomes.
        offset: Number of rows before the page.
        limit: Maximum number of rows.
        rows: The rows.
        more: Whether rows follow.
        total: Number of rows in the batch; None if it is not known.
    """

    vendor: str
    batch: str
    outcome: str
    offset: int
    limit: int
    rows: Sequence[Mapping[str, Any]]
    more: bool
    total: int | None


def read_page(vendor: Vendor, parameters: Mapping[str, str]) -> RowPage:
    """Return a page of the rows of a batch.

    Args:
        vendor: The vendor.
        parameters: `batch` (default: the newest that has an upload), `offset`, `limit` and `outcome`.

    Raises:
        UnknownBatchError: If the vendor has no such batch.
        ValueError: If another parameter is invalid.
    """
    offset = _number(parameters, "offset", 0, (0, _MAX_OFFSET))
    limit = _number(parameters, "limit", DEFAULT_LIMIT, (1, MAX_LIMIT))
    outcome = parameters.get("outcome", "")
    if outcome and outcome not in OUTCOMES:
        msg = f"outcome is one of {', '.join(OUTCOMES)}."
        raise ValueError(msg)
    batch = _find(vendor, parameters.get("batch", ""))
    rows: list[dict[str, Any]] = []
    if batch is not None:
        # Rows that are left out need not be read, unless their outcome decides.
        found = vendor.rows(batch, skip=0 if outcome else offset)
        matching = (row for row in found if not outcome or row["outcome"] == outcome)
        rows = list(islice(matching, offset if outcome else 0, (offset if outcome else 0) + limit + 1))
    return RowPage(
        vendor=vendor.name,
        batch=batch.id if batch else "",
        outcome=outcome,
        offset=offset,
        limit=limit,
        rows=vendor.with_values(batch, rows[:limit]) if batch else [],
        more=len(rows) > limit,
        total=vendor.row_count(batch) if batch and not outcome else None,
    )


def _find(vendor: Vendor, batch_id: str) -> Batch | None:
    """Return a batch by id, or the newest one with an upload; None if no id is given and there is none."""
    with vendor.state.lock:
        # Before the batch is read, so that its outcome is that of now.
        vendor.process_due()
    if not batch_id:
        return next((batch for batch in reversed(vendor.state.batches.all()) if batch.upload), None)
    found = vendor.batch_named(batch_id)
    if found is None:
        msg = f"{vendor.name} has no batch {batch_id[:80]!r}."
        raise UnknownBatchError(msg)
    return found


def _number(parameters: Mapping[str, str], name: str, default: int, limits: tuple[int, int]) -> int:
    """Return a parameter that is a whole number within limits; raise ValueError if it is not."""
    text = parameters.get(name, str(default))
    low, high = limits
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high):
        msg = f"{name} is a whole number from {low} to {high}."
        raise ValueError(msg)
    return int(text)
