"""A run is stored with its first batch and prepared with its last; an interruption in between loses no record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, LATER, NOW, ROWS, make_batch, make_run, record_all

from batchsync.core.accounting import UnbalancedError
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import Run, RunState, settlement_of
from batchsync.errors import LockedError

if TYPE_CHECKING:
    from batchsync.journal import Journal


def start_preparing(journal: Journal, batches: int = 3, **changes: object) -> Run:
    """Store a run of several batches with its first batch."""
    run = make_run(batches=batches, state=RunState.PREPARING, **changes)
    journal.start_run(run, [make_batch(run)], ())
    return run


def test_last_batch_makes_run_prepared(journal: Journal) -> None:
    run = start_preparing(journal)
    assert journal.preparing_runs("guests") == journal.open_runs("guests") == (run,)
    assert journal.add_batch(make_batch(run, 2)) == run
    assert journal.audit() == ()

    after = journal.add_batch(make_batch(run, 3))

    assert after == replace(run, state=RunState.PREPARED) == journal.run(run.id)
    assert [batch.seq for batch in journal.batches(run.id)] == [1, 2, 3]
    assert journal.preparing_runs("guests") == ()
    assert journal.audit() == ()


def test_run_is_not_settled_while_preparing(journal: Journal) -> None:
    run = start_preparing(journal, batches=2)
    journal.deliver(record_all(journal, journal.batches(run.id)[0]), DELIVERED, baseline=None, rejects=())
    assert journal.run(run.id).state is RunState.PREPARING
    settlement = settlement_of(journal.run(run.id), journal.batches(run.id))
    assert (settlement.in_flight, settlement.outcomes[RowOutcome.DEFERRED], settlement.settled) == (ROWS, ROWS, False)

    journal.add_batch(make_batch(run, 2))
    journal.deliver(record_all(journal, journal.batches(run.id)[1]), DELIVERED, baseline=None, rejects=())

    assert journal.run(run.id).state is RunState.SETTLED
    assert journal.audit() == ()


@pytest.mark.parametrize("delivered", [False, True])
def test_aborted_preparation_defers_records_without_batch(journal: Journal, *, delivered: bool) -> None:
    run = start_preparing(journal, watermark="2026-11-22")
    batch = journal.batches(run.id)[0]
    if delivered:
        journal.deliver(record_all(journal, batch), DELIVERED, baseline=None, rejects=())

    after = journal.abort_preparation(run.id, LATER)

    assert after == journal.run(run.id)
    assert after.state is (RunState.SETTLED if delivered else RunState.PREPARED)
    assert after.reason == "preparation was aborted after 10 of 30 records; the next run sends the rest"
    settlement = settlement_of(after, journal.batches(run.id))
    assert settlement.outcomes[RowOutcome.DEFERRED] == (2 * ROWS if delivered else 3 * ROWS)
    assert settlement.selected == run.counts.selected
    if not delivered:
        journal.deliver(record_all(journal, batch), DELIVERED, baseline=None, rejects=())
    assert journal.run(run.id).state is RunState.SETTLED
    assert journal.watermark("guests", run.account_id, run.spec_hash) is None, (
        "deferred records are above the watermark"
    )
    assert journal.audit() == ()
    with pytest.raises(LockedError, match="meanwhile"):
        journal.add_batch(make_batch(run, 2))
    with pytest.raises(LockedError, match="meanwhile"):
        journal.abort_preparation(run.id, LATER)


def test_tick_is_claimed_when_run_is_prepared(journal: Journal) -> None:
    """A crash before that leaves the tick due; the next process runs it."""
    run = make_run(batches=2, state=RunState.PREPARING)
    journal.start_run(run, [make_batch(run)], (), tick=NOW)
    assert journal.last_tick("guests") is None

    journal.add_batch(make_batch(run, 2), tick=NOW)

    assert journal.last_tick("guests") == NOW
    later = make_run(serial=2, batches=2, state=RunState.PREPARING)
    with pytest.raises(LockedError, match="tick"):
        journal.start_run(later, [make_batch(later)], (), tick=NOW)


def test_preparing_run_starts_with_some_records_and_never_exceeds_its_plan(journal: Journal) -> None:
    run = make_run(batches=2, state=RunState.PREPARING)
    for batches in ([], [make_batch(run), make_batch(run, 2)]):
        with pytest.raises(UnbalancedError):
            journal.start_run(run, batches, ())
    journal.start_run(run, [make_batch(run)], ())
    second = make_batch(run, 2)
    with pytest.raises(UnbalancedError):
        journal.add_batch(replace(second, file=replace(second.file, rows=ROWS + 1)))
    with pytest.raises(ValueError, match="number 3"):
        journal.add_batch(make_batch(run, 3))
    with pytest.raises(ValueError, match="newly prepared"):
        journal.add_batch(replace(second, failures=1))
    assert len(journal.batches(run.id)) == 1
    assert journal.audit() == ()


def test_audit_finds_preparing_run_with_all_its_records(journal: Journal) -> None:
    run = start_preparing(journal, batches=2)
    journal.add_batch(make_batch(run, 2))
    journal._update_run(run)
    assert any("is preparing 20 records" in item for item in journal.audit())
