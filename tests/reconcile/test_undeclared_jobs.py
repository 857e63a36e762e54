"""A batch whose job was taken out of the jobs file ends on a person's word, as far as the job is not needed for it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from office import ALLOCATE, PATIENT, Office

from lading.core.batch import Phase, Verdict
from lading.core.events import Withdrawn
from lading.errors import StateError, UsageError
from lading.reconcile.cancel import cancel
from lading.reconcile.perform import collect
from lading.reconcile.resolve import resolve

if TYPE_CHECKING:
    from lading.core.batch import Batch


def unsent(office: Office) -> Batch:
    """Return a batch of guests of which nothing was sent."""
    office.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    office.sync("guests")
    office.calm()
    return office.batch("guests")


def withdrawn(office: Office) -> Batch:
    """Return a batch that was given up by a process which died before it could end it."""
    batch, event = unsent(office), Withdrawn(at=office.world.clock.now(), reason="cancelled by hand")
    with office.world.lease("guests"):
        return office.world.memory.record(batch, event)


def cancelled(office: Office, job: str = "guests") -> Batch:
    with office.world.lease(job):
        return cancel(office.batch(job), None, office.world)


def test_an_unsent_batch_is_given_up_and_brought_to_its_end_at_once(office: Office) -> None:
    batch = unsent(office)

    after = cancelled(office)

    assert (after.phase, after.verdict) == (Phase.DELIVERED, Verdict.CANCELLED)
    assert not list(office.world.folders.staging("guests").iterdir())
    assert not office.app.journal.audit()
    # The job comes back, and with it its rows.
    assert office.sync("guests", PATIENT).runs[-1].settlement.accepted == batch.file.rows


def test_a_batch_that_the_vendor_has_ends_on_a_persons_word_and_is_not_cancelled(office: Office) -> None:
    office.sync("guests")
    batch, before = office.batch("guests"), office.requests()
    with pytest.raises(UsageError, match='job "guests", which is not in the jobs file') as told:
        cancelled(office)
    assert 'put job "guests" back' in told.value.hint

    with office.world.lease("guests"):
        after = resolve(batch, None, office.world, delivered=False, reason="asked them")

    assert (after.phase, after.verdict) == (Phase.DELIVERED, Verdict.RESENT)
    assert office.requests() == before
    assert not office.app.journal.audit()


def test_that_rows_are_delivered_takes_a_job_which_says_that_it_wants_no_answers(office: Office) -> None:
    office.sync("vehicles")
    with office.world.lease("vehicles"), pytest.raises(UsageError, match="cannot be called delivered"):
        resolve(office.batch("vehicles"), None, office.world, delivered=True, reason="asked them")
    assert office.batch("vehicles").phase is Phase.SUBMITTED


@pytest.mark.parametrize("counted", [False, True])
def test_giving_up_goes_on_where_a_process_died_in_it(office: Office, *, counted: bool) -> None:
    batch = withdrawn(office)
    if counted:
        with office.world.lease("guests"):
            office.world.memory.record(batch, collect(batch, None, office.world))

    assert cancelled(office).phase is Phase.DELIVERED


def test_what_was_counted_and_is_gone_from_our_disk_is_said(office: Office) -> None:
    batch = withdrawn(office)
    with office.world.lease("guests"):
        office.world.memory.record(batch, collect(batch, None, office.world))
    shutil.rmtree(office.world.folders.collected(batch))

    with pytest.raises(StateError, match="gone or damaged") as told:
        cancelled(office)

    assert 'put job "guests" back' in told.value.hint


def test_answers_that_wait_for_their_place_are_not_dropped(office: Office) -> None:
    place = office.deployment.results("out")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where a folder belongs", encoding="utf-8")
    office.sync("vehicles", PATIENT)
    assert office.batch("vehicles").phase is Phase.COLLECTED

    with pytest.raises(UsageError, match="where its answers go is not known"):
        cancelled(office, "vehicles")

    place.unlink()
    assert office.resume("vehicles").error is None
    assert office.batch("vehicles").phase is Phase.DELIVERED
