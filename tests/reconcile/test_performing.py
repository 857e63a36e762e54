"""A step goes in and what happened comes out: what the vendor says of a slot, and what must never be sent or asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from office import ALLOCATE, AT_ONCE, PATIENT, POLL, THROTTLED, UPLOAD, Office

from lading.core import steps, tickets
from lading.core.batch import Batch, Phase, Verb
from lading.core.events import Allocated, DidNotHappen, GaveUp, SlotLost, Unanswered, Uploaded
from lading.errors import EnvironmentProblem, StateError
from lading.reconcile.cancel import cancel
from lading.reconcile.perform import perform

if TYPE_CHECKING:
    from kit.deployment import Deployment
    from lading.reconcile.context import JobContext


def allocated(office: Office, job: str = "guests") -> Batch:
    """Return a batch that has a slot with nothing in it, as another process finds it: without the slot's URL."""
    office.arm(job, times=0, **THROTTLED)
    office.sync(job)
    office.calm()
    assert office.batch(job).phase is Phase.ALLOCATED
    return office.batch(job)


def fill(batch: Batch, context: JobContext) -> None:
    """Put the file into the batch's slot behind the journal's back."""
    ticket = tickets.ticket(batch.job, batch.file.digest, batch.attempt)
    slot = context.vendor.find(ticket, batch.target)
    assert slot is not None
    context.vendor.upload(slot, batch.file)


def test_a_slot_is_renewed_by_asking_for_its_url_again(office: Office) -> None:
    batch = allocated(office)
    event = perform(steps.RenewSlot(), batch, office.context("guests"), office.world)
    assert isinstance(event, Allocated)
    assert event.slot.url is not None


def test_slot_that_the_vendor_does_not_know_is_asked_about_again_and_not_left(office: Office) -> None:
    batch = allocated(office)
    office.arm("guests", kind="vanish", method="GET", path=r"^/v2/batches/[0-9a-f]{8}-")

    event = perform(steps.RenewSlot(), batch, office.context("guests"), office.world)

    assert isinstance(event, Unanswered)
    assert "does not know a slot that it gave" in event.reason
    office.world.memory.record(batch, event)
    office.resume("guests")
    assert office.batch("guests").attempt == 1
    assert office.delivered_once("guests")


@pytest.mark.parametrize("step", [steps.RenewSlot(), steps.FindSlot(), steps.DropSlot("the slot ran out")])
@pytest.mark.parametrize("minutes", [0, 5, 600])
def test_file_found_in_the_slot_is_never_sent_again(office: Office, step: steps.Step, minutes: int) -> None:
    """Whatever this journal knew: a state folder that was restored from a backup knows less than the vendor."""
    batch, context = allocated(office), office.context("guests")
    fill(batch, context)
    office.pass_by(timedelta(minutes=minutes))

    event = perform(step, batch, context, office.world)

    assert isinstance(event, Uploaded)
    office.world.memory.record(batch, event)
    office.resume("guests")
    assert office.batch("guests").attempt == 1
    assert office.delivered_once("guests")


