"""Account ids, and approvals bound to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.guards import Guards
from batchsync.reconcile.plan import plan

if TYPE_CHECKING:
    from harness import Harness


def test_non_identity_keys_do_not_change_account_id(harness: Harness) -> None:
    job = harness.context("vehicles").job
    original = harness.app.account_id(job)
    with_options = replace(job, target={**job.target, "email": "a@example.com", "scheduledDate": "2026-01-01"})
    assert harness.app.account_id(with_options) == original
    other = replace(job, target={**job.target, "service": "Another Batch"})
    assert harness.app.account_id(other) != original


def test_approval_applies_to_one_account(harness: Harness) -> None:
    context = harness.context("guests", guards=Guards(min_rows=1000))
    job_plan = plan(context, harness.services)
    assert job_plan.awaiting_approval
    harness.app.journal.approve("guests", job_plan.comparison.plan.changes_digest, "", harness.services.clock.now())
    assert not plan(context, harness.services).awaiting_approval
    assert plan(replace(context, account_id="another"), harness.services).awaiting_approval
