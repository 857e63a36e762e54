"""Row outcomes: what became of a row. Each is declared once, in `RowOutcome`, with what other modules need to know.

Accounting, journal, reports and the mocks' check derive their terms from the members: a further outcome is one line
here, and the code that assigns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTraits:
    """Properties of a row outcome.

    Attributes:
        of_batch: Whether it is assigned to the rows of a delivered batch; otherwise the comparison assigns it.
        in_target: Whether the target is known to hold the row's record as it is now.
        listed: Whether `batchsync rejects` lists such rows: without `--kind` those that have a budget.
        budget: Name of the limit in `Budget` that such rows count against; empty if there is none.
        rare: Whether the outcome is shown only where there are such rows.
    """

    of_batch: bool = False
    in_target: bool = False
    listed: bool = False
    budget: str = ""
    rare: bool = False


#: Traits of an outcome that the comparison assigns and that says nothing about the target.
_NONE = OutcomeTraits()


class RowOutcome(StrEnum):
    """What became of a row. The members are the terms of the settlement equation, in its order.

    The names are stored in journals and verdict files.
    """

    traits: OutcomeTraits

    #: the target holds the record as it is; nothing is sent
    UNCHANGED = "unchanged", OutcomeTraits(in_target=True)
    #: the vendor has taken the record
    ACCEPTED = "accepted", OutcomeTraits(of_batch=True, in_target=True)
    #: the target holds the record, on a person's word; it was not sent
    ASSUMED = "assumed", OutcomeTraits(in_target=True, rare=True)
    #: refused by batchsync, before it was sent
    INVALID = "invalid", OutcomeTraits(listed=True, budget="invalid")
    #: lost against another row of its key, as `source.duplicates` declares; it was not sent
    SUPERSEDED = "superseded", OutcomeTraits(listed=True, rare=True)
    #: on the suppression list, as after `batchsync forget`; it was not sent
    SUPPRESSED = "suppressed", OutcomeTraits(rare=True)
    #: refused by the vendor
    REJECTED = "rejected", OutcomeTraits(of_batch=True, listed=True, budget="rejected")
    #: sent, and the vendor has not reported what became of it
    UNKNOWN = "unknown", OutcomeTraits(of_batch=True, listed=True, budget="unknown")
    #: waits for another batch, an approval or a later run
    DEFERRED = "deferred"

    def __new__(cls, value: str, traits: OutcomeTraits = _NONE) -> Self:
        """Create a member with its name and traits."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.traits = traits
        return member

    @property
    def name_in_plan(self) -> str:
        """Name in the counts of a plan: there, the outcome of a row of a batch is that of an earlier run."""
        return f"still_{self}" if self.traits.of_batch else self.value

    @property
    def label_in_plan(self) -> str:
        """Label in texts about a plan."""
        return f"{self} earlier" if self.traits.of_batch else self.value


#: Outcomes of the rows of a batch.
BATCH_OUTCOMES = tuple(outcome for outcome in RowOutcome if outcome.traits.of_batch)
#: Outcomes of rows that `batchsync rejects` lists.
LISTED_OUTCOMES = tuple(outcome for outcome in RowOutcome if outcome.traits.listed)
#: Listed outcomes of rows that ended as declared: they are listed only when asked for.
DECLARED_OUTCOMES = tuple(outcome for outcome in LISTED_OUTCOMES if not outcome.traits.budget)
#: Outcomes of rows that did not reach the target.
FAILED_OUTCOMES = tuple(outcome for outcome in LISTED_OUTCOMES if outcome.traits.budget)
#: Outcomes in the counts of a plan: those that the comparison assigns, then those of rows of earlier runs that are not
#: sent again. A row that the target holds since an earlier run is unchanged.
PLAN_OUTCOMES = (
    *(outcome for outcome in RowOutcome if not outcome.traits.of_batch),
    *(outcome for outcome in BATCH_OUTCOMES if not outcome.traits.in_target),
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OutcomeCounts(Mapping[RowOutcome, int]):
    """Number of rows by outcome, an immutable mapping over all of `RowOutcome`; outcomes that are not given count 0."""

    counts: Mapping[RowOutcome, int] = field(default_factory=dict)

    @classmethod
    def of(cls, **counts: int) -> Self:
        """Return the counts given by the names of the outcomes.

        Raises:
            ValueError: If there is no outcome of this name.
        """
        return cls({RowOutcome(name): count for name, count in counts.items()})

    @property
    def total(self) -> int:
        """Number of all rows: the right side of the settlement equation."""
        return sum(self.values())

    def sum_of(self, outcomes: Iterable[RowOutcome]) -> int:
        """Return the number of rows with one of these outcomes."""
        return sum(self[outcome] for outcome in outcomes)

    def only(self, outcomes: Iterable[RowOutcome]) -> Self:
        """Return the counts of these outcomes; the others count 0."""
        return type(self)({outcome: self[outcome] for outcome in outcomes})

    def shown(self) -> tuple[RowOutcome, ...]:
        """Return the outcomes to show: all but the rare ones of which there are no rows."""
        return tuple(outcome for outcome in self if self[outcome] or not outcome.traits.rare)

    def moved(self, source: RowOutcome, target: RowOutcome) -> Self:
        """Return the counts after all rows of outcome `source` got outcome `target`."""
        return self + OutcomeCounts({target: self[source], source: -self[source]})

    def by_name(self, outcomes: Iterable[RowOutcome] = RowOutcome) -> dict[str, int]:
        """Return the counts of some outcomes by name, as a JSON-compatible dictionary."""
        return {outcome.value: self[outcome] for outcome in outcomes}

    def __getitem__(self, outcome: RowOutcome) -> int:
        """Return the number of rows with this outcome."""
        return self.counts.get(outcome, 0)

    def __iter__(self) -> Iterator[RowOutcome]:
        """Return an iterator over all outcomes, in their order."""
        return iter(RowOutcome)

    def __len__(self) -> int:
        """Return the number of outcomes."""
        return len(RowOutcome)

    def __hash__(self) -> int:
        """Return the hash of the counts."""
        return hash(tuple(self.values()))

    def __add__(self, other: OutcomeCounts) -> Self:
        """Return the sum of the counts, outcome by outcome."""
        return type(self)({outcome: self[outcome] + other[outcome] for outcome in RowOutcome})

    def __repr__(self) -> str:
        """Return the counts that are not 0."""
        return f"OutcomeCounts.of({', '.join(f'{outcome}={count}' for outcome, count in self.items() if count)})"
