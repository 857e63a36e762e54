"""Alerts on transitions of jobs: which conditions began or ended, from the previous state and the present facts.

A condition has one or more causes. Each cause holds, does not hold, or nothing is known of it now; then it stays as it
was. An alert is due when the first cause of a condition begins, and one of its recovery when the last cause ended.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from batchsync.core.alert_conditions import RECOVERED, Active, AlertCondition, Cause, States

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from batchsync.core.alert_conditions import Facts, Share

#: Newest values of a history that say what is usual, and how many are needed to say it.
HISTORY, HISTORY_MIN = 20, 5
#: What is above this multiple of the median is unusual.
FACTOR = 3
#: Age of a batch, and share of refused records, up to which nothing is unusual, whatever the history says.
AGE_FLOOR, SHARE_FLOOR = timedelta(minutes=15), 0.01
#: Number of refused records up to which a share is not judged.
REFUSED_FLOOR = 5
#: Durations below this are shown in minutes.
_MINUTES_SHOWN = 120
#: Failed calls in a row after which the calls of a batch count as failing.
FAILED_CALLS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A transition of a condition of a job. It has no values of rows, no keys and no texts of vendors.

    Attributes:
        job: Name of the job; empty for the jobs file.
        condition: The condition.
        recovered: Whether it ended.
        since: When it began.
        at: When this was noticed.
        reason: Why, as a part of a sentence; empty after a recovery.
        command: Command that shows more.
    """

    job: str
    condition: AlertCondition
    recovered: bool
    since: datetime
    at: datetime
    reason: str = ""
    command: str = ""

    @property
    def id(self) -> str:
        """Id of the transition, the same whenever it is sent."""
        which = RECOVERED if self.recovered else "began"
        return f"{self.job or 'jobs-file'}.{self.condition}.{self.since:%Y%m%dT%H%M%S.%fZ}.{which}"

    @property
    def transition(self) -> str:
        """Name of the transition, by which channels select it."""
        return RECOVERED if self.recovered else self.condition.value


