"""Number of records of a batch that can be resolved manually."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_samples import ROWS, a_batch

from batchsync.core.accounting import unresolved
from batchsync.core.batch import Phase, Verb
from batchsync.core.row_outcome import OutcomeCounts

COUNTS = OutcomeCounts.of(accepted=ROWS - 3, rejected=1, unknown=2)


@pytest.mark.parametrize(
    ("phase", "changes", "records"),
    [
        (Phase.DELIVERED, {"counts": COUNTS}, 2),
        (Phase.DELIVERED, {"counts": OutcomeCounts.of(accepted=ROWS)}, 0),
        (Phase.COLLECTED, {"counts": COUNTS}, 0),
        (Phase.NEEDS_ATTENTION, {"counts": COUNTS, "parked_from": Phase.COLLECTED}, 0),
        (Phase.NEEDS_ATTENTION, {"parked_from": Phase.SUBMITTED}, ROWS),
        (Phase.NEEDS_ATTENTION, {"parked_from": Phase.ALLOCATED, "pending_intent": Verb.UPLOAD}, ROWS),
        (Phase.NEEDS_ATTENTION, {"parked_from": Phase.ALLOCATED}, 0),
        (Phase.SUBMITTED, {}, 0),
    ],
)
def test_unresolved_counts_records_with_unknown_outcome(phase: Phase, changes: dict[str, Any], records: int) -> None:
    batch = replace(a_batch(phase), **{"counts": None, "pending_intent": None, "parked_from": None} | changes)

    assert unresolved(batch) == records
