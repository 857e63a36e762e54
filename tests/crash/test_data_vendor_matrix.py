"""Crash at every checkpoint of a job of each vendor that is data alone; the ledger of its derived mock judges.

The suite takes every checkpoint without faults, and few of the others: one in `BATCHSYNC_DATA_MATRIX` of the fault
plans, and of their checkpoints. 1 takes all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from batchsync.core.batch import Phase, Verb
from kit.crash_runs import lost_answers, run_plans
from kit.data_fault_plans import data_fault_plans
from kit.matrix import FaultPlan
from simulation.data_vendors import AMAZON, BY_JOB, KLAVIYO, SALESFORCE

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from simulation.data_vendors import DataVendor

STRIDE = int(os.environ.get("BATCHSYNC_DATA_MATRIX", "17"))
PLAIN = FaultPlan("none")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("job", BY_JOB)
def test_crash_at_checkpoints_without_faults(player: Executor, job: str) -> None:
    stride = min(STRIDE, 3)
    result = player.submit(run_plans, job, None, [PLAIN], stride).result()
    assert not result.violations
    assert result.deaths > 60 // stride


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("job", BY_JOB)
def test_crash_under_fault_plans(player: Executor, job: str) -> None:
    plans = list(data_fault_plans(job))[::STRIDE]
    result = player.submit(run_plans, job, None, plans, STRIDE).result()
    assert not result.violations
    assert result.struck == len(plans), "the faults of a plan hit no request"
    assert result.deaths >= len(plans)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("vendor", [AMAZON, KLAVIYO, SALESFORCE], ids=lambda vendor: vendor.name)
def test_call_of_unknown_outcome_is_never_repeated_by_itself(player: Executor, vendor: DataVendor) -> None:
    """A vendor that cannot be asked leaves it to a person; Salesforce is asked, and the batch is delivered."""
    found = player.submit(lost_answers, vendor.job, (vendor.stops_at or Verb.COMMIT).value).result()
    assert len(found) == 3
    for name, phase, intent, sent, complaints in found:
        assert not complaints, name
        assert sent == 1, name
        expected = (Phase.DELIVERED, None) if vendor is SALESFORCE else (Phase.NEEDS_ATTENTION, vendor.stops_at)
        assert (phase, intent) == expected, name
