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
    "aborted-rows-not-deferred": [26],
    "allocation-dropped-in-doubt": [109],
    "attempt-restarts-at-one": [3],
    "baseline-after-transaction": [43],
    "baseline-contains-rejected": [121],
    "batch-and-event-in-two-transactions": [20],
    "broken-connection-is-not-applied": [9],
    "collected-before-counts": [700406],
    "echo-matched-by-exact-case": [2],
    "empty-allocation-awaited": [14],
    "empty-log-is-accepted": [24],
    "event-and-row-in-two-transactions": [62],
    "expired-url-means-empty": [90],
    "failed-query-clears-intent": [10],
    "few-failures-park": [14],
    "file-not-verified": [9],
    "found-batch-proves-delivery": [700406],
    "idempotency-key-without-attempt": [3],
    "in-flight-ignored": [4],
    "in-flight-keys-removed": [2043],
    "intent-recorded-after-call": [9],
    "lost-runs-of-one-name": [700241],
    "mapping-in-fingerprints": [7],
    "no-fence": [21],
    "no-lease": [16],
    "premature-answer-counts": [28],
    "preparation-never-aborted": [26],
    "prepared-not-in-flight": [34],
    "processing-is-finished": [3],
    "query-without-delay": [109],
    "refusal-ends-doubt": [148],
    "rejected-sent-again": [5],
    "removal-kept-in-baseline": [13],
    "removed-answer-stays": [2],
    "rename-leaves-open-batches": [6],
    "rename-starts-anew": [13],
    "resolution-always-delivered": [14],
    "resolution-ignored": [14],
    "results-swept": [10],
    "run-and-batches-in-two-transactions": [6],
    "status-not-read": [53],
    "submitted-not-in-flight": [18],
    "throttling-is-not-applied": [15],
    "unbounded-backoff": [2],
    "unknown-outcome-clears-intent": [7],
    "unlisted-row-is-accepted": [61],
    "upload-repeated-without-query": [9],
    "upload-without-intent": [9],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_planted_bug_is_found(player: Executor, plant: str) -> None:
    seeds = [*KNOWN.get(plant, []), *range(1, 250)]
    assert player.submit(first_violation, seeds, plant).result(), f"no seed found: {PLANTS[plant].description}"


def test_every_invariant_has_two_planted_bugs() -> None:
    invariants = [plant.invariant for plant in PLANTS.values()]
    assert all(invariants.count(number) >= 2 for number in range(1, 11))
