"""The plan that is reviewed offline is the plan of the run that sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.plan import Plan
from batchsync.reconcile.describe import describe
from batchsync.reconcile.plan import plan, prepare

if TYPE_CHECKING:
    from harness import Harness


def test_offline_plan_equals_that_of_the_run(harness: Harness) -> None:
    for name in ("guests", "vehicles"):
        context = harness.context(name)
        reviewed = plan(context, harness.services).comparison.plan
        preparation = prepare(context, harness.services, describe(context, harness.services))
        assert preparation.comparison.plan == reviewed
        assert Plan.from_dict(reviewed.to_dict()).digest == preparation.comparison.plan.digest
        assert preparation.run.plan == reviewed.changes_digest
        elsewhere = plan(replace(context, account_id="another"), harness.services).comparison.plan
        assert elsewhere.digest != reviewed.digest
