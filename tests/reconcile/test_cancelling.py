"""A batch is given up on a person's word: here, at the vendor, or not any more, and its rows stay in the books."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from office import ALLOCATE, AT_ONCE, PATIENT, POLL, THROTTLED, UPLOAD

from kit.deployment import BDP
from lading.core import tickets
from lading.core.batch import Phase, Verb, Verdict
from lading.errors import EnvironmentProblem, ExitCode, UsageError
from lading.reconcile.cancel import cancel

if TYPE_CHECKING:
    from office import Office

    from lading.core.batch import Batch


#: Allocations that are refused for good, and that may have been made.
REFUSED = {"kind": "status", "status": 400, "text": '{"message": "no"}', **ALLOCATE["guests"]}
UNCLEAR = {"kind": "refuse", **ALLOCATE["guests"]}
#: How long after its upload a batch waits for the vendor's next round, for hours: it can be cancelled there.
SCHEDULED = timedelta(minutes=15)


def cancelled(office: Office, job: str) -> Batch:
    """Cancel the job's batch as the command does."""
    with office.world.lease(job):
        return cancel(office.batch(job), office.context(job), office.world)


@pytest.mark.parametrize(
    ("refused", "phase"),
    [(REFUSED, Phase.PREPARED), (UNCLEAR, Phase.PREPARED), (THROTTLED, Phase.ALLOCATED)],
    ids=["unsent", "allocation-in-doubt", "in-a-slot"],
)
def test_a_batch_that_was_never_sent_is_given_up_here_and_its_rows_go_with_the_next_sync(
    office: Office, refused: dict[str, Any], phase: Phase
) -> None:
    office.arm("guests", times=0, **refused)
    office.sync("guests")
    office.calm()
    batch, before = office.batch("guests"), office.requests()
    assert (batch.stuck_from or batch.phase) is phase

    after = cancelled(office, "guests")

    assert (after.phase, after.verdict, after.slot) == (Phase.SETTLED, Verdict.CANCELLED, None)
    assert len(office.requests()) - len(before) == 1, "its status was read, and nothing else was asked"
    outcome = office.resume("guests", AT_ONCE)
    assert outcome.runs[0].settlement.rejected == after.file.rows
    again = office.sync("guests", PATIENT)
    assert again.runs[-1].settlement.accepted == after.file.rows
    assert office.delivered_once("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("declared", [True, False])
def test_batch_whose_file_is_in_its_slot_is_not_given_up_here(office: Office, job: str, *, declared: bool) -> None:
    batch = office.left_in_a_slot(job, filled=True)

    with office.world.lease(job), pytest.raises(UsageError):
        cancel(batch, office.context(job) if declared else None, office.world)

    assert office.batch(job) == batch
    office.resume(job)
    assert office.batch(job).attempt == 1
    assert office.delivered_once(job)


def test_batch_of_a_backup_before_its_allocation_is_not_given_up_when_the_vendor_has_its_file(office: Office) -> None:
    office.arm("guests", **REFUSED)
    office.sync("guests")
    batch, context = office.batch("guests"), office.context("guests")
    ticket = tickets.ticket(batch.job, batch.file.digest, batch.attempt)
    context.vendor.upload(context.vendor.allocate(ticket, batch.file, batch.target), batch.file)

    with pytest.raises(UsageError, match="its vendor has the file"):
        cancelled(office, "guests")

    office.resume("guests")
    assert office.delivered_once("guests")


def test_unsent_batch_is_given_up_also_when_its_vendor_does_not_answer(office: Office) -> None:
    office.arm("guests", **REFUSED)
    office.sync("guests")
    office.arm("guests", kind="refuse", times=0)
    assert cancelled(office, "guests").verdict is Verdict.CANCELLED


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_batch_is_not_given_up_while_its_vendor_does_not_say_what_is_in_its_slot(office: Office, job: str) -> None:
    batch = office.left_in_a_slot(job)
    office.arm(job, kind="refuse", **POLL[job])

    with pytest.raises(EnvironmentProblem, match="does not say whether it has the file"):
        cancelled(office, job)

    assert office.batch(job) == batch
    assert cancelled(office, job).verdict is Verdict.CANCELLED


def test_a_batch_that_the_vendor_has_is_cancelled_there_and_followed_to_its_end(office: Office) -> None:
    office.deployment.mocks.switch(BDP, scheduled=36_000)
    office.sync("vehicles")
    office.pass_by(SCHEDULED)
    assert office.batch("vehicles").phase is Phase.SUBMITTED

    assert cancelled(office, "vehicles") == office.batch("vehicles")
    outcome = office.resume("vehicles")

    assert (office.batch("vehicles").phase, office.batch("vehicles").verdict) == (Phase.DELIVERED, Verdict.CANCELLED)
    assert (outcome.runs[0].settlement.accepted, outcome.runs[0].settlement.unknown) == (0, 0)


def test_a_vendor_that_does_not_cancel_is_told_in_its_own_words_and_the_batch_goes_on(office: Office) -> None:
    office.sync("guests")
    before = office.batch("guests")

    with pytest.raises(EnvironmentProblem, match=r"the vendor did not cancel batch .* no way to cancel") as told:
        cancelled(office, "guests")

    assert "lading resume guests" in told.value.hint
    assert office.batch("guests") == before
    office.resume("guests")
    assert office.delivered_once("guests")


def test_an_upload_in_doubt_is_not_cancelled_and_not_forgotten(office: Office) -> None:
    office.arm("guests", kind="lose_answer", **UPLOAD)
    office.sync("guests")
    assert office.batch("guests").doubt is Verb.UPLOAD

    with pytest.raises(UsageError, match="with an upload in doubt: too late to cancel it"):
        cancelled(office, "guests")

    assert office.batch("guests").doubt is Verb.UPLOAD
    office.resume("guests")
    assert office.delivered_once("guests")


def test_a_batch_that_is_over_cannot_be_cancelled(office: Office) -> None:
    office.sync("guests", PATIENT)
    with pytest.raises(UsageError, match="is delivered: too late to cancel it"):
        cancelled(office, "guests")


def stuck(office: Office, job: str, at: dict[str, str]) -> Batch:
    """Return a batch that was refused for good at this request."""
    office.arm(job, kind="status", status=400, text='{"message": "no"}', **at)
    assert office.sync(job).exit_code is ExitCode.ENVIRONMENT
    assert office.batch(job).phase is Phase.STUCK
    return office.batch(job)


def test_a_stuck_batch_that_was_never_sent_is_given_up_here(office: Office) -> None:
    batch = stuck(office, "guests", ALLOCATE["guests"])

    assert cancelled(office, "guests").verdict is Verdict.CANCELLED

    assert office.resume("guests").runs[0].settlement.rejected == batch.file.rows
    assert [type(one).__name__ for one in office.app.journal.events(batch.id)][-4:] == [
        "Reopened",
        "Withdrawn",
        "Collected",
        "Delivered",
    ]


def test_a_stuck_batch_that_the_vendor_has_is_cancelled_there_and_goes_on(office: Office) -> None:
    office.deployment.mocks.switch(BDP, scheduled=36_000)
    office.sync("vehicles")
    office.pass_by(SCHEDULED)
    office.arm("vehicles", kind="status", status=400, **POLL["vehicles"])
    office.resume("vehicles", AT_ONCE)
    assert office.batch("vehicles").phase is Phase.STUCK
    office.calm()

    after = cancelled(office, "vehicles")

    assert after.phase is Phase.SUBMITTED
    office.sync("vehicles", AT_ONCE)
    known = office.app.journal.batch(after.id)
    assert known is not None
    assert (known.phase, known.verdict) == (Phase.DELIVERED, Verdict.CANCELLED)


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_a_cancel_that_is_refused_leaves_a_stuck_batch_stuck(office: Office, job: str) -> None:
    """Only a person's `resume` or `resolve` lets it go on; a command that failed is none."""
    office.arm(job, kind="lose_answer", **UPLOAD)
    office.sync(job)
    policy = office.context(job).policy
    office.arm(job, kind="refuse", times=0, **POLL[job])
    while office.batch(job).phase is not Phase.STUCK:
        office.pass_by(policy.backoff_most)
        office.resume(job, AT_ONCE)
    office.calm()
    before = office.batch(job)
    assert before.doubt is Verb.UPLOAD

    with pytest.raises(UsageError, match="with an upload in doubt: too late to cancel it"):
        cancelled(office, job)

    assert office.batch(job) == before
