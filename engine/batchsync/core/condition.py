"""The condition of a job: one word for what it needs now, by the first rule of a table that applies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from batchsync.core.run import RunState

if TYPE_CHECKING:
    from collections.abc import Callable


class Condition(StrEnum):
    """Condition of a job, most urgent first."""

    #: a batch or rows of unknown outcome wait for a person
    NEEDS_ATTENTION = "NeedsAttention"
    #: a guard stops the newest plan until it is approved
    AWAITING_APPROVAL = "AwaitingApproval"
    #: the job failed, calls of its batches fail, or more rows were refused than its budget allows
    DEGRADED = "Degraded"
    #: `suspend: true`: no run begins
    SUSPENDED = "Suspended"
    #: batches are being prepared, sent, processed or collected
    IN_FLIGHT = "InFlight"
    #: records are known that the target does not hold yet, or the job never ran
    OUT_OF_SYNC = "OutOfSync"
    #: the target holds what the source had at the last run
    SYNCED = "Synced"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What the condition of a job follows from.

    Attributes:
        run: State of its newest run; None if it never ran.
        approved: Whether the plan of the newest run is approved.
        suspended: Whether the job is suspended.
        open_batches: Number of batches that are not delivered, including parked ones.
        parked: Number of batches that wait for a person.
        unresolved: Number of delivered batches with rows of unknown outcome.
        failing: Number of open batches whose last call failed.
        failure: Why the job failed when it was last tried; empty if it did not.
        over_budget: Whether the newest run exceeds the budget of the job.
        deferred: Number of records of the newest run that wait for a later run.
    """

    run: RunState | None = None
    approved: bool = False
    suspended: bool = False
    open_batches: int = 0
    parked: int = 0
    unresolved: int = 0
    failing: int = 0
    failure: str = ""
    over_budget: bool = False
    deferred: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCondition:
    """The condition of a job, with the reason as a sentence without a period."""

    condition: Condition
    reason: str


def _counted(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"


#: Rules in order: condition, whether it applies, and its reason. The last rule always applies.
_RULES: tuple[tuple[Condition, Callable[[JobFacts], bool], Callable[[JobFacts], str]], ...] = (
    (
        Condition.NEEDS_ATTENTION,
        lambda facts: facts.parked > 0,
        lambda facts: _counted(facts.parked, "batch waits for a person", "batches wait for a person"),
    ),
    (
        Condition.NEEDS_ATTENTION,
        lambda facts: facts.unresolved > 0,
        lambda facts: _counted(
            facts.unresolved, "batch has rows of unknown outcome", "batches have rows of unknown outcome"
        ),
    ),
    (
        Condition.AWAITING_APPROVAL,
        lambda facts: facts.run is RunState.AWAITING_APPROVAL and not facts.approved,
        lambda _: "a guard stops the newest plan until it is approved",
    ),
    (Condition.DEGRADED, lambda facts: bool(facts.failure), lambda facts: facts.failure),
    (
        Condition.DEGRADED,
        lambda facts: facts.failing > 0,
        lambda facts: _counted(
            facts.failing, "batch is retried after a failed call", "batches are retried after failed calls"
        ),
    ),
    (
        Condition.DEGRADED,
        lambda facts: facts.over_budget and facts.run is RunState.SETTLED,
        lambda _: "the last run has more invalid, rejected or unknown rows than the budget allows",
    ),
    (Condition.SUSPENDED, lambda facts: facts.suspended, lambda _: "no run begins: the job says `suspend: true`"),
    (
        Condition.IN_FLIGHT,
        lambda facts: facts.run is RunState.PREPARING,
        lambda _: "batch files are being prepared and sent",
    ),
    (
        Condition.IN_FLIGHT,
        lambda facts: facts.open_batches > 0,
        lambda facts: _counted(facts.open_batches, "batch is in flight", "batches are in flight"),
    ),
    (Condition.OUT_OF_SYNC, lambda facts: facts.run is None, lambda _: "the job never ran"),
    (
        Condition.OUT_OF_SYNC,
        lambda facts: facts.run is RunState.AWAITING_APPROVAL,
        lambda _: "the plan is approved and is sent by the next run",
    ),
    (
        Condition.OUT_OF_SYNC,
        lambda facts: facts.deferred > 0,
        lambda facts: _counted(facts.deferred, "record waits for the next run", "records wait for the next run"),
    ),
    (Condition.SYNCED, lambda _: True, lambda _: "the target holds what the source had at the last run"),
)


def condition_of(facts: JobFacts) -> JobCondition:
    """Return the condition of a job.

    Args:
        facts: What is known of the job.

    Returns:
        The condition of the first rule that applies.
    """
    return next(
        JobCondition(condition=condition, reason=reason(facts))
        for condition, applies, reason in _RULES
        if applies(facts)
    )