@dataclass(frozen=True, slots=True)
class Evaluation:
    """State of a job after an evaluation, and the alerts that are due."""

    states: States
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether a cause holds, None if nothing is known, and why."""

    holds: bool | None
    reason: str = ""


def usual_limit(history: Sequence[float], floor: float) -> float | None:
    """Return the value above which another one is unusual: the greater of the floor and three times the median.

    Args:
        history: Values, newest first; the newest `HISTORY` count.
        floor: Least limit.

    Returns:
        The limit; None if there are fewer than `HISTORY_MIN` values.
    """
    if len(history) < HISTORY_MIN:
        return None
    return max(FACTOR * median(history[:HISTORY]), floor)


def evaluate(before: Mapping[Cause, Active], facts: Facts, now: datetime, late_after: timedelta) -> Evaluation:
    """Return which causes hold now, and the alerts on conditions that began or ended.

    Args:
        before: Causes that held at the last evaluation.
        facts: What is known now.
        now: Time of the evaluation.
        late_after: Time after a tick from which on it is late.
    """
    verdicts = _verdicts(before, facts, now, late_after)
    after: States = {}
    for cause, verdict in verdicts.items():
        known = before.get(cause)
        if verdict.holds or (verdict.holds is None and known is not None):
            seen = facts.failure.at if cause is Cause.ERROR and facts.failure and verdict.holds else now
            after[cause] = known or Active(now, seen)
            if cause is Cause.ERROR and verdict.holds and seen > after[cause].seen:
                after[cause] = replace(after[cause], seen=seen)
    began, ended = conditions(before), conditions(after)
    alerts = [
        Alert(
            job=facts.job,
            condition=condition,
            recovered=False,
            since=now,
            at=now,
            reason="; ".join(verdicts[cause].reason for cause in after if cause.condition is condition),
            command=_command(condition, facts.job),
        )
        for condition in ended
        if condition not in began
    ]
    alerts += [
        Alert(job=facts.job, condition=condition, recovered=True, since=since, at=now)
        for condition, since in began.items()
        if condition not in ended
    ]
    return Evaluation(after, tuple(alerts))


def conditions(states: Mapping[Cause, Active]) -> dict[AlertCondition, datetime]:
    """Return the conditions of some causes, each since its first cause."""
    found: dict[AlertCondition, datetime] = {}
    for cause, active in states.items():
        found[cause.condition] = min(active.since, found.get(cause.condition, active.since))
    return found


def _verdicts(
    before: Mapping[Cause, Active], facts: Facts, now: datetime, late_after: timedelta
) -> dict[Cause, _Verdict]:
    error = _error(before.get(Cause.ERROR), facts)
    # A job that cannot run is reported as failing, and not as late as well.
    failing = error.holds or (error.holds is None and Cause.ERROR in before)
    overdue = facts.tick is not None and now - facts.tick > late_after and not failing
    tick = "" if facts.tick is None else f"no run began for the tick of {facts.tick:%Y-%m-%d %H:%M}Z"
    held = f"run {facts.run} exceeds a guard, and nothing of it was sent"
    failed = f"the last {facts.failed_calls} calls about a batch failed"
    return {
        Cause.ERROR: error,
        Cause.CALLS: _Verdict(facts.failed_calls >= FAILED_CALLS, failed),
        Cause.BUDGET: _Verdict(facts.over_budget, "its last settled run exceeded its budget"),
        Cause.HELD: _Verdict(facts.held, held),
        Cause.ATTENTION: _Verdict(facts.attention > 0, f"batches that need attention: {facts.attention}"),
        Cause.TICK: _Verdict(overdue if facts.ticks_known else None, tick),
        Cause.BATCH: _batch(facts),
        Cause.ORIGIN: _origin(facts, now, late_after),
        Cause.REFUSED: _refused(facts),
    }


def _error(known: Active | None, facts: Facts) -> _Verdict:
    """Return whether a job cannot run: since its last error, no run of it has begun."""
    if facts.failure is not None and not (facts.run_begun is not None and facts.run_begun > facts.failure.at):
        return _Verdict(holds=True, reason=facts.failure.text)
    if known is None or facts.recovers:
        return _Verdict(holds=False)
    return _Verdict(holds=False if facts.run_begun is not None and facts.run_begun > known.seen else None)


def _batch(facts: Facts) -> _Verdict:
    limit = usual_limit([item.total_seconds() for item in facts.took], AGE_FLOOR.total_seconds())
    if facts.age is None or limit is None or facts.age.total_seconds() <= limit:
        return _Verdict(holds=False)
    usual = _minutes(timedelta(seconds=median([item.total_seconds() for item in facts.took[:HISTORY]])))
    return _Verdict(holds=True, reason=f"a batch is with the vendor since {_minutes(facts.age)}, usual are {usual}")


def _origin(facts: Facts, now: datetime, late_after: timedelta) -> _Verdict:
    """Return whether new revisions of the jobs file cannot be noticed; short outages of a network are no alert."""
    if facts.unasked is None:
        return _Verdict(holds=False if facts.asked else None)
    reason = f"the branch or folder that serve follows cannot be asked since {facts.unasked:%Y-%m-%d %H:%M}Z"
    return _Verdict(holds=now - facts.unasked > late_after or None, reason=reason)


def _refused(facts: Facts) -> _Verdict:
    found = [
        f"{shares[0].part} of {shares[0].whole} {of}"
        for of, shares in (("records rejected", facts.rejected), ("records invalid", facts.invalid))
        if shares and _is_unusual(shares)
    ]
    return _Verdict(bool(found), " and ".join(found))


def _is_unusual(shares: Sequence[Share]) -> bool:
    """Return whether the newest share is above the usual."""
    newest, history = shares[0], [item.ratio for item in shares[1:]]
    limit = usual_limit(history, SHARE_FLOOR)
    return limit is not None and newest.part > REFUSED_FLOOR and newest.ratio > limit


def _minutes(length: timedelta) -> str:
    """Return a duration in the unit that a person would choose."""
    minutes = int(length.total_seconds() // 60)
    return f"{minutes} min" if minutes < _MINUTES_SHOWN else f"{minutes // 60} h"


def _command(condition: AlertCondition, job: str) -> str:
    """Return the command that shows more about a condition."""
    if not job:
        return "batchsync status" if condition is AlertCondition.LATE else "batchsync validate"
    if condition is AlertCondition.AWAITING_APPROVAL:
        return f"batchsync plan {job}"
    return f"batchsync rejects {job}" if condition is AlertCondition.REJECTS else f"batchsync status {job}"