def test_slot_that_is_empty_and_has_no_url_is_left(office: Office) -> None:
    batch, reason = allocated(office), "the slot ran out"
    event = perform(steps.DropSlot(reason), batch, office.context("guests"), office.world)
    assert isinstance(event, SlotLost)
    assert (event.reason, event.verb) == (reason, None)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("status", [302, 408, 429, 503, 403, 404])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_gateway_answer_after_the_effect_delivers_once(office: Office, job: str, status: int, verb: str) -> None:
    where = ALLOCATE[job] if verb == "allocate" else UPLOAD
    office.arm(job, kind="replace_answer", status=status, retry_after=40 if status in (429, 503) else None, **where)

    office.sync(job, PATIENT)

    assert office.batch(job).phase is Phase.DELIVERED
    assert office.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("status", [302, 408, 429, 503, 403])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_gateway_answer_before_the_effect_delivers_once(office: Office, job: str, status: int, verb: str) -> None:
    where = ALLOCATE[job] if verb == "allocate" else UPLOAD
    office.arm(job, kind="status", status=status, times=3, text="<html>Your session has expired.</html>", **where)

    office.sync(job, PATIENT)

    assert office.batch(job).phase is Phase.DELIVERED
    assert office.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_call_in_doubt_waits_as_long_as_the_gateway_asked(office: Office, job: str, verb: str) -> None:
    where = ALLOCATE[job] if verb == "allocate" else UPLOAD
    office.arm(job, kind="throttle", retry_after=4000, **where)
    begun = office.world.clock.now()

    office.sync(job)

    batch = office.batch(job)
    assert batch.doubt is Verb(verb)
    assert batch.not_before is not None
    assert (batch.not_before - begun).total_seconds() > 3900
    office.resume(job)
    assert office.batch(job).phase is Phase.DELIVERED
    assert office.delivered_once(job)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_vendor_that_throttles_for_an_hour_is_waited_for(office: Office, job: str) -> None:
    office.arm(job, kind="throttle", retry_after=300, times=12, **ALLOCATE[job])

    office.sync(job, PATIENT)

    assert office.batch(job).phase is Phase.DELIVERED
    assert office.delivered_once(job)


def test_page_of_a_gateway_at_every_upload_ends_with_a_person(office: Office) -> None:
    office.arm("guests", kind="status", status=403, text="<html>No.</html>", times=0, **UPLOAD)
    begun = office.world.clock.now()

    office.sync("guests", PATIENT)

    assert office.batch("guests").phase is Phase.STUCK
    assert office.world.clock.now() - begun < timedelta(hours=3)
    assert office.deployment.delivered("sitecore-cdp") == {}


