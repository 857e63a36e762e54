"""How many records of a batch wait for the word of a person: those that nobody but the vendor can tell of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_samples import ROWS, a_batch

from lading.core.accounting import unresolved
from lading.core.batch import Books, Phase, Verb

SOME = Books(accepted=ROWS - 3, rejected=1, unknown=2)


@pytest.mark.parametrize(
    ("phase", "stands", "records"),
    [
        (Phase.DELIVERED, {"books": SOME}, 2),
        (Phase.DELIVERED, {"books": Books(accepted=ROWS)}, 0),
        (Phase.COLLECTED, {"books": SOME}, 0),
        (Phase.STUCK, {"books": SOME, "stuck_from": Phase.COLLECTED}, 0),
        (Phase.STUCK, {"stuck_from": Phase.SUBMITTED}, ROWS),
        (Phase.STUCK, {"stuck_from": Phase.ALLOCATED, "doubt": Verb.UPLOAD}, ROWS),
        (Phase.STUCK, {"stuck_from": Phase.ALLOCATED}, 0),
        (Phase.SUBMITTED, {}, 0),
    ],
)
def test_what_waits_for_the_word_of_a_person(phase: Phase, stands: dict[str, Any], records: int) -> None:
    batch = replace(a_batch(phase), **{"books": None, "doubt": None, "stuck_from": None} | stands)

    assert unresolved(batch) == records
