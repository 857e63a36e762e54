"""What one account and target hold, and what was approved there, says nothing of another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lading.core.guards import Guards
from lading.reconcile.prepare import plan

if TYPE_CHECKING:
    from office import Office


def test_whom_a_vendor_tells_and_when_makes_no_other_target(office: Office) -> None:
    job = office.context("vehicles").job
    plain = office.app.identity(job)
    told = replace(job, target={**job.target, "email": "a@example.com", "scheduledDate": "2026-01-01"})
    assert office.app.identity(told) == plain
    other = replace(job, target={**job.target, "service": "Another Batch"})
    assert office.app.identity(other) != plain


def test_a_plan_that_was_approved_at_one_account_is_not_approved_at_another(office: Office) -> None:
    here = office.context("guests", guards=Guards(min_rows=1000))
    held = plan(here, office.world)
    assert held.held
    office.app.journal.approve("guests", held.comparison.fingerprint, "", office.world.clock.now())
    assert not plan(here, office.world).held
    assert plan(replace(here, identity="another"), office.world).held
