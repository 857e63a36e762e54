"""Outages of a vendor, its storage or the network: a batch is not parked, and goes on by itself afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from harness import ALLOCATE, NO_WAIT, POLL, UPLOAD, WAIT, Harness

from batchsync.core.batch import Phase
from batchsync.core.events import Parked
from batchsync.reconcile.loop import WaitPolicy, drive_to_completion

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.reconcile.services import JobContext

#: An outage that is longer than most: two nights and a day.
OUTAGE = timedelta(hours=36)
#: Longest wait between calls in tests of many hours, for their speed: still many times more failures than once allowed.
SLOWLY = {"backoff_max": timedelta(minutes=30)}
REPORTS = {"method": "GET", "path": r"/reports$"}


def drive(harness: Harness, job: str, duration: timedelta, **policy: Any) -> Batch:
    """Follow the open batches of a job for a time, as `serve` does; return the batch."""
    context = harness.context(job)
    if policy:
        context = replace_policy(context, **policy)
    with harness.services.lease(job):
        until = harness.services.clock.now() + duration
        drive_to_completion({job: context}, harness.services, WaitPolicy(until=until))
    return harness.batch(job)


def replace_policy(context: JobContext, **changes: Any) -> JobContext:
    """Return the context with a changed policy."""
    return replace(context, policy=replace(context.policy, **changes))


def was_parked(harness: Harness, job: str) -> bool:
    """Return whether the batch of the job ever needed attention."""
    return any(isinstance(event, Parked) for event in harness.app.journal.events(harness.batch(job).id))


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize(
    ("begins_at", "kind"),
    [(ALLOCATE, {"kind": "status", "status": 502}), (UPLOAD, {"kind": "reset"}), (POLL, {"kind": "refuse"})],
    ids=["allocate", "upload", "poll"],
)
def test_batch_goes_on_by_itself_after_an_outage_of_36_hours(
    harness: Harness, job: str, begins_at: dict[str, Any], kind: dict[str, Any]
) -> None:
    request = begins_at.get(job, begins_at)
    harness.arm(job, **kind, times=0, **request)
    harness.sync(job, NO_WAIT)
    harness.arm(job, **kind, times=0)

    drive(harness, job, OUTAGE, **SLOWLY)
    assert not was_parked(harness, job)
    harness.clear_faults()
    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert not was_parked(harness, job)
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_outage_of_the_storage_alone_lets_allocations_expire_and_parks_nothing(harness: Harness, job: str) -> None:
    harness.arm(job, kind="status", status=500, times=0, **UPLOAD)
    harness.sync(job, NO_WAIT)

    drive(harness, job, OUTAGE, **SLOWLY)
    assert not was_parked(harness, job)
    harness.clear_faults()
    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.batch(job).attempt > harness.context(job).policy.attempts_max
    assert harness.delivered_once(job)


def test_outage_beyond_the_bound_of_the_connection_needs_attention(harness: Harness) -> None:
    harness.sync("guests", NO_WAIT)
    harness.arm("guests", kind="refuse", times=0)
    began = harness.services.clock.now()

    batch = drive(harness, "guests", OUTAGE, retry_for=timedelta(hours=2))

    assert batch.phase is Phase.NEEDS_ATTENTION
    assert timedelta(hours=2) < harness.services.clock.now() - began < timedelta(hours=3)
    assert "for 2:00:00 or more" in batch.reason
    harness.clear_faults()
    harness.resume("guests")
    assert harness.delivered_once("guests")


def test_batch_whose_deadline_passed_without_a_process_is_asked_about(harness: Harness) -> None:
    harness.sync("guests", NO_WAIT)
    harness.resume("guests", NO_WAIT)
    harness.advance(harness.context("guests").policy.deadline * 2)

    harness.sync("guests", WAIT)

    assert harness.batch("guests").phase is Phase.DELIVERED
    assert not was_parked(harness, "guests")


def test_results_that_are_not_ready_for_days_are_no_failure(harness: Harness) -> None:
    harness.arm("vehicles", kind="replace_answer", status=200, text='{"status": "COMPLETED"}', times=0, **REPORTS)
    harness.sync("vehicles", NO_WAIT)

    batch = drive(harness, "vehicles", timedelta(days=2), **SLOWLY)
    assert (batch.phase, batch.failures, batch.pending_intent) == (Phase.FINISHED, 0, None)
    assert "cannot be downloaded yet" in batch.reason
    assert batch.not_before is not None
    assert not list(harness.app.journal.audit())
    harness.clear_faults()
    harness.sync("vehicles", WAIT)

    assert harness.batch("vehicles").phase is Phase.DELIVERED
    assert not was_parked(harness, "vehicles")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("status", [200, 302, 403])
def test_portal_in_front_of_status_requests_is_survived(harness: Harness, job: str, status: int) -> None:
    harness.sync(job, NO_WAIT)
    page = "<html><body>Please log in.</body></html>"
    harness.arm(job, kind="status", status=status, text=page, times=5, **POLL[job])

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert not was_parked(harness, job)
    assert harness.delivered_once(job)
