"""The condition of a job: the first rule of the table that applies."""

from __future__ import annotations

from typing import Any

import pytest

from batchsync.core.condition import Condition, JobFacts, condition_of
from batchsync.core.run import RunState

SETTLED, PREPARED, AWAITING = RunState.SETTLED, RunState.PREPARED, RunState.AWAITING_APPROVAL


@pytest.mark.parametrize(
    ("facts", "condition", "reason"),
    [
        ({"run": SETTLED}, Condition.SYNCED, "the target holds what the source had at the last run"),
        ({}, Condition.OUT_OF_SYNC, "the job never ran"),
        ({"run": SETTLED, "deferred": 3}, Condition.OUT_OF_SYNC, "3 records wait for the next run"),
        ({"run": AWAITING, "approved": True, "deferred": 3}, Condition.OUT_OF_SYNC, "the plan is approved"),
        ({"run": AWAITING, "deferred": 3}, Condition.AWAITING_APPROVAL, "a guard stops"),
        ({"run": PREPARED, "open_batches": 1, "deferred": 9}, Condition.IN_FLIGHT, "1 batch is in flight"),
        ({"run": RunState.PREPARING}, Condition.IN_FLIGHT, "batch files are being prepared"),
        ({"run": PREPARED, "open_batches": 2, "failing": 2}, Condition.DEGRADED, "2 batches are retried"),
        ({"run": SETTLED, "failure": "no such file"}, Condition.DEGRADED, "no such file"),
        ({"run": SETTLED, "over_budget": True}, Condition.DEGRADED, "the last run has more invalid"),
        ({"run": PREPARED, "over_budget": True, "open_batches": 1}, Condition.IN_FLIGHT, "1 batch"),
        ({"run": SETTLED, "suspended": True}, Condition.SUSPENDED, "no run begins"),
        ({"run": SETTLED, "suspended": True, "failure": "x"}, Condition.DEGRADED, "x"),
        ({"run": SETTLED, "unresolved": 1, "failure": "x"}, Condition.NEEDS_ATTENTION, "1 batch has rows of unknown"),
        ({"run": AWAITING, "parked": 2, "open_batches": 2}, Condition.NEEDS_ATTENTION, "2 batches wait for a person"),
    ],
)
def test_most_urgent_rule_decides(facts: dict[str, Any], condition: Condition, reason: str) -> None:
    found = condition_of(JobFacts(**facts))
    assert found.condition is condition
    assert found.reason.startswith(reason)
