"""The simulation finds every planted bug: what it does not complain about, it has looked at.

Each plant is first tried under seeds that are known to find it, then under the first few hundred. By hand,
`python -m simulation --hunt --seeds 2000` says at which seed each one dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulation.many import first_violated
from simulation.plants import PLANTS

if TYPE_CHECKING:
    from concurrent.futures import Executor

KNOWN: dict[str, list[int]] = {
    "5xx-is-refusal": [58],
    "announce-after": [10],
    "answers-swept": [5],
    "asks-at-once": [8],
    "attempts-forgotten": [3],
    "backoff-of-days": [7],
    "baseline-afterwards": [5],
    "batch-before-its-story": [20],
    "break-is-refusal": [7],
    "cut-rows-forgotten": [8],
    "empty-log-is-good": [24],
    "expired-is-empty": [11],
    "file-not-verified": [9],
    "in-flight-forgotten": [11],
    "moved-for-rejected": [11],
    "never-cut-short": [8],
    "no-fence": [11],
    "no-lease": [11],
    "person-misheard": [13],
    "person-unheard": [13],
    "prepared-not-in-flight": [4],
    "processing-is-done": [3],
    "refused-forgotten": [5],
    "refused-question-ends-doubt": [5],
    "removal-not-remembered": [13],
    "removed-in-flight": [13],
    "repeated-without-asking": [7],
    "run-before-batches": [6],
    "silence-is-consent": [113],
    "slot-left-in-doubt": [7],
    "status-not-read": [42],
    "submitted-not-in-flight": [11],
    "throttling-is-refusal": [35],
    "ticket-without-attempt": [3],
    "two-transactions": [8],
    "unanswered-ends-doubt": [7],
    "upload-not-announced": [7],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_bug_is_found(player: Executor, plant: str) -> None:
    seeds = [*KNOWN.get(plant, []), *range(1, 250)]
    assert player.submit(first_violated, seeds, plant).result(), f"no seed found that {PLANTS[plant].does}"


def test_every_law_has_two_plants() -> None:
    laws = [plant.law for plant in PLANTS.values()]
    assert all(laws.count(law) >= 2 for law in range(1, 11))
