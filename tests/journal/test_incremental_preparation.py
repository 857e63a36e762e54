"""A run is remembered with its first batch; the last one makes it whole, and whatever comes between loses no record."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, LATER, NOW, ROWS, a_batch, a_run, lived, run_row_without_removal_hash, started

from lading.core.accounting import UnbalancedError
from lading.core.run import Run, RunState, settlement_of
from lading.errors import LockedError
from lading.journal import Journal, codec, schema

if TYPE_CHECKING:
    from pathlib import Path


def begun(journal: Journal, batches: int = 3, **changes: object) -> Run:
    """Begin a run of several batches with the first of them."""
    run = a_run(batches=batches, state=RunState.PREPARING, **changes)
    journal.start_run(run, [a_batch(run)], ())
    return run


def test_the_last_batch_makes_a_run_prepared(journal: Journal) -> None:
    run = begun(journal)
    assert journal.preparing_runs("guests") == journal.open_runs("guests") == (run,)
    assert journal.add_batch(a_batch(run, 2)) == run
    assert journal.audit() == ()

    after = journal.add_batch(a_batch(run, 3))

    assert after == replace(run, state=RunState.PREPARED) == journal.run(run.id)
    assert [one.seq for one in journal.batches(run.id)] == [1, 2, 3]
    assert journal.preparing_runs("guests") == ()
    assert journal.audit() == ()


def test_a_run_does_not_settle_while_it_is_preparing(journal: Journal) -> None:
    run = begun(journal, batches=2)
    journal.deliver(lived(journal, journal.batches(run.id)[0]), DELIVERED, baseline=None, rejects=())
    assert journal.run(run.id).state is RunState.PREPARING
    settlement = settlement_of(journal.run(run.id), journal.batches(run.id))
    assert (settlement.in_flight, settlement.held, settlement.settled) == (ROWS, ROWS, False)

    journal.add_batch(a_batch(run, 2))
    journal.deliver(lived(journal, journal.batches(run.id)[1]), DELIVERED, baseline=None, rejects=())

    assert journal.run(run.id).state is RunState.SETTLED
    assert journal.audit() == ()


@pytest.mark.parametrize("delivered", [False, True])
def test_a_run_that_is_cut_short_holds_what_is_in_no_batch(journal: Journal, *, delivered: bool) -> None:
    run = begun(journal, high_water="2026-11-22")
    batch = journal.batches(run.id)[0]
    if delivered:
        journal.deliver(lived(journal, batch), DELIVERED, baseline=None, rejects=())

    after = journal.cut_run(run.id, LATER)

    assert after == journal.run(run.id)
    assert after.state is (RunState.SETTLED if delivered else RunState.PREPARED)
    assert after.reason == "preparing was cut short after 10 of 30 records; the next run sends the rest"
    settlement = settlement_of(after, journal.batches(run.id))
    assert settlement.held == (2 * ROWS if delivered else 3 * ROWS)
    assert settlement.selected == run.tally.selected
    if not delivered:
        journal.deliver(lived(journal, batch), DELIVERED, baseline=None, rejects=())
    assert journal.run(run.id).state is RunState.SETTLED
    assert journal.high_water("guests", run.identity, run.spec_hash) is None, "what is held stands below the mark"
    assert journal.audit() == ()
    with pytest.raises(LockedError, match="meanwhile"):
        journal.add_batch(a_batch(run, 2))
    with pytest.raises(LockedError, match="meanwhile"):
        journal.cut_run(run.id, LATER)


def test_a_schedule_slot_is_claimed_when_the_run_is_whole(journal: Journal) -> None:
    """A crash before that leaves the slot due, and the next process runs it."""
    run = a_run(batches=2, state=RunState.PREPARING)
    journal.start_run(run, [a_batch(run)], (), slot=NOW)
    assert journal.slot_done("guests") is None

    journal.add_batch(a_batch(run, 2), slot=NOW)

    assert journal.slot_done("guests") == NOW
    later = a_run(serial=2, batches=2, state=RunState.PREPARING)
    with pytest.raises(LockedError, match="slot"):
        journal.start_run(later, [a_batch(later)], (), slot=NOW)


def test_a_run_begins_with_a_part_of_its_records_and_never_has_more(journal: Journal) -> None:
    run = a_run(batches=2, state=RunState.PREPARING)
    for wrong in ([], [a_batch(run), a_batch(run, 2)]):
        with pytest.raises(UnbalancedError):
            journal.start_run(run, wrong, ())
    journal.start_run(run, [a_batch(run)], ())
    second = a_batch(run, 2)
    with pytest.raises(UnbalancedError):
        journal.add_batch(replace(second, file=replace(second.file, rows=ROWS + 1)))
    with pytest.raises(ValueError, match="number 3"):
        journal.add_batch(a_batch(run, 3))
    with pytest.raises(ValueError, match="fresh"):
        journal.add_batch(replace(second, failures=1))
    assert len(journal.batches(run.id)) == 1
    assert journal.audit() == ()


def test_the_audit_notices_a_run_that_is_preparing_and_has_everything(journal: Journal) -> None:
    run = begun(journal, batches=2)
    journal.add_batch(a_batch(run, 2))
    journal._put_run(run)
    assert any("is preparing 20 records" in one for one in journal.audit())


def test_a_journal_of_the_first_schema_is_brought_to_this_one_with_everything_in_it(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(schema, "SCHEMA_VERSION", 1)
        before.setattr(codec, "run_row", run_row_without_removal_hash)
        before.setattr(schema.migrations, "_migrations", schema.migrations._migrations[:1])
        schema.right_shape.cache_clear()
        with Journal.open(state) as journal:
            started(journal, batches=2)
            told = (journal.history(), journal.batches("guests-1"), journal.head())
    schema.right_shape.cache_clear()
    with Journal.open(state) as journal:
        assert (journal.history(), journal.batches("guests-1"), journal.head()) == told
        assert journal.audit() == ()
        later = a_run(serial=2, batches=2, state=RunState.PREPARING)
        journal.start_run(later, [a_batch(later)], ())
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
