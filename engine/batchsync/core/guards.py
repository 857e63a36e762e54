"""Guards and budgets: limits on the numbers of a plan or a run, and the check of a plan against them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from batchsync.core.row_outcome import RowOutcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from batchsync.core.accounting import PlanCounts
    from batchsync.core.row_outcome import OutcomeCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Maximum number of records, absolute, as percentage of a total, or the greater of both. At least one is set."""

    count: int | None = None
    percent: float | None = None

    def allows(self, number: int, total: int) -> bool:
        """Return whether `number` out of `total` is within the limit."""
        if self.count is not None and number <= self.count:
            return True
        # In decimal, as written: 0.57 % of 10,000 is 57, and in binary a little less.
        return number * 100 <= Decimal(str(self.percent or 0)) * total

    def __str__(self) -> str:
        """Return the limit as written in jobs.yaml."""
        count = [] if self.count is None else [str(self.count)]
        percent = [] if self.percent is None else [f"{self.percent:g}%"]
        return " or ".join([*count, *percent])


class Removals(StrEnum):
    """Treatment of removals that have a cause besides the rows: an edit of the job, or a file that is missing."""

    HOLD = "hold"
    SEND = "send"


#: Default of `max_remove` where a job removes.
MAX_REMOVE_DEFAULT = Limit(count=10, percent=5.0)
#: Default of `min_rows` where a job removes: with fewer rows, removals need approval.
MIN_ROWS_DEFAULT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The guards of a job. Percentages of `max_remove` and `max_change` are of the records that the target holds.

    Those of `max_invalid` are of the selected records. None means that the job does not set the guard;
    `effective_guards` fills in the defaults.
    """

    max_remove: Limit | None = None
    max_change: Limit | None = None
    max_invalid: Limit | None = None
    min_rows: int | None = None
    removals_after_edit: Removals | None = None
    removals_after_lost_file: Removals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of records above which a run fails (exit code 4), by the name in the traits of their outcome.

    Default: none allowed. jobs.yaml sets `invalid` and `rejected`; rows of unknown outcome are never allowed.
    """

    invalid: Limit = Limit(count=0)
    rejected: Limit = Limit(count=0)
    unknown: Limit = field(default=Limit(count=0), init=False)


@dataclass(frozen=True, slots=True)
class Breach:
    """A guard that a plan exceeds, with a sentence that contains the numbers."""

    guard: str
    message: str


