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
from batchsync.errors import StateError, UnavailableError
from batchsync.reconcile.cancel import cancel
from batchsync.reconcile.perform import perform

if TYPE_CHECKING:
    from batchsync.reconcile.services import JobContext
    from kit.deployment import Deployment


def allocated(harness: Harness, job: str = "guests") -> Batch:
    """Return a batch that has a slot with nothing in it, as another process finds it: without the slot's URL."""
    harness.arm(job, times=0, **THROTTLED)
    harness.sync(job)
    harness.clear_faults()
    assert harness.batch(job).phase is Phase.ALLOCATED
    return harness.batch(job)


def fill(batch: Batch, context: JobContext) -> None:
    """Put the file into the batch's slot behind the journal's back."""
    idempotency_key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
    slot = context.vendor.find(idempotency_key, batch.target)
    assert slot is not None
    context.vendor.upload(slot, batch.file)


def test_allocation_is_renewed_with_url(harness: Harness) -> None:
    batch = allocated(harness)
    event = perform(steps.RenewAllocation(), batch, harness.context("guests"), harness.services)
    assert isinstance(event, Allocated)
    assert event.allocation.url is not None


def test_slot_that_the_vendor_does_not_know_is_asked_about_again_and_not_left(harness: Harness) -> None:
    batch = allocated(harness)
    harness.arm("guests", kind="vanish", method="GET", path=r"^/v2/batches/[0-9a-f]{8}-")

    event = perform(steps.RenewAllocation(), batch, harness.context("guests"), harness.services)

    assert isinstance(event, OutcomeUnknown)
    assert "does not know an allocation that it gave" in event.reason
    harness.services.store.record(batch, event)
    harness.resume("guests")
    assert harness.batch("guests").attempt == 1
    assert harness.delivered_once("guests")


@pytest.mark.parametrize(
    "step", [steps.RenewAllocation(), steps.FindAllocation(), steps.DropAllocation("the slot ran out")]
)
@pytest.mark.parametrize("minutes", [0, 5, 600])
def test_file_found_in_the_slot_is_never_sent_again(harness: Harness, step: steps.Step, minutes: int) -> None:
    """Whatever this journal knew: a state folder that was restored from a backup knows less than the vendor."""
    batch, context = allocated(harness), harness.context("guests")
    fill(batch, context)
    harness.advance(timedelta(minutes=minutes))

    event = perform(step, batch, context, harness.services)

    assert isinstance(event, Uploaded)
    harness.services.store.record(batch, event)
    harness.resume("guests")
    assert harness.batch("guests").attempt == 1
    assert harness.delivered_once("guests")


def test_slot_that_is_empty_and_has_no_url_is_left(harness: Harness) -> None:
    batch, reason = allocated(harness), "the slot ran out"
    event = perform(steps.DropAllocation(reason), batch, harness.context("guests"), harness.services)
    assert isinstance(event, AllocationLost)
    assert (event.reason, event.verb) == (reason, None)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("status", [302, 408, 429, 503, 403, 404])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_gateway_answer_after_the_effect_delivers_once(harness: Harness, job: str, status: int, verb: str) -> None:
    where = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="replace_answer", status=status, retry_after=40 if status in (429, 503) else None, **where)

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("status", [302, 408, 429, 503, 403])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_gateway_answer_before_the_effect_delivers_once(harness: Harness, job: str, status: int, verb: str) -> None:
    where = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="status", status=status, times=3, text="<html>Your session has expired.</html>", **where)

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_call_in_doubt_waits_as_long_as_the_gateway_asked(harness: Harness, job: str, verb: str) -> None:
    where = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="throttle", retry_after=4000, **where)
    begun = harness.services.clock.now()

    harness.sync(job)

    batch = harness.batch(job)
    assert batch.pending_intent is Verb(verb)
    assert batch.not_before is not None
    assert (batch.not_before - begun).total_seconds() > 3900
    harness.resume(job)
    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_vendor_that_throttles_for_an_hour_is_waited_for(harness: Harness, job: str) -> None:
    harness.arm(job, kind="throttle", retry_after=300, times=12, **ALLOCATE[job])

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)


