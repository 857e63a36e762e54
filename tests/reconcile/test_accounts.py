"""What one account holds says nothing of another, and a batch of an earlier account stands in nobody's way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from office import PATIENT, POLL

from kit.deployment import write_sources
from lading.reconcile.resolve import resolve
from lading.reconcile.sync import sync

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
