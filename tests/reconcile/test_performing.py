"""A step goes in and what happened comes out: what the vendor says of a slot, and what must never be sent or asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from office import ALLOCATE, AT_ONCE, PATIENT, POLL, UPLOAD, Office

from lading.core import steps, tickets
from lading.core.batch import Batch, Phase, Verb
from lading.core.events import Allocated, DidNotHappen, GaveUp, SlotLost, Unanswered
from lading.errors import EnvironmentProblem, StateError
from lading.reconcile.cancel import cancel
from lading.reconcile.perform import perform

if TYPE_CHECKING:
    from kit.deployment import Deployment
    from lading.reconcile.context import JobContext


def allocated(office: Office, job: str = "guests") -> Batch:
    """Return a batch that has a slot with nothing in it, as another process finds it: without the slot's URL."""
    office.arm(job, kind="refuse", times=0, **UPLOAD)
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


def test_a_slot_that_the_vendor_no_longer_knows_is_lost_and_the_next_one_is_filled_once(office: Office) -> None:
    batch = allocated(office)
    office.arm("guests", kind="vanish", method="GET", path=r"^/v2/batches/[0-9a-f]{8}-")

    event = perform(steps.RenewSlot(), batch, office.context("guests"), office.world)

    assert isinstance(event, SlotLost)
    assert event.reason == "the vendor no longer knows the slot"
    office.world.memory.record(batch, event)
    office.resume("guests")
    assert office.batch("guests").attempt == 2
    assert office.delivered_once("guests")


@pytest.mark.parametrize(("step", "verb"), [(steps.RenewSlot(), None), (steps.FindSlot(), Verb.ALLOCATE)])
def test_a_slot_without_a_url_can_take_no_file(office: Office, step: steps.Step, verb: Verb | None) -> None:
    """A vendor shows no URL where a file is already, whoever put it there."""
    batch, context = allocated(office), office.context("guests")
    fill(batch, context)
    office.pass_by(timedelta(minutes=5))

    event = perform(step, batch, context, office.world)

    assert isinstance(event, SlotLost)
    assert (event.reason, event.verb) == ("the vendor knows the slot but gives no URL for it", verb)


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
    office.arm(job, kind="status", status=400, **ALLOCATE[job])
    office.sync(job)
    (gave_up,) = [one for one in office.app.journal.events(office.batch(job).id) if isinstance(one, GaveUp)]
    assert gave_up.verb is Verb.ALLOCATE
    assert "400" in gave_up.reason


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
    office.arm("guests", kind="throttle", retry_after=4000, **ALLOCATE["guests"])
    office.sync("guests")
    batch = office.batch("guests")
    assert (batch.failures, batch.phase) == (1, Phase.PREPARED)
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
    assert any("does not know the slot whose upload is in doubt" in one for one in told)
    assert batch.phase is Phase.DELIVERED
    assert office.delivered_once("guests")
