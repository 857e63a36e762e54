"""Performing single steps: allocations, uploads in doubt, and files that must not be sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness import ALLOCATE, NO_WAIT, POLL, THROTTLED, UPLOAD, WAIT, Harness

from batchsync.core import naming, steps
from batchsync.core.batch import Batch, Phase, Verb
from batchsync.core.events import Allocated, AllocationLost, NotApplied, OutcomeUnknown, Parked, Uploaded
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import StateError, UnavailableError
from batchsync.reconcile.cancel import cancel
from batchsync.reconcile.perform import perform

if TYPE_CHECKING:
    from batchsync.reconcile.services import JobContext
    from kit.deployment import Deployment


def allocated(harness: Harness, job: str = "guests") -> Batch:
    """Return a batch with an empty allocation, as another process finds it: without the URL."""
    harness.arm(job, times=0, **THROTTLED)
    harness.sync(job)
    harness.clear_faults()
    assert harness.batch(job).phase is Phase.ALLOCATED
    return harness.batch(job)


def upload_unjournaled(batch: Batch, context: JobContext) -> None:
    """Upload the batch's file without journaling it."""
    idempotency_key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
    allocation = context.vendor.find(idempotency_key, batch.target)
    assert allocation is not None
    context.vendor.upload(allocation, batch.file)


def test_allocation_is_renewed_with_url(harness: Harness) -> None:
    batch = allocated(harness)
    event = perform(steps.RenewAllocation(), batch, harness.context("guests"), harness.services)
    assert isinstance(event, Allocated)
    assert event.allocation.url is not None


def test_allocation_unknown_to_the_vendor_is_queried_again_and_kept(harness: Harness) -> None:
    batch = allocated(harness)
    harness.arm("guests", kind="vanish", method="GET", path=r"^/v2/batches/[0-9a-f]{8}-")

    event = perform(steps.RenewAllocation(), batch, harness.context("guests"), harness.services)

    assert isinstance(event, OutcomeUnknown)
    assert "does not know an allocation that it granted" in event.reason
    harness.services.store.record(batch, event)
    harness.resume("guests")
    assert harness.batch("guests").attempt == 1
    assert harness.delivered_once("guests")


@pytest.mark.parametrize(
    "step", [steps.RenewAllocation(), steps.FindAllocation(), steps.DropAllocation("the allocation expired")]
)
@pytest.mark.parametrize("minutes", [0, 5, 600])
def test_file_found_in_the_allocation_is_not_sent_again(harness: Harness, step: steps.Step, minutes: int) -> None:
    """As after the restore of a state folder from a backup made before the upload."""
    batch, context = allocated(harness), harness.context("guests")
    upload_unjournaled(batch, context)
    harness.advance(timedelta(minutes=minutes))

    event = perform(step, batch, context, harness.services)

    assert isinstance(event, Uploaded)
    harness.services.store.record(batch, event)
    harness.resume("guests")
    assert harness.batch("guests").attempt == 1
    assert harness.delivered_once("guests")


def test_empty_allocation_without_url_is_dropped(harness: Harness) -> None:
    batch, reason = allocated(harness), "the allocation expired"
    event = perform(steps.DropAllocation(reason), batch, harness.context("guests"), harness.services)
    assert isinstance(event, AllocationLost)
    assert (event.reason, event.verb) == (reason, None)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("status", [302, 408, 429, 503, 403, 404])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_gateway_answer_after_the_effect_delivers_once(harness: Harness, job: str, status: int, verb: str) -> None:
    request = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="replace_answer", status=status, retry_after=40 if status in (429, 503) else None, **request)

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("status", [302, 408, 429, 503, 403])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_gateway_answer_before_the_effect_delivers_once(harness: Harness, job: str, status: int, verb: str) -> None:
    request = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="status", status=status, times=3, text="<html>Your session has expired.</html>", **request)

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_call_in_doubt_waits_as_long_as_the_gateway_asked(harness: Harness, job: str, verb: str) -> None:
    request = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="throttle", retry_after=4000, **request)
    started = harness.services.clock.now()

    harness.sync(job)

    batch = harness.batch(job)
    assert batch.pending_intent is Verb(verb)
    assert batch.not_before is not None
    assert (batch.not_before - started).total_seconds() > 3900
    harness.resume(job)
    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_throttling_for_an_hour_is_survived(harness: Harness, job: str) -> None:
    harness.arm(job, kind="throttle", retry_after=300, times=12, **ALLOCATE[job])

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


def test_gateway_page_at_every_upload_needs_attention(harness: Harness) -> None:
    harness.arm("guests", kind="status", status=403, text="<html>No.</html>", times=0, **UPLOAD)
    started = harness.services.clock.now()

    harness.sync("guests", WAIT)

    assert harness.batch("guests").phase is Phase.NEEDS_ATTENTION
    assert harness.services.clock.now() - started < timedelta(hours=3)
    assert harness.deployment.delivered("sitecore-cdp") == {}


