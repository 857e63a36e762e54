"""Conditions of jobs that alerts tell of, their causes, and the facts by which they are judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta


class AlertCondition(StrEnum):
    """Conditions of a job that alerts tell of."""

    #: it cannot run, its calls fail, or its last run exceeded the budget
    FAILING = "failing"
    #: its plan exceeds a guard
    AWAITING_APPROVAL = "awaiting_approval"
    #: a batch waits for a person, or has rows of unknown outcome
    NEEDS_ATTENTION = "needs_attention"
    #: a tick has not begun, a batch takes longer than usual, or the origin of the jobs file cannot be asked
    LATE = "late"
    #: more records were refused than usual
    REJECTS = "rejects"

    @property
    def words(self) -> str:
        """Predicate of a job in this condition."""
        return _WORDS[self]


_WORDS = {
    AlertCondition.FAILING: "is failing",
    AlertCondition.AWAITING_APPROVAL: "awaits approval",
    AlertCondition.NEEDS_ATTENTION: "needs attention",
    AlertCondition.LATE: "is late",
    AlertCondition.REJECTS: "has more rejects than usual",
}
#: Transition of a condition that ended.
RECOVERED = "recovered"
#: What channels may select.
TRANSITIONS = (*(item.value for item in AlertCondition), RECOVERED)


class Cause(StrEnum):
    """Causes of conditions."""

    ERROR = "error"
    CALLS = "calls"
    BUDGET = "budget"
    HELD = "held"
    ATTENTION = "attention"
    TICK = "tick"
    BATCH = "batch"
    ORIGIN = "origin"
    REFUSED = "refused"

    @property
    def condition(self) -> AlertCondition:
        """The condition that it causes."""
        return _CONDITIONS[self]


_CONDITIONS = {
    Cause.ERROR: AlertCondition.FAILING,
    Cause.CALLS: AlertCondition.FAILING,
    Cause.BUDGET: AlertCondition.FAILING,
    Cause.HELD: AlertCondition.AWAITING_APPROVAL,
    Cause.ATTENTION: AlertCondition.NEEDS_ATTENTION,
    Cause.TICK: AlertCondition.LATE,
    Cause.BATCH: AlertCondition.LATE,
    Cause.ORIGIN: AlertCondition.LATE,
    Cause.REFUSED: AlertCondition.REJECTS,
}


@dataclass(frozen=True, slots=True)
class Active:
    """A cause that holds: since when, and when it was last seen again, which matters for errors only."""

    since: datetime
    seen: datetime


States = dict[Cause, Active]


@dataclass(frozen=True, slots=True)
class Failure:
    """A job, or the jobs file, could not be used: when, and title and code of the error, which have no values."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Share:
    """Part of the records of a run, such as those that the vendor rejected."""

    part: int
    whole: int

    @property
    def ratio(self) -> float:
        """The share as a number from 0 to 1."""
        return self.part / self.whole if self.whole else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a job now.

    Attributes:
        job: Name of the job; empty for the jobs file.
        failure: The error that this process met, if any.
        run: Id of the newest run; empty if there is none.
        run_begun: When the newest run was journaled and all of its batches prepared; None if that is not so.
        held: Whether the newest run awaits approval.
        attention: Number of batches that need attention.
        failed_calls: Greatest number of failed calls in a row of an open batch.
        over_budget: Whether the newest settled run exceeded the budget; None if there is none.
        age: Age of the oldest batch without a verdict, from its submission; None if there is none.
        took: Newest first: how long the vendor took for past batches.
        rejected: Newest first: rejected of the records sent, by settled run.
        invalid: Newest first: invalid of the selected records, by settled run.
        tick: First tick that no run has begun for; None if there is none.
        ticks_known: Whether this process runs the schedule of the job, so that `tick` says something.
        recovers: Whether the error of the jobs file is over; for the jobs file only.
        unasked: Since when the branch or folder that `serve` follows cannot be asked; None if it can, or is unknown.
        asked: Whether it can be asked, or nothing is followed any more; for the jobs file only.
    """

    job: str
    failure: Failure | None = None
    run: str = ""
    run_begun: datetime | None = None
    held: bool = False
    attention: int = 0
    failed_calls: int = 0
    over_budget: bool | None = None
    age: timedelta | None = None
    took: Sequence[timedelta] = ()
    rejected: Sequence[Share] = ()
    invalid: Sequence[Share] = ()
    tick: datetime | None = None
    ticks_known: bool = False
    recovers: bool = False
    unasked: datetime | None = None
    asked: bool = False


@dataclass(slots=True)
class Seen:
    """What this process has met so far.

    Attributes:
        failures: Last failure by job.
        file_failure: Why the jobs file cannot be loaded; None if it can, or is unknown.
        file_recovers: Whether it was loaded as it is now.
        unasked: Since when the branch or folder that is followed cannot be asked; None if it can, or is unknown.
        asked: Whether it can be asked, or none is followed.
    """

    failures: dict[str, Failure] = field(default_factory=dict)
    file_failure: Failure | None = None
    file_recovers: bool = False
    unasked: datetime | None = None
    asked: bool = False

    def copy(self) -> Seen:
        """Return a copy that another thread may read."""
        return replace(self, failures=dict(self.failures))
