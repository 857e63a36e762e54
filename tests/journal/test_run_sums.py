"""Sums over settled runs: those of the settlements, taken apart at a serial number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from journal_samples import DELIVERED, LATER, ROWS, make_run, record_all, start_run

from batchsync.core.accounting import PlanCounts
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.run import RunState, settlement_of

if TYPE_CHECKING:
    from batchsync.journal import Journal


def deliver(journal: Journal, serial: int, batches: int = 1) -> None:
    """Store a run whose batches are delivered."""
    for batch in start_run(journal, serial=serial, batches=batches):
        journal.deliver(record_all(journal, batch), DELIVERED, baseline=None, rejects=())


def test_sums_are_those_of_the_settlements(journal: Journal) -> None:
    deliver(journal, 1, batches=2)
    deliver(journal, 2)
    start_run(journal, serial=3)
    still = PlanCounts(selected=4, outcomes=OutcomeCounts.of(rejected=4))
    journal.start_run(make_run("orders", counts=still, state=RunState.SETTLED, settled_at=LATER), (), ())

    for newest in (0, 1, 2, 3):
        sums = journal.run_sums({"guests": newest, "gone": 7})
        expected: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
        for serial in (1, 2):
            run = journal.run(f"guests-{serial}")
            found = settlement_of(run, journal.batches(run.id))
            own = expected[serial > newest]
            own.update({f"rows:{outcome}": count for outcome, count in found.outcomes.items()})
            own.update({"runs": 1, "bytes": found.bytes, "batches:mixed": found.batches})
            own["unresolved"] += found.outcomes[RowOutcome.UNKNOWN]
        assert set(sums) == {"guests", "orders"}
        assert sums["guests"].newest == 3
        assert +Counter(sums["guests"].older) == +expected[False]
        assert +Counter(sums["guests"].newer) == +expected[True]
    assert +Counter(sums["orders"].newer) == Counter({"runs": 1, "rows:rejected": 4})
    assert journal.last_settlements() == {"guests": LATER, "orders": LATER}


def test_empty_journal_has_no_sums(journal: Journal) -> None:
    assert journal.run_sums({}) == {}
    assert journal.last_settlements() == {}
    (batch,) = start_run(journal)
    assert batch.file.rows == ROWS
    assert +Counter(journal.run_sums({})["guests"].newer) == Counter()
