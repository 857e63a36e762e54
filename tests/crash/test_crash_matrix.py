"""Crash at every checkpoint of the smallest scenario, under every fault plan and policy for unknown outcomes.

A process runs once under a plan. At each of its checkpoints, everything that a SIGKILL would leave is saved: the files,
the time, the requests in flight. From each of these states another process continues until everything is settled.
Equal states (the same files byte by byte, the same rows in the journal after recovery by SQLite, the same time and
requests) have equal endings, so each state is continued once; a test continues some of them again and compares.

The default suite takes every checkpoint of every plan, about 22,000 crashes; `BATCHSYNC_MATRIX=9` takes one in nine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from batchsync.core.policy import OnUnknownOutcome
from kit.crash_runs import compare_repeated_endings, crash_by_exception, run_plan_share, run_plans
from kit.fault_plans import fault_plans, in_doubt_plans
from kit.matrix import FaultPlan

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: take every n-th checkpoint of a run with faults, with a different offset for each plan
STRIDE = int(os.environ.get("BATCHSYNC_MATRIX", "2"))
SHARES = 8
PLAIN = FaultPlan("none")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("doubt", [None, *OnUnknownOutcome], ids=lambda policy: str(policy or "vendor-default"))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_at_every_checkpoint_without_faults(player: Executor, job: str, doubt: OnUnknownOutcome | None) -> None:
    result = player.submit(run_plans, job, doubt, [PLAIN]).result()
    assert not result.violations
    assert result.deaths > 50


@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_under_every_fault_plan(player: Executor, job: str, share: int) -> None:
    result = player.submit(run_plan_share, job, share, SHARES, STRIDE).result()
    assert not result.violations
    assert result.struck, "no fault of this share hit a request"
    assert result.deaths > 300 // STRIDE


@pytest.mark.timeout(600)
@pytest.mark.parametrize("doubt", list(OnUnknownOutcome))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_in_doubt_under_every_policy(player: Executor, job: str, doubt: OnUnknownOutcome) -> None:
    result = player.submit(run_plans, job, doubt, list(in_doubt_plans(job)), STRIDE).result()
    assert not result.violations
    assert result.struck >= 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["none", "upload lands after 30.0"])
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_equal_states_after_crash_have_equal_endings(player: Executor, job: str, name: str) -> None:
    """Equal in every row, byte and request, so that the matrix may continue equal states once."""
    plan = next(item for item in (PLAIN, *fault_plans(job)) if item.name == name)
    crashes, states, differences = player.submit(compare_repeated_endings, job, plan).result()
    assert not differences
    assert states < crashes


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_by_exception_ends_like_kill(player: Executor, job: str) -> None:
    assert not player.submit(crash_by_exception, job, 9).result()