@pytest.mark.parametrize("damage", ["gone", "changed", "longer"])
def test_changed_batch_file_is_not_sent_until_restored(harness: Harness, damage: str) -> None:
    batch = allocated(harness)
    file = Path(batch.file.path)
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content + b"x" if damage == "longer" else bytes([content[0] ^ 1]) + content[1:])
    harness.advance(harness.context("guests").policy.backoff_max)

    outcome = harness.resume("guests", NO_WAIT)

    assert isinstance(outcome.error, UnavailableError)
    assert "nothing was sent" in outcome.error.hint
    assert harness.deployment.delivered("sitecore-cdp") == {}
    assert harness.batch("guests").phase is Phase.ALLOCATED
    file.write_bytes(content)
    harness.resume("guests", WAIT)
    assert harness.delivered_once("guests")


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_batch_without_row_manifest_is_not_sent_and_can_be_cancelled(harness: Harness, damage: str) -> None:
    """Without the manifest, the row log could not be joined to keys."""
    batch = allocated(harness)
    manifest = Path(batch.file.row_manifest)
    if damage == "gone":
        manifest.unlink()
    else:
        manifest.write_bytes(manifest.read_bytes() + b"x")
    harness.advance(harness.context("guests").policy.backoff_max)

    outcome = harness.sync("guests", NO_WAIT)

    assert isinstance(outcome.error, StateError)
    assert "nothing was sent" in outcome.error.hint
    assert harness.deployment.delivered("sitecore-cdp") == {}
    assert (harness.batch("guests").phase, harness.batch("guests").pending_intent) == (Phase.ALLOCATED, None)
    with harness.services.lease("guests"):
        cancel(harness.batch("guests"), harness.context("guests"), harness.services)
    assert harness.resume("guests").runs[0].settlement.outcomes[RowOutcome.REJECTED] == batch.file.rows
    assert harness.sync("guests", WAIT).runs[-1].settlement.outcomes[RowOutcome.ACCEPTED] == batch.file.rows
    assert harness.delivered_once("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_permanent_refusal_parks_the_batch_with_its_reason(harness: Harness, job: str) -> None:
    harness.arm(job, kind="status", status=400, text='{"message": "scheduledDate is in the past"}', **ALLOCATE[job])
    harness.sync(job)
    (parked,) = [event for event in harness.app.journal.events(harness.batch(job).id) if isinstance(event, Parked)]
    # A gateway may have refused after the allocation was granted.
    assert (parked.verb, harness.batch(job).pending_intent) == (None, Verb.ALLOCATE)
    assert "400" in parked.reason
    assert "scheduledDate" in parked.reason


@pytest.mark.parametrize("step", [steps.NoOp(), "wait"])
def test_noop_and_wait_cannot_be_performed(harness: Harness, step: steps.Step | str) -> None:
    value = steps.Wait(harness.services.clock.now()) if isinstance(step, str) else step
    before = harness.requests()
    with pytest.raises(AssertionError, match="cannot be performed"):
        perform(value, allocated(harness), harness.context("guests"), harness.services)
    assert not any(request.startswith("DELETE") for request in harness.requests()[len(before) :])


def test_batch_without_allocation_is_not_polled(harness: Harness) -> None:
    batch = replace(allocated(harness), allocation=None)
    before = harness.requests()
    with pytest.raises(AssertionError, match=f"batch {batch.id} is allocated and has no allocation"):
        perform(steps.Poll(), batch, harness.context("guests"), harness.services)
    assert harness.requests() == before


def test_throttled_poll_respects_retry_after(harness: Harness) -> None:
    harness.arm("guests", kind="throttle", retry_after=4000, **POLL["guests"])
    harness.sync("guests", NO_WAIT)
    harness.advance(timedelta(minutes=1))
    harness.resume("guests", NO_WAIT)
    batch = harness.batch("guests")
    assert (batch.failures, batch.phase) == (1, Phase.SUBMITTED)
    assert batch.not_before is not None
    assert (batch.not_before - batch.prepared_at).total_seconds() > 3900


def test_second_process_continues_batch(deployment: Deployment) -> None:
    with Harness.opened(deployment) as first:
        allocated(first)
    with Harness.opened(deployment) as second:
        second.advance(second.context("guests").policy.backoff_max)
        second.resume("guests")
        assert second.delivered_once("guests")
        assert second.batch("guests").phase is Phase.DELIVERED


def test_expired_allocation_is_replaced(harness: Harness) -> None:
    harness.arm("guests", kind="expire", **UPLOAD)
    harness.sync("guests", WAIT)
    assert (harness.batch("guests").attempt, harness.batch("guests").phase) == (2, Phase.DELIVERED)
    assert harness.delivered_once("guests")


def test_allocation_in_doubt_is_looked_up_and_repeated(harness: Harness) -> None:
    harness.arm("guests", kind="reset", **ALLOCATE["guests"])
    harness.sync("guests", WAIT)
    batch = harness.batch("guests")
    reported = [event.reason for event in harness.app.journal.events(batch.id) if isinstance(event, NotApplied)]
    assert reported == ["the vendor has no batch with this idempotency key"]
    assert (batch.attempt, batch.phase) == (1, Phase.DELIVERED)
    assert harness.delivered_once("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_upload_in_doubt_is_repeated_if_allocation_is_empty(harness: Harness, job: str) -> None:
    harness.arm(job, kind="break_upload", **UPLOAD)

    harness.sync(job, WAIT)

    batch = harness.batch(job)
    reported = [event.reason for event in harness.app.journal.events(batch.id) if isinstance(event, NotApplied)]
    assert reported == ["the allocation is empty: the upload did not arrive"]
    assert (batch.attempt, batch.phase) == (1, Phase.DELIVERED)
    assert harness.delivered_once(job)


def test_upload_stays_in_doubt_if_allocation_is_not_found(
    harness: Harness,
) -> None:
    harness.arm("guests", kind="lose_answer", **UPLOAD)
    harness.arm("guests", kind="vanish", times=4, **POLL["guests"])

    harness.sync("guests", WAIT)

    batch = harness.batch("guests")
    reasons = [event.reason for event in harness.app.journal.events(batch.id) if isinstance(event, OutcomeUnknown)]
    assert any("the vendor does not know allocation" in reason for reason in reasons)
    assert batch.phase is Phase.DELIVERED
    assert harness.delivered_once("guests")
