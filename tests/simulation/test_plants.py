"""The simulation finds every planted bug.

Each bug is tried first with seeds that are known to find it, then with the first few hundred. By hand,
`python -m simulation --hunt --seeds 2000` prints the first seed that finds each bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulation.plants import PLANTS
from simulation.seeds import first_violation

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: seeds known to find a planted bug
KNOWN: dict[str, list[int]] = {
    "5xx-is-not-applied": [65],
    "aborted-rows-not-deferred": [8],
    "allocation-dropped-in-doubt": [7],
    "assumption-forgotten": [4],
    "attempt-restarts-at-one": [3],
    "baseline-after-transaction": [5],
    "baseline-contains-rejected": [11],
    "batch-and-event-in-two-transactions": [20],
    "broken-connection-is-not-applied": [7],
    "echo-matched-by-exact-case": [2],
    "empty-allocation-awaited": [14],
    "empty-log-is-accepted": [24],
    "event-and-row-in-two-transactions": [10],
    "expired-url-means-empty": [11],
    "failed-query-clears-intent": [5],
    "few-failures-park": [14],
    "file-not-verified": [37],
    "idempotency-key-without-attempt": [3],
    "in-flight-ignored": [11],
    "in-flight-keys-removed": [13],
    "intent-recorded-after-call": [11],
    "no-fence": [4],
    "no-lease": [11],
    "preparation-never-aborted": [8],
    "premature-answer-counts": [28],
    "prepared-not-in-flight": [42],
    "processing-is-finished": [3],
    "query-without-delay": [7],
    "rejected-sent-again": [5],
    "removal-kept-in-baseline": [13],
    "removed-answer-stays": [2],
    "rename-leaves-open-batches": [13],
    "rename-starts-anew": [13],
    "resolution-always-delivered": [23],
    "resolution-ignored": [23],
    "results-swept": [5],
    "run-and-batches-in-two-transactions": [6],
    "status-not-read": [42],
    "submitted-not-in-flight": [11],
    "throttling-is-not-applied": [35],
    "unbounded-backoff": [7],
    "unknown-outcome-clears-intent": [7],
    "unlisted-row-is-accepted": [113],
    "upload-repeated-without-query": [7],
    "vendor-clock-trusted": [1],
    "upload-without-intent": [7],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_planted_bug_is_found(player: Executor, plant: str) -> None:
    seeds = [*KNOWN.get(plant, []), *range(1, 250)]
    assert player.submit(first_violation, seeds, plant).result(), f"no seed found: {PLANTS[plant].description}"


def test_every_invariant_has_two_planted_bugs() -> None:
    invariants = [plant.invariant for plant in PLANTS.values()]
    assert all(invariants.count(number) >= 2 for number in range(1, 11))
