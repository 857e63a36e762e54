"""From which moment the slots of a job count: its last slot, or when it was first seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journal_samples import LATER, NOW

from batchsync.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_job_without_slots_is_watched_from_when_it_was_first_seen(journal: Journal) -> None:
    assert journal.register_job("guests", NOW) == NOW
    serial = journal.serial
    assert journal.register_job("guests", LATER) == NOW
    assert journal.serial == serial
    assert journal.register_job("vehicles", LATER) == LATER


def test_a_job_that_has_slots_is_watched_from_the_last(journal: Journal) -> None:
    journal.claim_tick("guests", LATER)

    assert journal.register_job("guests", NOW) == LATER


def test_of_two_that_see_a_job_for_the_first_time_one_says_when(state: Path) -> None:
    with Journal.open(state) as other:

        def meanwhile(at: str) -> None:
            if at == "register_job:begin":
                other.register_job("guests", NOW)

        with Journal.open(state, trip=meanwhile) as journal:
            assert journal.register_job("guests", LATER) == NOW
