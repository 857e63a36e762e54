"""Sums that pages keep are those of all batches, one by one, whatever happens to a batch afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, EVENTS, LATER, make_baseline, record_all, rejects, start_run

from batchsync.core.events import Resolved
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import settlement_of
from batchsync.journal import Journal
from batchsync.web.remembered import Remembered
from batchsync.web.summary import view_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The day of the sample runs, and the days around it.
DAYS = ["2026-11-21", "2026-11-22", "2026-11-23"]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A new journal."""
    with Journal.open(tmp_path / "state", journal_id="journal-1") as opened:
        yield opened


def same_sums(journal: Journal, remembered: Remembered) -> None:
    """Assert that the kept sums of each run are those of its batches."""
    runs = journal.history(limit=100)
    for summary in remembered.summaries(journal, runs):
        view, expected = view_of(summary), settlement_of(summary.run, journal.batches(summary.run.id))
        assert view.settlement == expected
        assert view.sent == sum(batch.file.rows for batch in journal.batches(summary.run.id))
        assert sum(part.width for part in view.bar) == 1_000


def deliver(journal: Journal, job: str, batches: int = 1) -> None:
    """Deliver batches with a row of unknown outcome each."""
    for batch in start_run(journal, job, batches=batches):
        collected = record_all(journal, batch)
        journal.deliver(collected, DELIVERED, baseline=make_baseline(batch), rejects=rejects(1, "unknown"))


def test_sums_follow_every_event_of_a_batch(journal: Journal) -> None:
    remembered = Remembered()
    first, _, third = start_run(journal, batches=3)
    same_sums(journal, remembered)
    for event in EVENTS:
        first = journal.record(first, event)
        same_sums(journal, remembered)
    journal.deliver(first, DELIVERED, baseline=None, rejects=())
    record_all(journal, third, EVENTS[:9])
    same_sums(journal, remembered)


def test_resolved_rows_leave_the_unknown_ones(journal: Journal) -> None:
    remembered = Remembered()
    assert remembered.unresolved(journal) == {}
    deliver(journal, "guests", 2)
    deliver(journal, "orders")
    assert remembered.unresolved(journal) == {"guests": 2, "orders": 1} == Remembered().unresolved(journal)
    same_sums(journal, remembered)
    batch = journal.batches("guests-1")[0]
    journal.resolve(batch, Resolved(at=LATER, delivered=True, reason="asked"), baseline=make_baseline(batch))
    assert remembered.unresolved(journal) == {"guests": 1, "orders": 1} == Remembered().unresolved(journal)
    same_sums(journal, remembered)


@pytest.mark.parametrize("today", [1, 2])
@pytest.mark.parametrize("job", [None, "guests"])
def test_days_have_the_same_sums_when_they_are_past(journal: Journal, today: int, job: str | None) -> None:
    remembered, names = Remembered(), DAYS[: today + 1]
    assert remembered.days(journal, names, job) == {}
    deliver(journal, "guests", 2)
    deliver(journal, "orders")
    if today == 2:
        # No page was read before the day was over; one that was found empty then stays so.
        remembered = Remembered()
    day = remembered.days(journal, names, job)["2026-11-22"]
    assert (day.runs, day.sent) == ((1, 20) if job else (2, 30))
    assert day.outcomes[RowOutcome.UNKNOWN] == (2 if job else 3)
    assert day.invalid == (2 if job else 4)
    assert day.seconds == pytest.approx(300 * day.runs, abs=0.01)
    batch = journal.batches("guests-1")[0]
    journal.resolve(batch, Resolved(at=LATER, delivered=True, reason="asked"), baseline=make_baseline(batch))
    after = remembered.days(journal, names, job)["2026-11-22"]
    assert after.outcomes[RowOutcome.UNKNOWN] == day.outcomes[RowOutcome.UNKNOWN] - 1
