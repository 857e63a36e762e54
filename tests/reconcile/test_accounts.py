"""What one account holds says nothing of another, and a batch of an earlier account stands in nobody's way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from office import ALLOCATE, AT_ONCE, PATIENT, POLL, UPLOAD

from kit.deployment import write_sources
from lading.core.batch import Phase, Verdict
from lading.errors import EnvironmentProblem
from lading.reconcile.cancel import cancel
from lading.reconcile.deliver import baseline_of
from lading.reconcile.resolve import resolve
from lading.reconcile.sync import resume, sync

if TYPE_CHECKING:
    from office import Office

    from lading.core.batch import Batch
    from lading.reconcile.context import JobContext
    from lading.reconcile.sync import JobOutcome


def elsewhere(office: Office, job: str) -> JobContext:
    """Return the job as it is after its connection was pointed to another account."""
    return replace(office.context(job), identity="another account")


def synced(office: Office, context: JobContext) -> JobOutcome:
    (outcome,) = sync([context], office.world, PATIENT)
    return outcome


def resumed(office: Office, context: JobContext) -> JobOutcome:
    (outcome,) = resume([context], office.world, PATIENT)
    return outcome


def of_unknown_outcome(office: Office) -> Batch:
    """Return a delivered batch of guests of which the vendor denies that it ever had it."""
    office.arm("guests", kind="vanish", times=0, **POLL["guests"])
    office.sync("guests", PATIENT)
    office.calm()
    batch = office.batch("guests")
    assert batch.books is not None
    assert batch.books.unknown == batch.file.rows
    return batch


def test_a_persons_word_on_a_batch_moves_the_baseline_of_the_account_that_it_was_for(office: Office) -> None:
    batch = of_unknown_outcome(office)
    today = elsewhere(office, "guests")
    write_sources(office.deployment.folder, guests=4)
    synced(office, today)
    write_sources(office.deployment.folder)
    theirs = office.app.journal.baseline("guests", today.identity)

    with office.world.lease("guests"):
        resolve(batch, today, office.world, delivered=True, reason="asked them")

    assert office.app.journal.baseline("guests", today.identity) == theirs
    settlement = office.sync("guests", PATIENT).runs[-1].settlement
    assert (settlement.unchanged, settlement.accepted) == (batch.file.rows, 0)


def test_an_unsent_batch_of_another_account_is_given_up_here_and_its_rows_go_to_the_account_of_today(
    office: Office,
) -> None:
    office.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    office.sync("guests")
    office.calm()
    batch, today = office.batch("guests"), elsewhere(office, "guests")
    stopped = synced(office, today).error
    assert isinstance(stopped, EnvironmentProblem)
    assert "belongs to another account" in stopped.message
    assert f"lading cancel {batch.id}" in stopped.hint
    assert office.batch("guests").id == batch.id

    with office.world.lease("guests"):
        cancel(batch, today, office.world)

    assert resumed(office, today).runs[0].settlement.rejected == batch.file.rows
    assert synced(office, today).runs[-1].settlement.accepted == batch.file.rows
    assert office.app.journal.baseline("guests", batch.identity) is None
    assert office.delivered_once("guests")


@pytest.mark.parametrize("delivered", [True, False])
def test_a_batch_that_another_account_has_is_not_asked_for_here_and_ends_on_a_persons_word(
    office: Office, *, delivered: bool
) -> None:
    office.sync("guests")
    batch, today = office.batch("guests"), elsewhere(office, "guests")
    assert batch.phase is Phase.SUBMITTED
    before = office.requests()
    with office.world.lease("guests"), pytest.raises(EnvironmentProblem, match="belongs to another account") as told:
        cancel(batch, today, office.world)
    assert f"lading resolve {batch.id} --resend` (or `--delivered`)" in told.value.hint
    assert office.requests() == before

    with office.world.lease("guests"):
        after = resolve(batch, today, office.world, delivered=delivered, reason="asked them")

    assert (after.phase, after.verdict) == (Phase.SETTLED, Verdict.DECLARED if delivered else Verdict.RESENT)
    settlement = resumed(office, today).runs[0].settlement
    assert (settlement.accepted, settlement.rejected) == ((29, 0) if delivered else (0, 29))
    told = office.world.data.lookup("G1", baseline_of(batch.job, batch.identity, office.world), [])
    assert (told.held, told.newest) == ((True, "accepted") if delivered else (False, "again"))
    assert office.app.journal.baseline("guests", today.identity) is None
    assert not office.app.journal.audit()


def test_the_answers_of_another_account_come_by_no_word(office: Office) -> None:
    office.sync("vehicles")
    batch, today = office.batch("vehicles"), elsewhere(office, "vehicles")

    stopped = resumed(office, today).error

    assert stopped is not None
    assert stopped.hint.endswith(f"`lading resolve {batch.id} --resend`")


def test_a_stuck_batch_of_another_account_stays_as_it_is_and_todays_account_gets_the_same_content(
    office: Office,
) -> None:
    office.arm("guests", kind="status", status=400, text='{"message": "no"}', **ALLOCATE["guests"])
    office.sync("guests")
    stuck, today = office.batch("guests"), elsewhere(office, "guests")
    assert stuck.phase is Phase.STUCK

    sent = synced(office, today)
    outcome = resumed(office, today)

    assert sent.error is None
    assert sent.runs[-1].settlement.accepted == stuck.file.rows
    assert outcome.error is not None
    assert "belongs to another account" in outcome.error.message
    assert office.app.journal.batch(stuck.id) == stuck
    assert office.resume("guests").error is None
    assert not office.app.journal.open_batches("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_slot_of_another_account_ends_on_a_persons_word(office: Office, job: str) -> None:
    """Its vendor cannot be asked what is in it, and a restored journal does not know it."""
    batch, today = office.left_in_a_slot(job, filled=True), elsewhere(office, job)

    with office.world.lease(job), pytest.raises(EnvironmentProblem, match="belongs to another account") as told:
        cancel(batch, today, office.world)
    assert f"lading resolve {batch.id} --resend" in told.value.hint
    with office.world.lease(job):
        after = resolve(batch, today, office.world, delivered=False, reason="asked them")

    assert (after.phase, after.verdict) == (Phase.SETTLED, Verdict.RESENT)


def others(office: Office) -> JobContext:
    """Return another job of the same connection, which takes one batch at a time."""
    context = office.context("guests", name="people")
    assert context.policy.in_flight_max == 1
    return context


def test_a_batch_that_another_account_has_keeps_no_other_job_waiting(office: Office) -> None:
    office.sync("guests")

    stopped, done = sync([elsewhere(office, "guests"), others(office)], office.world, PATIENT)

    assert stopped.error is not None
    assert done.runs[0].settlement.accepted == done.runs[0].batches[0].file.rows
    assert office.batch("guests").phase is Phase.SUBMITTED


def test_an_empty_slot_that_cannot_be_filled_keeps_no_other_job_waiting(office: Office) -> None:
    office.arm("guests", kind="refuse", times=0, **UPLOAD)
    office.sync("guests")
    office.calm()
    batch = office.batch("guests")
    assert batch.phase is Phase.ALLOCATED
    file = Path(batch.file.path)
    sealed = file.read_bytes()
    file.write_bytes(b"spoilt")

    stopped, done = sync([office.context("guests"), others(office)], office.world, PATIENT)

    assert stopped.error is not None
    assert done.runs[0].settlement.accepted == done.runs[0].batches[0].file.rows
    file.write_bytes(sealed)
    assert office.batch("guests").doubt is None
    office.resume("guests", AT_ONCE)
    assert office.batch("guests").phase is Phase.SUBMITTED