def test_page_of_a_gateway_at_every_upload_ends_with_a_person(harness: Harness) -> None:
    harness.arm("guests", kind="status", status=403, text="<html>No.</html>", times=0, **UPLOAD)
    begun = harness.services.clock.now()

    harness.sync("guests", WAIT)

    assert harness.batch("guests").phase is Phase.NEEDS_ATTENTION
    assert harness.services.clock.now() - begun < timedelta(hours=3)
    assert harness.deployment.delivered("sitecore-cdp") == {}


@pytest.mark.parametrize("harm", ["gone", "changed", "longer"])
def test_changed_batch_file_is_not_sent_until_restored(harness: Harness, harm: str) -> None:
    batch = allocated(harness)
    file = Path(batch.file.path)
    sealed = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(sealed + b"x" if harm == "longer" else bytes([sealed[0] ^ 1]) + sealed[1:])
    harness.advance(harness.context("guests").policy.backoff_max)

    outcome = harness.resume("guests", NO_WAIT)

    assert isinstance(outcome.error, UnavailableError)
    assert "nothing was sent" in outcome.error.hint
    assert harness.deployment.delivered("sitecore-cdp") == {}
    assert harness.batch("guests").phase is Phase.ALLOCATED
    file.write_bytes(sealed)
    harness.resume("guests", WAIT)
    assert harness.delivered_once("guests")


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_batch_without_row_manifest_is_not_sent_and_can_be_cancelled(harness: Harness, harm: str) -> None:
    """What the vendor says of the rows could not be read: nobody would know which were accepted."""
    batch = allocated(harness)
    evidence = Path(batch.file.row_manifest)
    if harm == "gone":
        evidence.unlink()
    else:
        evidence.write_bytes(evidence.read_bytes() + b"x")
    harness.advance(harness.context("guests").policy.backoff_max)

    outcome = harness.sync("guests", NO_WAIT)

    assert isinstance(outcome.error, StateError)
    assert "nothing was sent" in outcome.error.hint
    assert harness.deployment.delivered("sitecore-cdp") == {}
    assert (harness.batch("guests").phase, harness.batch("guests").pending_intent) == (Phase.ALLOCATED, None)
    with harness.services.lease("guests"):
        cancel(harness.batch("guests"), harness.context("guests"), harness.services)
    assert harness.resume("guests").runs[0].settlement.rejected == batch.file.rows
    assert harness.sync("guests", WAIT).runs[-1].settlement.accepted == batch.file.rows
    assert harness.delivered_once("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_what_a_vendor_refuses_for_good_is_given_up_and_named(harness: Harness, job: str) -> None:
    harness.arm(job, kind="status", status=400, text='{"message": "scheduledDate is in the past"}', **ALLOCATE[job])
    harness.sync(job)
    (gave_up,) = [event for event in harness.app.journal.events(harness.batch(job).id) if isinstance(event, Parked)]
    assert gave_up.verb is Verb.ALLOCATE
    assert "400" in gave_up.reason
    assert "scheduledDate" in gave_up.reason


@pytest.mark.parametrize("step", [steps.NoOp(), "wait"])
def test_noop_and_wait_cannot_be_performed(harness: Harness, step: steps.Step | str) -> None:
    wanted = steps.Wait(harness.services.clock.now()) if isinstance(step, str) else step
    before = harness.requests()
    with pytest.raises(AssertionError, match="cannot be performed"):
        perform(wanted, allocated(harness), harness.context("guests"), harness.services)
    assert not any(request.startswith("DELETE") for request in harness.requests()[len(before) :])


def test_batch_without_allocation_is_not_polled(harness: Harness) -> None:
    batch = replace(allocated(harness), allocation=None)
    before = harness.requests()
    with pytest.raises(AssertionError, match=f"batch {batch.id} is allocated and has no allocation"):
        perform(steps.Poll(), batch, harness.context("guests"), harness.services)
    assert harness.requests() == before


def test_a_refusal_says_when_to_look_again_and_the_vendor_may_ask_for_more(harness: Harness) -> None:
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
    told = [event.reason for event in harness.app.journal.events(batch.id) if isinstance(event, OutcomeUnknown)]
    assert any("the vendor does not know allocation" in item for item in told)
    assert batch.phase is Phase.DELIVERED
    assert harness.delivered_once("guests")
