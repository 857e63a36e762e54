"""An unknown outcome ends on a person's word, and what they said decides what is sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from office import ALLOCATE, AT_ONCE, PATIENT, POLL, UPLOAD, VENDOR_OF

from lading.core.batch import Phase, Verb, Verdict
from lading.errors import UsageError
from lading.reconcile.resolve import resolve

if TYPE_CHECKING:
    from office import Office

    from lading.core.batch import Batch


def in_doubt(office: Office, job: str, fault: str) -> Batch:
    """Return a stuck batch of which nobody knows whether its file arrived."""
    office.arm(job, kind=fault, **UPLOAD)
    office.sync(job)
    office.arm(job, kind="status", status=400, times=0, **POLL[job])
    office.pass_by(office.context(job).policy.ask_after)
    office.sync(job)
    office.calm()
    batch = office.batch(job)
    assert (batch.phase, batch.doubt) == (Phase.STUCK, Verb.UPLOAD)
    return batch


def resolved(office: Office, job: str, *, delivered: bool) -> Batch:
    with office.world.lease(job):
        return resolve(office.batch(job), office.context(job), office.world, delivered=delivered, reason="asked them")


def test_rows_that_a_person_says_the_vendor_has_are_accepted_and_never_sent_again(office: Office) -> None:
    rows = in_doubt(office, "guests", "lose_answer").file.rows

    after = resolved(office, "guests", delivered=True)

    assert (after.phase, after.verdict) == (Phase.SETTLED, Verdict.DECLARED)
    assert office.resume("guests").runs[0].settlement.accepted == rows
    office.sync("guests", PATIENT)
    assert office.delivered_once("guests")


def test_no_word_brings_the_answers_of_a_stuck_lookup_but_resume_does_when_the_vendor_has_them(office: Office) -> None:
    batch = in_doubt(office, "vehicles", "lose_answer")

    with pytest.raises(UsageError, match="is a lookup") as told:
        resolved(office, "vehicles", delivered=True)

    assert "`lading resume vehicles`" in told.value.hint
    assert office.batch("vehicles") == batch
    assert office.resume("vehicles").runs[0].settlement.unknown == 0
    assert office.delivered_once("vehicles")


def test_no_word_brings_the_answers_of_rows_that_a_lookup_lost_so_that_they_are_asked_for_anew(office: Office) -> None:
    office.arm("vehicles", kind="vanish", times=0, **POLL["vehicles"])
    office.sync("vehicles", PATIENT)
    office.calm()
    batch = office.batch("vehicles")

    with pytest.raises(UsageError, match="is a lookup") as told:
        resolved(office, "vehicles", delivered=True)

    assert told.value.hint == f"`lading resolve {batch.id} --resend` asks for them anew"
    resolved(office, "vehicles", delivered=False)
    assert office.sync("vehicles", PATIENT).runs[-1].settlement.accepted > 0


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_rows_that_a_person_says_the_vendor_lacks_are_sent_again(office: Office, job: str) -> None:
    rows = in_doubt(office, job, "break_upload").file.rows
    assert office.deployment.delivered(VENDOR_OF[job]) == {}

    after = resolved(office, job, delivered=False)

    assert (after.phase, after.verdict) == (Phase.SETTLED, Verdict.RESENT)
    assert office.resume(job).runs[0].settlement.rejected == rows
    office.sync(job, PATIENT)
    assert sum(office.deployment.delivered(VENDOR_OF[job]).values()) == rows
    assert office.delivered_once(job)


def test_unknown_rows_are_told_of_in_every_outcome_until_somebody_speaks(office: Office) -> None:
    office.arm("guests", kind="vanish", times=0, **POLL["guests"])
    lost = office.sync("guests", PATIENT)
    office.calm()
    again = office.sync("guests", PATIENT)

    batch = office.batch("guests")
    assert batch.books is not None
    assert batch.books.unknown == batch.file.rows
    assert lost.unresolved == again.unresolved == (batch,)

    resolved(office, "guests", delivered=True)
    assert office.sync("guests", PATIENT).unresolved == ()


def test_what_was_never_sent_is_cancelled_and_not_resolved(office: Office) -> None:
    office.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    office.sync("guests")
    with pytest.raises(UsageError, match="is prepared, and nothing about it is unknown") as told:
        resolved(office, "guests", delivered=False)
    assert f"lading cancel {office.batch('guests').id}" in told.value.hint


def test_what_is_known_or_on_its_way_is_not_for_a_person_to_say(office: Office) -> None:
    office.sync("guests", AT_ONCE)
    with pytest.raises(UsageError, match="is submitted, and nothing about it is unknown"):
        resolved(office, "guests", delivered=True)
    office.resume("guests")
    with pytest.raises(UsageError, match="is delivered, and nothing about it is unknown"):
        resolved(office, "guests", delivered=False)
