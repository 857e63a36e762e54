"""Ticks of a job count from its latest tick, or from the first sight of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journal_samples import LATER, NOW

from batchsync.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path


def test_job_without_ticks_is_scheduled_from_first_sight(journal: Journal) -> None:
    assert journal.register_job("guests", NOW) == NOW
    serial = journal.serial
    assert journal.register_job("guests", LATER) == NOW
    assert journal.serial == serial
    assert journal.register_job("vehicles", LATER) == LATER


def test_job_with_ticks_is_scheduled_from_latest_tick(journal: Journal) -> None:
    journal.claim_tick("guests", LATER)

    assert journal.register_job("guests", NOW) == LATER


def test_concurrent_first_sights_agree_on_one_timestamp(state: Path) -> None:
    with Journal.open(state) as other:

        def register_concurrently(name: str) -> None:
            if name == "register_job:begin":
                other.register_job("guests", NOW)

        with Journal.open(state, failpoint=register_concurrently) as journal:
            assert journal.register_job("guests", LATER) == NOW
