"""How many records of a batch wait for the word of a person: those that nobody but the vendor can tell of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_samples import ROWS, a_batch

from batchsync.core.accounting import unresolved
from batchsync.core.batch import Phase, RowCounts, Verb

SOME = RowCounts(accepted=ROWS - 3, rejected=1, unknown=2)


@pytest.mark.parametrize(
    ("phase", "stands", "records"),
    [
        (Phase.DELIVERED, {"counts": SOME}, 2),
        (Phase.DELIVERED, {"counts": RowCounts(accepted=ROWS)}, 0),
        (Phase.COLLECTED, {"counts": SOME}, 0),
        (Phase.NEEDS_ATTENTION, {"counts": SOME, "parked_from": Phase.COLLECTED}, 0),
        (Phase.NEEDS_ATTENTION, {"parked_from": Phase.SUBMITTED}, ROWS),
        (Phase.NEEDS_ATTENTION, {"parked_from": Phase.ALLOCATED, "pending_intent": Verb.UPLOAD}, ROWS),
        (Phase.NEEDS_ATTENTION, {"parked_from": Phase.ALLOCATED}, 0),
        (Phase.SUBMITTED, {}, 0),
    ],
)
def test_what_waits_for_the_word_of_a_person(phase: Phase, stands: dict[str, Any], records: int) -> None:
    batch = replace(a_batch(phase), **{"counts": None, "pending_intent": None, "parked_from": None} | stands)

    assert unresolved(batch) == records
