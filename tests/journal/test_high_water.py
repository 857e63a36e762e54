"""The mark of `send: since` never passes a row that the target does not hold as the job would make it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, ROWS, a_batch, a_run, lived

from batchsync.core.accounting import PlanCounts
from batchsync.core.run import RunState
from batchsync.ports import Reject

if TYPE_CHECKING:
    from batchsync.core.run import Run
    from batchsync.journal import Journal

CLEAN = PlanCounts(source_rows=ROWS, selected=ROWS, added=ROWS)


def mark(journal: Journal, run: Run) -> str | None:
    return journal.watermark(run.job, run.account_id, run.spec_hash)


def test_the_mark_moves_when_the_run_has_settled(journal: Journal) -> None:
    run = a_run(counts=CLEAN, watermark="2026-11-21")
    batch = a_batch(run)
    journal.start_run(run, [batch], ())
    assert mark(journal, run) is None

    journal.deliver(lived(journal, batch), DELIVERED, baseline=None, rejects=())

    assert mark(journal, run) == "2026-11-21"


def test_a_run_with_nothing_to_send_moves_the_mark(journal: Journal) -> None:
    run = a_run(counts=PlanCounts(source_rows=3, selected=3, unchanged=3), watermark="2026-11-22")
    journal.start_run(run, (), ())
    assert mark(journal, run) == "2026-11-22"


def test_a_held_run_moves_no_mark(journal: Journal) -> None:
    run = a_run(state=RunState.AWAITING_APPROVAL, watermark="9")
    journal.start_run(run, (), ())
    assert mark(journal, run) is None


@pytest.mark.parametrize("place", ["deferred", "invalid", "still_rejected", "still_unknown"])
def test_the_mark_does_not_pass_rows_that_the_target_does_not_hold(journal: Journal, place: str) -> None:
    earlier = a_run(counts=PlanCounts(source_rows=2, selected=2, unchanged=2), watermark="7")
    journal.start_run(earlier, (), ())
    tally = PlanCounts(**{"source_rows": 3, "selected": 3, "unchanged": 2, place: 1})

    journal.start_run(a_run(serial=2, counts=tally, watermark="9"), (), ())

    assert mark(journal, earlier) == "7"


@pytest.mark.parametrize(("kind", "retry"), [("rejected", True), ("rejected", False), ("unknown", False)])
def test_the_mark_does_not_pass_rows_that_the_vendor_did_not_accept(journal: Journal, kind: str, retry: bool) -> None:  # noqa: FBT001 - a parameter of the test
    run = a_run(counts=CLEAN, watermark="2026-11-21")
    batch = a_batch(run)
    journal.start_run(run, [batch], ())

    refused = Reject(kind=kind, key="K1", reason="the vendor said so", retry=retry)
    journal.deliver(lived(journal, batch), DELIVERED, baseline=None, rejects=[[refused]])

    assert mark(journal, run) is None


def test_the_mark_of_another_spec_or_account_is_none(journal: Journal) -> None:
    run = a_run(counts=PlanCounts(source_rows=3, selected=3, unchanged=3), watermark="9")
    journal.start_run(run, (), ())
    assert journal.watermark(run.job, run.account_id, "0" * 64) is None
    assert journal.watermark(run.job, "another account", run.spec_hash) is None


@pytest.mark.parametrize(("ended", "expected"), [(RunState.SETTLED, None), (RunState.AWAITING_APPROVAL, "7")])
def test_run_under_another_spec_ends_earlier_marks_unless_it_was_held(
    journal: Journal, ended: RunState, expected: str | None
) -> None:
    tally = PlanCounts(source_rows=2, selected=2, unchanged=2)
    earlier = a_run(counts=tally, watermark="7")
    journal.start_run(earlier, (), ())

    journal.start_run(a_run(serial=2, counts=tally, spec_hash="0" * 64, state=ended), (), ())

    assert mark(journal, earlier) == expected