def effective_guards(own: Guards, *, removes: bool) -> Guards:
    """Return the guards of a job, with defaults for those it does not set if it removes."""
    if not removes:
        return own
    return replace(
        own,
        max_remove=own.max_remove or MAX_REMOVE_DEFAULT,
        min_rows=MIN_ROWS_DEFAULT if own.min_rows is None else own.min_rows,
        removals_after_edit=own.removals_after_edit or Removals.HOLD,
        removals_after_lost_file=own.removals_after_lost_file or Removals.HOLD,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentAnswers:
    """Answers in the results of a lookup whose key the source lacks.

    Attributes:
        rows: Number of all answers in the results.
        absent: Number of those whose key the source lacks.
        digest: Hex digest of their keys.
    """

    rows: int
    absent: int
    digest: str


def breaches(
    counts: PlanCounts,
    own: Guards,
    *,
    baseline_rows: int,
    removes: bool = False,
    causes: Mapping[str, str] | None = None,
    answers: AbsentAnswers | None = None,
) -> tuple[Breach, ...]:
    """Return every guard that a plan exceeds.

    Args:
        counts: Counts of the plan.
        own: The guards that the job sets.
        baseline_rows: Number of records that the target holds.
        removes: Whether the job removes keys that left its source; the defaults apply then.
        causes: Causes of removals besides the rows (`removal_causes`): a sentence by the name of the guard that holds
            removals for it.
        answers: Answers that the plan removes from the results of a lookup; None if it removes none there.
    """
    guards = effective_guards(own, removes=removes)
    removed, total, kept_in = counts.removed, baseline_rows, "records the target holds"
    if answers is not None:
        removed, total, kept_in = answers.absent, answers.rows, "answers in the results"
    would_remove = f"the plan would remove {removed} of {total} {kept_in}"
    found: list[Breach] = []
    if guards.min_rows is not None and counts.source_rows < guards.min_rows:
        # By default an empty source matters only if it would remove records.
        if own.min_rows is not None:
            found.append(
                Breach("min_rows", f"the source has {counts.source_rows} rows, fewer than min_rows {guards.min_rows}")
            )
        elif removed:
            empty = f"the source has no rows, and {would_remove}"
            found.append(Breach("min_rows", f"{empty}; to allow that, set `min_rows: 0` in guards"))
    for name, sentence in (causes or {}).items():
        if removed and getattr(guards, name) is Removals.HOLD:
            found.append(Breach(name, f"{sentence}, and {would_remove}"))
    if guards.max_remove and not guards.max_remove.allows(removed, total):
        found.append(Breach("max_remove", f"{would_remove}, above max_remove {guards.max_remove}"))
    # Records sent again as the target holds them change nothing there.
    changed = counts.changed - counts.resent
    if guards.max_change and not guards.max_change.allows(changed, baseline_rows):
        would_change = f"the plan would change {changed} of {baseline_rows} records the target holds"
        found.append(Breach("max_change", f"{would_change}, above max_change {guards.max_change}"))
    invalid = counts.outcomes[RowOutcome.INVALID]
    if guards.max_invalid and counts.to_send and not guards.max_invalid.allows(invalid, counts.selected):
        sentence = (
            f"{invalid} of {counts.selected} selected records are invalid, above max_invalid {guards.max_invalid}"
        )
        found.append(Breach("max_invalid", sentence))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Guards that a person allows to be exceeded by one run, up to these limits, with the reason.

    Attributes:
        guards: The allowed limits; those of the job stay in force, too.
        reason: Why; kept in the journal.
    """

    guards: Guards
    reason: str

    @property
    def named(self) -> dict[str, Any]:
        """The allowed limits by guard."""
        values = {item.name: getattr(self.guards, item.name) for item in fields(self.guards)}
        return {name: value for name, value in values.items() if value is not None}

    def applied_to(self, own: Guards) -> Guards:
        """Return the guards of a job with the allowed limits in place of its own."""
        return replace(own, **self.named)

    def text(self, lifted: Collection[str]) -> str:
        """Return which of the guards were allowed to be exceeded, and why."""
        listed = ", ".join(f"{name} {value}" for name, value in self.named.items() if name in lifted)
        return f"allowed for this run: {listed}, because: {self.reason}"


def still_exceeded(exceeded: Iterable[Breach], permitted: Iterable[Breach], allowed: Collection[str]) -> list[Breach]:
    """Return the guards that stop a plan although a person allowed some to be exceeded.

    Args:
        exceeded: Guards that the plan exceeds, by the limits of the job.
        permitted: Guards that it exceeds by the allowed limits.
        allowed: Names of the guards that the person allowed to be exceeded.
    """
    beyond = {breach.guard: breach for breach in permitted}
    kept = (beyond.get(breach.guard) if breach.guard in allowed else breach for breach in exceeded)
    return [breach for breach in kept if breach is not None]


def within_budget(outcomes: OutcomeCounts, budget: Budget, *, selected: int) -> bool:
    """Return whether the outcomes of a run's rows are within its budget.

    Args:
        outcomes: Number of rows by outcome.
        budget: The budget of the job.
        selected: Number of selected rows, of which percentages are taken.
    """
    counted: Counter[str] = Counter()
    for outcome, count in outcomes.items():
        counted[outcome.traits.budget] += count
    return all(getattr(budget, limit.name).allows(counted[limit.name], selected) for limit in fields(budget))
