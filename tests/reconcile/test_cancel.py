"""Cancellation of batches: locally, at the vendor, or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from harness import ALLOCATE, NO_WAIT, POLL, THROTTLED, UPLOAD, WAIT

from batchsync.core import naming
from batchsync.core.batch import Phase, Verb, Verdict
from batchsync.core.events import NotApplied, Reopened
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import ExitCode, UnavailableError, UsageError
from batchsync.reconcile.cancel import cancel
from batchsync.reconcile.sync import resume
from kit.deployment import BDP

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.core.batch import Batch

#: Faults of allocations: refused permanently, and outcome unknown.
REFUSED = {"kind": "status", "status": 400, "text": '{"message": "no"}', **ALLOCATE["guests"]}
IN_DOUBT = {"kind": "refuse", **ALLOCATE["guests"]}
#: Time after the upload when a batch waits at the vendor, where it can be cancelled.
SCHEDULED = timedelta(minutes=15)


def cancelled(harness: Harness, job: str) -> Batch:
    """Cancel the job's batch as the command does."""
    with harness.services.lease(job):
        return cancel(harness.batch(job), harness.context(job), harness.services)


@pytest.mark.parametrize(
    ("refused", "phase"),
    [(REFUSED, Phase.PREPARED), (IN_DOUBT, Phase.PREPARED), (THROTTLED, Phase.ALLOCATED)],
    ids=["unsent", "allocation-in-doubt", "allocated"],
)
def test_cancel_of_unsent_batch_sends_its_rows_with_the_next_sync(
    harness: Harness, refused: dict[str, Any], phase: Phase
) -> None:
    harness.arm("guests", times=0, **refused)
    harness.sync("guests")
    harness.clear_faults()
    batch, before = harness.batch("guests"), harness.requests()
    assert (batch.parked_from or batch.phase) is phase

    after = cancelled(harness, "guests")

    assert (after.phase, after.verdict, after.allocation) == (Phase.FINISHED, Verdict.CANCELLED, None)
    assert len(harness.requests()) - len(before) == 1, "its status was read, and nothing else was requested"
    outcome = harness.resume("guests", NO_WAIT)
    assert outcome.runs[0].settlement.outcomes[RowOutcome.REJECTED] == after.file.rows
    second = harness.sync("guests", WAIT)
    assert second.runs[-1].settlement.outcomes[RowOutcome.ACCEPTED] == after.file.rows
    assert harness.delivered_once("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("declared", [True, False])
def test_cancel_is_refused_if_the_file_was_uploaded(harness: Harness, job: str, *, declared: bool) -> None:
    batch = harness.left_in_allocation(job, filled=True)

    with harness.services.lease(job), pytest.raises(UsageError):
        cancel(batch, harness.context(job) if declared else None, harness.services)

    assert harness.batch(job) == batch
    harness.resume(job)
    assert harness.batch(job).attempt == 1
    assert harness.delivered_once(job)


def test_cancel_is_refused_if_the_vendor_has_the_file_of_a_batch_without_calls(harness: Harness) -> None:
    harness.arm("guests", **REFUSED)
    harness.sync("guests")
    batch, context = harness.batch("guests"), harness.context("guests")
    idempotency_key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
    context.vendor.upload(context.vendor.allocate(idempotency_key, batch.file, batch.target), batch.file)

    with pytest.raises(UsageError, match="its vendor has the file"):
        cancelled(harness, "guests")

    harness.resume("guests")
    assert harness.delivered_once("guests")


def test_unsent_batch_is_cancelled_if_the_vendor_does_not_answer(harness: Harness) -> None:
    harness.arm("guests", **REFUSED)
    harness.sync("guests")
    now, store = harness.services.clock.now(), harness.services.store
    with harness.services.lease("guests"):
        reopened = store.record(harness.batch("guests"), Reopened(at=now, reason="manually"))
        store.record(reopened, NotApplied(at=now, verb=Verb.ALLOCATE, reason="no such batch"))
    harness.arm("guests", kind="refuse", times=0)
    assert cancelled(harness, "guests").verdict is Verdict.CANCELLED


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_cancel_is_refused_if_the_status_of_the_allocation_is_unknown(harness: Harness, job: str) -> None:
    batch = harness.left_in_allocation(job)
    harness.arm(job, kind="refuse", **POLL[job])

    with pytest.raises(UnavailableError, match="does not report whether it has the file"):
        cancelled(harness, job)

    assert harness.batch(job) == batch
    assert cancelled(harness, job).verdict is Verdict.CANCELLED


def test_submitted_batch_is_cancelled_by_the_vendor_and_polled_to_its_end(harness: Harness) -> None:
    harness.deployment.mocks.switch(BDP, scheduled=36_000)
    harness.sync("vehicles")
    harness.advance(SCHEDULED)
    assert harness.batch("vehicles").phase is Phase.SUBMITTED

    assert cancelled(harness, "vehicles") == harness.batch("vehicles")
    outcome = harness.resume("vehicles")

    assert (harness.batch("vehicles").phase, harness.batch("vehicles").verdict) == (Phase.DELIVERED, Verdict.CANCELLED)
    assert (
        outcome.runs[0].settlement.outcomes[RowOutcome.ACCEPTED],
        outcome.runs[0].settlement.outcomes[RowOutcome.UNKNOWN],
    ) == (0, 0)


def test_unsupported_cancel_is_reported_and_batch_proceeds(harness: Harness) -> None:
    harness.sync("guests")
    before = harness.batch("guests")

    with pytest.raises(
        UnavailableError, match=r"the vendor did not cancel batch .* no documented call to cancel"
    ) as reported:
        cancelled(harness, "guests")

    assert "batchsync resume guests" in reported.value.hint
    assert harness.batch("guests") == before
    harness.resume("guests")
    assert harness.delivered_once("guests")


def test_cancel_of_batch_in_doubt_is_refused(harness: Harness) -> None:
    harness.arm("guests", kind="lose_answer", **UPLOAD)
    harness.sync("guests")
    assert harness.batch("guests").pending_intent is Verb.UPLOAD

    with pytest.raises(UsageError, match=r"too late to cancel .*with an upload in doubt"):
        cancelled(harness, "guests")

    assert harness.batch("guests").pending_intent is Verb.UPLOAD
    harness.resume("guests")
    assert harness.delivered_once("guests")


def test_cancel_of_delivered_batch_is_refused(harness: Harness) -> None:
    harness.sync("guests", WAIT)
    with pytest.raises(UsageError, match=r"too late to cancel .*delivered"):
        cancelled(harness, "guests")


def parked(harness: Harness, job: str, at: dict[str, str]) -> Batch:
    """Return a batch that was refused permanently at this request."""
    harness.arm(job, kind="status", status=400, text='{"message": "no"}', **at)
    assert harness.sync(job).exit_code is ExitCode.NEEDS_ATTENTION
    assert harness.batch(job).phase is Phase.NEEDS_ATTENTION
    return harness.batch(job)


def test_cancel_of_unsent_parked_batch_is_local(harness: Harness) -> None:
    batch = parked(harness, "guests", ALLOCATE["guests"])

    assert cancelled(harness, "guests").verdict is Verdict.CANCELLED

    assert harness.resume("guests").runs[0].settlement.outcomes[RowOutcome.REJECTED] == batch.file.rows
    assert [type(event).__name__ for event in harness.app.journal.events(batch.id)][-4:] == [
        "Reopened",
        "Cancelled",
        "Collected",
        "Delivered",
    ]


def test_cancel_of_sent_parked_batch_is_requested_and_followed(harness: Harness) -> None:
    harness.deployment.mocks.switch(BDP, scheduled=36_000)
    harness.sync("vehicles")
    harness.advance(SCHEDULED)
    harness.arm("vehicles", kind="status", status=400, **POLL["vehicles"])
    harness.resume("vehicles", NO_WAIT)
    assert harness.batch("vehicles").phase is Phase.NEEDS_ATTENTION
    harness.clear_faults()

    after = cancelled(harness, "vehicles")

    assert after.phase is Phase.SUBMITTED
    harness.sync("vehicles", NO_WAIT)
    after_sync = harness.app.journal.batch(after.id)
    assert after_sync is not None
    assert (after_sync.phase, after_sync.verdict) == (Phase.DELIVERED, Verdict.CANCELLED)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_refused_cancel_leaves_batch_parked(harness: Harness, job: str) -> None:
    """Only `resume` or `resolve` continue it, not a cancellation that failed."""
    harness.arm(job, kind="lose_answer", **UPLOAD)
    harness.sync(job)
    context = harness.context(job)
    context = replace(context, policy=replace(context.policy, retry_for=timedelta(minutes=1)))
    harness.arm(job, kind="refuse", times=0, **POLL[job])
    while harness.batch(job).phase is not Phase.NEEDS_ATTENTION:
        harness.advance(context.policy.backoff_max)
        resume([context], harness.services, NO_WAIT)
    harness.clear_faults()
    before = harness.batch(job)
    assert before.pending_intent is Verb.UPLOAD

    with pytest.raises(UsageError, match=r"too late to cancel .*with an upload in doubt"):
        cancelled(harness, job)

    assert harness.batch(job) == before
