"""The watermark of `send: since` never passes a row that the target does not hold as mapped by the current spec."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, EVENTS, LATER, ROWS, make_batch, make_run, record_all, rejects

from batchsync.core.accounting import PlanCounts
from batchsync.core.events import Collected
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import RunState
from batchsync.ports import Expired, Reject

if TYPE_CHECKING:
    from batchsync.core.run import Run
    from batchsync.journal import Journal

CLEAN = PlanCounts(source_rows=ROWS, selected=ROWS, added=ROWS)
#: Events of a batch whose rows are all accepted.
ACCEPTED = (*EVENTS[:-1], Collected(at=LATER, counts=OutcomeCounts.of(accepted=ROWS)))


def watermark(journal: Journal, run: Run) -> str | None:
    return journal.watermark(run.job, run.account_id, run.spec_hash)


def test_watermark_moves_when_run_is_settled(journal: Journal) -> None:
    run = make_run(counts=CLEAN, watermark="2026-11-21")
    batch = make_batch(run)
    journal.start_run(run, [batch], ())
    assert watermark(journal, run) is None

    journal.deliver(record_all(journal, batch, ACCEPTED), DELIVERED, baseline=None, rejects=())

    assert watermark(journal, run) == "2026-11-21"


def test_watermark_does_not_pass_rows_whose_rejects_were_pruned(journal: Journal) -> None:
    run = make_run(counts=CLEAN, watermark="2026-11-21")
    batch = make_batch(run)
    journal.start_run(run, [batch], ())
    counts = OutcomeCounts.of(accepted=ROWS - 2, rejected=2)
    journal.deliver(
        record_all(journal, batch, (*ACCEPTED[:-1], Collected(at=LATER, counts=counts))),
        DELIVERED,
        baseline=None,
        rejects=rejects(2),
    )
    assert watermark(journal, run) is None

    assert journal.prune(run.job, Expired(rejects=LATER + timedelta(days=1), runs=None)) == 2

    assert watermark(journal, run) is None


def test_run_with_nothing_to_send_moves_watermark(journal: Journal) -> None:
    run = make_run(
        counts=PlanCounts(source_rows=3, selected=3, outcomes=OutcomeCounts.of(unchanged=3)), watermark="2026-11-22"
    )
    journal.start_run(run, (), ())
    assert watermark(journal, run) == "2026-11-22"


def test_run_awaiting_approval_does_not_move_watermark(journal: Journal) -> None:
    run = make_run(state=RunState.AWAITING_APPROVAL, watermark="9")
    journal.start_run(run, (), ())
    assert watermark(journal, run) is None


@pytest.mark.parametrize("outcome", ["deferred", "invalid", "rejected", "unknown"])
def test_watermark_does_not_pass_rows_missing_at_the_target(journal: Journal, outcome: str) -> None:
    earlier = make_run(
        counts=PlanCounts(source_rows=2, selected=2, outcomes=OutcomeCounts.of(unchanged=2)), watermark="7"
    )
    journal.start_run(earlier, (), ())
    counts = PlanCounts(source_rows=3, selected=3, outcomes=OutcomeCounts.of(**{"unchanged": 2, outcome: 1}))

    journal.start_run(make_run(serial=2, counts=counts, watermark="9"), (), ())

    assert watermark(journal, earlier) == "7"


@pytest.mark.parametrize(("kind", "retry"), [("rejected", True), ("rejected", False), ("unknown", False)])
def test_watermark_does_not_pass_rows_not_accepted_by_the_vendor(journal: Journal, kind: str, retry: bool) -> None:  # noqa: FBT001 - a parameter of the test
    run = make_run(counts=CLEAN, watermark="2026-11-21")
    batch = make_batch(run)
    journal.start_run(run, [batch], ())

    refused = Reject(kind=kind, key="K1", reason="refused by the vendor", retry=retry)
    journal.deliver(record_all(journal, batch), DELIVERED, baseline=None, rejects=[[refused]])

    assert watermark(journal, run) is None


def test_watermark_of_other_spec_or_account_is_none(journal: Journal) -> None:
    run = make_run(counts=PlanCounts(source_rows=3, selected=3, outcomes=OutcomeCounts.of(unchanged=3)), watermark="9")
    journal.start_run(run, (), ())
    assert journal.watermark(run.job, run.account_id, "0" * 64) is None
    assert journal.watermark(run.job, "another account", run.spec_hash) is None


@pytest.mark.parametrize(("state_of_later", "expected"), [(RunState.SETTLED, None), (RunState.AWAITING_APPROVAL, "7")])
def test_run_under_other_spec_invalidates_watermark_unless_awaiting_approval(
    journal: Journal, state_of_later: RunState, expected: str | None
) -> None:
    counts = PlanCounts(source_rows=2, selected=2, outcomes=OutcomeCounts.of(unchanged=2))
    earlier = make_run(counts=counts, watermark="7")
    journal.start_run(earlier, (), ())

    journal.start_run(make_run(serial=2, counts=counts, spec_hash="0" * 64, state=state_of_later), (), ())

    assert watermark(journal, earlier) == expected
