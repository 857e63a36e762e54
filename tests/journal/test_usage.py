"""What was used of the limits of an account is counted across journals of one folder, and across restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from journal_samples import make_batch, make_run

from batchsync.core.account_limits import MINUTE, RESERVED_FOR, AccountLimits, InFlight
from batchsync.core.batch import Allocation, Batch, Verb, Verdict
from batchsync.core.events import Allocated, IntentRecorded, Uploaded, VendorFinished
from batchsync.journal import Journal, lease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = AccountLimits(rows_per_day=15)
DAY = timedelta(days=1)
ONE, FIVE = InFlight(limit=1), InFlight(limit=5)


@pytest.fixture
def journals(state: Path) -> Iterator[tuple[Journal, Journal]]:
    """Two journals of one folder, as two processes have them."""
    with Journal.open(state) as first, Journal.open(state) as second:
        yield first, second


def batch_of(journal: Journal, job: str) -> Batch:
    run = make_run(job=job)
    batch = make_batch(run)
    journal.start_run(run, [batch], ())
    return journal.batches(run.id)[0]


def test_calls_of_two_processes_are_counted_together(journals: tuple[Journal, Journal]) -> None:
    limits, made, now = AccountLimits(calls_per_minute=10), list[datetime](), NOW
    while len(made) < 60:
        found = journals[len(made) % 2].reserve_calls("a", limits, now)
        made += [now] * found.amount
        now = found.until or now + timedelta(milliseconds=300)
    for at in made:
        assert sum(at <= other < at + MINUTE for other in made) <= 10


def test_calls_are_reserved_in_blocks_and_forgotten(journals: tuple[Journal, Journal]) -> None:
    limits = AccountLimits(calls_per_minute=100)
    journal = journals[0]
    assert [journal.reserve_calls("a", limits, NOW).amount for _ in range(20)] == [5] * 20
    assert journal.reserve_calls("a", limits, NOW).until == NOW + MINUTE + RESERVED_FOR
    assert journal.reserve_calls("b", limits, NOW).amount == 5
    later = NOW + timedelta(hours=1)
    assert journal.reserve_calls("a", limits, later).amount == 5
    assert len(journal._rows("SELECT * FROM calls_made WHERE account = 'a'")) == 1


def test_rows_of_a_day_are_counted_together(journals: tuple[Journal, Journal]) -> None:
    first, second = batch_of(journals[0], "guests"), batch_of(journals[0], "vehicles")
    assert first.file.rows == second.file.rows == 10

    assert journals[0].reserve_batch(first, "a", ROWS, FIVE, NOW, NOW + MINUTE).until is None
    refused = journals[1].reserve_batch(second, "a", ROWS, FIVE, NOW, NOW + MINUTE)
    assert (refused.until, refused.limit) == (NOW + MINUTE + DAY, "15 rows a day")
    journals[0].note_sent(first, NOW + timedelta(seconds=5))
    refused = journals[1].reserve_batch(second, "a", ROWS, FIVE, NOW, NOW + MINUTE)
    assert refused.until == NOW + timedelta(seconds=5) + DAY

    # Another account has limits of its own, and an attempt counts once.
    assert journals[1].reserve_batch(second, "b", ROWS, FIVE, NOW, NOW).until is None
    assert journals[0].reserve_batch(first, "a", ROWS, FIVE, NOW + MINUTE, NOW + MINUTE).until is None


def test_batch_in_flight_of_another_process_holds_its_place(journals: tuple[Journal, Journal], state: Path) -> None:
    first, second = batch_of(journals[0], "guests"), batch_of(journals[0], "vehicles")
    none = AccountLimits()
    assert journals[0].reserve_batch(first, "a", none, ONE, NOW, NOW).until is None
    with lease(journals[0], state, "guests", "here", NOW):
        refused = journals[1].reserve_batch(second, "a", none, ONE, NOW, NOW)
        assert (refused.held_by, refused.followed, refused.limit) == ("guests", True, "1 batch in flight")
        sent = journals[0].record(first, Allocated(at=NOW, allocation=Allocation(id="A1")))
        sent = journals[0].record(sent, IntentRecorded(at=NOW, verb=Verb.UPLOAD))
        sent = journals[0].record(sent, Uploaded(at=NOW))
    later = NOW + timedelta(hours=2)
    refused = journals[1].reserve_batch(second, "a", none, ONE, later, later)
    assert (refused.held_by, refused.followed) == ("guests", False)
    journals[0].record(sent, VendorFinished(at=NOW, vendor_status="done", verdict=Verdict.PROCESSED))
    assert journals[1].reserve_batch(second, "a", none, ONE, later, later).until is None


def test_own_batches_are_counted_as_this_process_admits_them(journals: tuple[Journal, Journal]) -> None:
    first, second = batch_of(journals[0], "guests"), batch_of(journals[0], "vehicles")
    journals[0].reserve_batch(first, "a", AccountLimits(), ONE, NOW, NOW)
    own = InFlight(limit=1, own={"guests": "another account", "vehicles": second.account_id})
    assert journals[0].reserve_batch(second, "a", AccountLimits(), own, NOW, NOW).until is None


def test_batch_that_was_not_sent_holds_no_place_for_long(journals: tuple[Journal, Journal]) -> None:
    first, second = batch_of(journals[0], "guests"), batch_of(journals[0], "vehicles")
    journals[0].reserve_batch(first, "a", AccountLimits(), ONE, NOW, NOW)
    soon, later = NOW + timedelta(seconds=59), NOW + timedelta(seconds=61)
    assert journals[1].reserve_batch(second, "a", AccountLimits(), ONE, soon, soon).until is not None
    assert journals[1].reserve_batch(second, "a", AccountLimits(), ONE, later, later).until is None


def test_refusals_are_not_written(journals: tuple[Journal, Journal]) -> None:
    first, second = batch_of(journals[0], "guests"), batch_of(journals[0], "vehicles")
    journals[0].reserve_batch(first, "a", ROWS, FIVE, NOW, NOW)
    before = journals[0].serial
    for _ in range(3):
        journals[0].reserve_batch(second, "a", ROWS, FIVE, NOW, NOW)
    assert journals[0].serial == before
