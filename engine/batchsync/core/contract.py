"""Contract of a source: how old its newest value may be, and how many of its rows may have no value in a column."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from batchsync.core.guards import Breach, Limit
from batchsync.core.mapping import Place
from batchsync.core.retention import period_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: How far the newest value may be ahead of the clock: a time without zone may be that of a zone ahead of UTC.
AHEAD_MAX = timedelta(days=1)


class OnBreach(StrEnum):
    """Treatment of a run whose source does not meet its contract."""

    #: the run awaits approval
    HOLD = "hold"
    #: the run stops; it cannot be approved
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """Limit of the age of a source, which is that of the greatest value of a column.

    Attributes:
        column: The column.
        max_age: Maximum age.
        shown: Whether messages contain the greatest value. It is a value of a row, which an untrusted jobs.yaml must
            not read.
        place: Location in jobs.yaml.
    """

    column: str
    max_age: timedelta
    shown: bool = field(default=True, compare=False)
    place: Place = field(default=Place(), compare=False)

    def __str__(self) -> str:
        """Return the limit in words."""
        return f"{self.column} at most {period_text(self.max_age)} old"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRule:
    """Limit of the rows without a value in a column. Percentages are of the rows that the source selects."""

    column: str
    max_null: Limit
    place: Place = field(default=Place(), compare=False)

    @property
    def allowed(self) -> str:
        """The limit in words."""
        return "none" if self.max_null == Limit(count=0) else str(self.max_null)

    def __str__(self) -> str:
        """Return the rule in words."""
        return f"{self.column} not null" if self.allowed == "none" else f"{self.column} at most {self.max_null} null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a source promises; checked before anything is sent."""

    freshness: Freshness | None = None
    columns: tuple[ColumnRule, ...] = ()
    on_breach: OnBreach = OnBreach.HOLD

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that are counted."""
        fresh = (self.freshness.column,) if self.freshness else ()
        return tuple(dict.fromkeys((*fresh, *(rule.column for rule in self.columns))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCounts:
    """What was counted over the rows of a source that `where` selects.

    Attributes:
        rows: Number of these rows.
        nulls: Number of those without a value, by column.
        newest: Greatest value of the column of the freshness, in microseconds since 1970 UTC; None if there is none.
    """

    rows: int = 0
    nulls: Mapping[str, int] = field(default_factory=dict)
    newest: int | None = None

    @classmethod
    def before_reading(cls, contract: Contract | None) -> Self | None:
        """Return the counts for a contract before any row is read; None without a contract."""
        return None if contract is None else cls(nulls={rule.column: 0 for rule in contract.columns})

    def plus(self, other: ContractCounts) -> ContractCounts:
        """Return the counts of both, which are of different rows."""
        names = dict.fromkeys((*self.nulls, *other.nulls))
        newest = [item for item in (self.newest, other.newest) if item is not None]
        return ContractCounts(
            rows=self.rows + other.rows,
            nulls={name: self.nulls.get(name, 0) + other.nulls.get(name, 0) for name in names},
            newest=max(newest, default=None),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as a JSON-compatible dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the counts that `to_dict` returned.

        Raises:
            TypeError: If there are further or other members.
        """
        return cls(**values)


def instant_text(microseconds: int) -> str:
    """Return a time, given in microseconds since 1970 UTC, in ISO 8601 to the second."""
    try:
        return f"{(_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    except OverflowError:
        return "a time after the year 9999" if microseconds > 0 else "a time before the year 1"


def null_text(rule: ColumnRule, counts: ContractCounts) -> str:
    """Return how many rows have no value in a column, and how many may have none."""
    nulls, rows = counts.nulls.get(rule.column, 0), counts.rows
    share = f" ({nulls * 100 / rows:.4g} %)" if nulls else ""
    return f"{nulls:,} of {rows:,} rows are null{share}, allowed {rule.allowed}"


def contract_breaches(contract: Contract, counts: ContractCounts, now: datetime) -> tuple[Breach, ...]:
    """Return what of a contract a source does not meet, one item for each column.

    A source without rows has no age and no nulls; `min_rows` judges it.

    Args:
        contract: The contract.
        counts: What was counted over the rows of the source.
        now: The present time, timezone-aware.
    """
    found: list[Breach] = []
    if not counts.rows:
        return ()
    if contract.freshness is not None and (reason := _stale(contract.freshness, counts, now)):
        found.append(Breach("freshness", reason))
    broken = (
        rule for rule in contract.columns if not rule.max_null.allows(counts.nulls.get(rule.column, 0), counts.rows)
    )
    found += [Breach("columns", f'column "{rule.column}": {null_text(rule, counts)}') for rule in broken]
    return tuple(found)


def _stale(freshness: Freshness, counts: ContractCounts, now: datetime) -> str:
    """Return why a source is not fresh, or an empty text. The text does not depend on the time."""
    column = f'column "{freshness.column}"'
    if counts.newest is None:
        return f"{column}: none of the {counts.rows:,} rows has a value, so the age of the source is unknown"
    moment = (now - _EPOCH) // timedelta(microseconds=1)
    newest = f"the newest value, {instant_text(counts.newest)}," if freshness.shown else "the newest value"
    if counts.newest - moment > AHEAD_MAX // timedelta(microseconds=1):
        return f"{column}: {newest} is more than a day in the future, so the age of the source is unknown"
    if moment - counts.newest > freshness.max_age // timedelta(microseconds=1):
        return f"{column}: {newest} is older than max_age {period_text(freshness.max_age)}"
    return ""


def approvable_digest(changes_digest: str, broken: Iterable[Breach], last_run: str) -> str:
    """Return the digest that an approval of a plan with a broken contract refers to.

    An approval is of one run: if a source is as stale or incomplete after it, the next run awaits approval again.

    Args:
        changes_digest: Digest of the changes of the plan.
        broken: What of the contract the source does not meet.
        last_run: Id of the last run of the job that did not await approval; empty if there is none.
    """
    reasons = "\0".join(breach.message for breach in broken)
    return hashlib.sha256(f"{changes_digest}\0contract\0{last_run}\0{reasons}".encode()).hexdigest()
