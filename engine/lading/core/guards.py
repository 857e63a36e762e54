"""Limits on a plan that hold the run until somebody approves it. It judges numbers; it holds nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.core.accounting import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A number of records, or a share of some whole. Exactly one of the two is set."""

    count: int | None = None
    percent: float | None = None

    def allows(self, number: int, whole: int) -> bool:
        """Whether `number` out of `whole` is within the limit."""
        if self.count is not None:
            return number <= self.count
        # In decimal, as the person wrote it: 0.57 % of 10,000 is 57, and in binary a little less.
        return number * 100 <= Decimal(str(self.percent or 0)) * whole

    def __str__(self) -> str:
        """Return the limit as a person writes it."""
        return f"{self.percent:g}%" if self.percent is not None else str(self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The guards of one job. Shares of `max_remove` and `max_change` are of the records the target holds."""

    max_remove: Limit | None = None
    max_change: Limit | None = None
    min_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many records may be invalid or rejected before a run counts as failed (exit 4). Default: none."""

    invalid: Limit = Limit(count=0)
    rejected: Limit = Limit(count=0)


@dataclass(frozen=True, slots=True)
class Breach:
    """One guard that a plan does not keep, in a sentence."""

    guard: str
    message: str


def breaches(tally: Tally, guards: Guards, *, baseline_rows: int) -> tuple[Breach, ...]:
    """Return every guard that the plan does not keep, with the figures."""
    found: list[Breach] = []
    if guards.min_rows is not None and tally.source_rows < guards.min_rows:
        found.append(
            Breach("min_rows", f"the source has {tally.source_rows} rows, fewer than min_rows {guards.min_rows}")
        )
    if guards.max_remove and not guards.max_remove.allows(tally.removed, baseline_rows):
        found.append(Breach("max_remove", _sentence("remove", tally.removed, baseline_rows, guards.max_remove)))
    # What is sent again as the target holds it changes nothing there.
    changed = tally.changed - tally.resent
    if guards.max_change and not guards.max_change.allows(changed, baseline_rows):
        found.append(Breach("max_change", _sentence("change", changed, baseline_rows, guards.max_change)))
    return tuple(found)


def within_budget(*, invalid: int, rejected: int, selected: int, budget: Budget) -> bool:
    """Whether a settled run keeps its budget of invalid and rejected records."""
    return budget.invalid.allows(invalid, selected) and budget.rejected.allows(rejected, selected)


def _sentence(what: str, number: int, whole: int, limit: Limit) -> str:
    return f"the plan would {what} {number} of {whole} records the target holds, above max_{what} {limit}"
