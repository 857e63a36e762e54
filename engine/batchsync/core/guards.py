"""Limits on a plan that hold the run until somebody approves it. It judges numbers; it holds nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.core.accounting import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A number of records, a share of some whole, or the greater of both. At least one of the two is set."""

    count: int | None = None
    percent: float | None = None

    def allows(self, number: int, whole: int) -> bool:
        """Whether `number` out of `whole` is within the limit."""
        if self.count is not None and number <= self.count:
            return True
        # In decimal, as the person wrote it: 0.57 % of 10,000 is 57, and in binary a little less.
        return number * 100 <= Decimal(str(self.percent or 0)) * whole

    def __str__(self) -> str:
        """Return the limit as a person writes it."""
        count = [] if self.count is None else [str(self.count)]
        share = [] if self.percent is None else [f"{self.percent:g}%"]
        return " or ".join([*count, *share])


class AfterEdit(StrEnum):
    """What happens to the removals of the first plan after an edit of what decides which keys are removed."""

    HOLD = "hold"
    SEND = "send"


#: Where a job removes and does not say otherwise, a plan that removes more than this is held.
MAX_REMOVE_DEFAULT = Limit(count=10, percent=5.0)
#: Where a job removes and does not say otherwise, a source with fewer rows removes nothing by itself.
MIN_ROWS_DEFAULT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The guards of one job. Shares of `max_remove` and `max_change` are of the records the target holds.

    None is what the job does not say. `in_force` puts the defaults there.
    """

    max_remove: Limit | None = None
    max_change: Limit | None = None
    min_rows: int | None = None
    removals_after_edit: AfterEdit | None = None


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


def in_force(own: Guards, *, removes: bool) -> Guards:
    """Return the guards that hold for a job: its own, with the defaults for what it does not say where it removes."""
    if not removes:
        return own
    return replace(
        own,
        max_remove=own.max_remove or MAX_REMOVE_DEFAULT,
        min_rows=MIN_ROWS_DEFAULT if own.min_rows is None else own.min_rows,
        removals_after_edit=own.removals_after_edit or AfterEdit.HOLD,
    )


def breaches(
    tally: Tally, own: Guards, *, baseline_rows: int, removes: bool = False, edited_since: str = ""
) -> tuple[Breach, ...]:
    """Return every guard that a plan does not keep, with the figures.

    Args:
        tally: What the plan would do.
        own: What the job says.
        baseline_rows: How many records the target holds.
        removes: Whether the job removes keys that left its source; the defaults hold then.
        edited_since: The run since which the job was edited in what decides which keys it removes; empty if it was not.
    """
    guards = in_force(own, removes=removes)
    found: list[Breach] = []
    if guards.min_rows is not None and tally.source_rows < guards.min_rows:
        # By default an empty source is only held for what it would remove: with nothing at the target it is harmless.
        if own.min_rows is not None:
            found.append(
                Breach("min_rows", f"the source has {tally.source_rows} rows, fewer than min_rows {guards.min_rows}")
            )
        elif tally.removed:
            empty = f"the source has no rows, and {_would_remove(tally, baseline_rows)}"
            found.append(Breach("min_rows", f"{empty}; `min_rows: 0` in guards lets it"))
    if edited_since and tally.removed and guards.removals_after_edit is AfterEdit.HOLD:
        since = f"source, key or on_removed of the job were edited since run {edited_since}"
        found.append(Breach("removals_after_edit", f"{since}, and {_would_remove(tally, baseline_rows)}"))
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


def _would_remove(tally: Tally, whole: int) -> str:
    return f"the plan would remove {tally.removed} of {whole} records the target holds"


def _sentence(what: str, number: int, whole: int, limit: Limit) -> str:
    return f"the plan would {what} {number} of {whole} records the target holds, above max_{what} {limit}"