@pytest.mark.parametrize("harm", ["gone", "changed", "longer"])
def test_a_sealed_file_that_is_not_what_was_sealed_is_not_sent_and_goes_when_it_is_restored(
    office: Office, harm: str
) -> None:
    batch = allocated(office)
    file = Path(batch.file.path)
    sealed = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(sealed + b"x" if harm == "longer" else bytes([sealed[0] ^ 1]) + sealed[1:])
    office.pass_by(office.context("guests").policy.backoff_most)

    outcome = office.resume("guests", AT_ONCE)

    assert isinstance(outcome.error, EnvironmentProblem)
    assert "its rows were not sent" in outcome.error.hint
    assert office.deployment.delivered("sitecore-cdp") == {}
    assert office.batch("guests").phase is Phase.ALLOCATED
    file.write_bytes(sealed)
    office.resume("guests", PATIENT)
    assert office.delivered_once("guests")


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_without_its_evidence_a_batch_is_not_sent_and_can_be_given_up(office: Office, harm: str) -> None:
    """What the vendor says of the rows could not be read: nobody would know which were accepted."""
    batch = allocated(office)
    evidence = Path(batch.file.evidence)
    if harm == "gone":
        evidence.unlink()
    else:
        evidence.write_bytes(evidence.read_bytes() + b"x")
    office.pass_by(office.context("guests").policy.backoff_most)

    outcome = office.sync("guests", AT_ONCE)

    assert isinstance(outcome.error, StateError)
    assert "its rows were not sent" in outcome.error.hint
    assert office.deployment.delivered("sitecore-cdp") == {}
    assert (office.batch("guests").phase, office.batch("guests").doubt) == (Phase.ALLOCATED, None)
    with office.world.lease("guests"):
        cancel(office.batch("guests"), office.context("guests"), office.world)
    assert office.resume("guests").runs[0].settlement.rejected == batch.file.rows
    assert office.sync("guests", PATIENT).runs[-1].settlement.accepted == batch.file.rows
    assert office.delivered_once("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_what_a_vendor_refuses_for_good_is_given_up_and_named(office: Office, job: str) -> None:
    office.arm(job, kind="status", status=400, text='{"message": "scheduledDate is in the past"}', **ALLOCATE[job])
    office.sync(job)
    (gave_up,) = [one for one in office.app.journal.events(office.batch(job).id) if isinstance(one, GaveUp)]
    assert gave_up.verb is Verb.ALLOCATE
    assert "400" in gave_up.reason
    assert "scheduledDate" in gave_up.reason


@pytest.mark.parametrize("step", [steps.Rest(), "wait"])
def test_to_rest_and_to_wait_are_nothing_to_be_done(office: Office, step: steps.Step | str) -> None:
    wanted = steps.Wait(office.world.clock.now()) if isinstance(step, str) else step
    before = office.requests()
    with pytest.raises(AssertionError, match="is not to be performed"):
        perform(wanted, allocated(office), office.context("guests"), office.world)
    assert not any(one.startswith("DELETE") for one in office.requests()[len(before) :])


def test_a_batch_without_a_slot_is_asked_nothing_about_it(office: Office) -> None:
    batch = replace(allocated(office), slot=None)
    before = office.requests()
    with pytest.raises(AssertionError, match=f"batch {batch.id} is allocated without a slot"):
        perform(steps.Poll(), batch, office.context("guests"), office.world)
    assert office.requests() == before


def test_a_refusal_says_when_to_look_again_and_the_vendor_may_ask_for_more(office: Office) -> None:
    office.arm("guests", kind="throttle", retry_after=4000, **POLL["guests"])
    office.sync("guests", AT_ONCE)
    office.pass_by(timedelta(minutes=1))
    office.resume("guests", AT_ONCE)
    batch = office.batch("guests")
    assert (batch.failures, batch.phase) == (1, Phase.SUBMITTED)
    assert batch.not_before is not None
    assert (batch.not_before - batch.prepared_at).total_seconds() > 3900


def test_another_process_goes_on_where_this_one_left_a_batch(deployment: Deployment) -> None:
    with Office.opened(deployment) as first:
        allocated(first)
    with Office.opened(deployment) as second:
        second.pass_by(second.context("guests").policy.backoff_most)
        second.resume("guests")
        assert second.delivered_once("guests")
        assert second.batch("guests").phase is Phase.DELIVERED


def test_a_slot_that_expired_before_the_upload_is_left_for_the_next_one(office: Office) -> None:
    office.arm("guests", kind="expire", **UPLOAD)
    office.sync("guests", PATIENT)
    assert (office.batch("guests").attempt, office.batch("guests").phase) == (2, Phase.DELIVERED)
    assert office.delivered_once("guests")


def test_an_allocation_that_did_not_arrive_is_asked_about_and_then_made(office: Office) -> None:
    office.arm("guests", kind="reset", **ALLOCATE["guests"])
    office.sync("guests", PATIENT)
    batch = office.batch("guests")
    told = [one.reason for one in office.app.journal.events(batch.id) if isinstance(one, DidNotHappen)]
    assert told == ["the vendor knows no such batch"]
    assert (batch.attempt, batch.phase) == (1, Phase.DELIVERED)
    assert office.delivered_once("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_an_upload_that_did_not_arrive_is_done_again_when_the_vendor_says_that_its_slot_is_empty(
    office: Office, job: str
) -> None:
    office.arm(job, kind="break_upload", **UPLOAD)

    office.sync(job, PATIENT)

    batch = office.batch(job)
    told = [one.reason for one in office.app.journal.events(batch.id) if isinstance(one, DidNotHappen)]
    assert told == ["the slot is empty: the upload did not arrive"]
    assert (batch.attempt, batch.phase) == (1, Phase.DELIVERED)
    assert office.delivered_once(job)


def test_a_vendor_that_has_forgotten_the_slot_of_an_upload_in_doubt_has_said_nothing_about_the_file(
    office: Office,
) -> None:
    office.arm("guests", kind="lose_answer", **UPLOAD)
    office.arm("guests", kind="vanish", times=4, **POLL["guests"])

    office.sync("guests", PATIENT)

    batch = office.batch("guests")
    told = [one.reason for one in office.app.journal.events(batch.id) if isinstance(one, Unanswered)]
    assert any("the vendor does not know slot" in one for one in told)
    assert batch.phase is Phase.DELIVERED
    assert office.delivered_once("guests")
