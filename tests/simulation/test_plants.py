"""The simulation finds every planted bug: what it does not complain about, it has looked at.

Each plant is first tried under seeds that are known to find it, then under the first hundred. By hand,
`python -m simulation --hunt --seeds 2000` says at which seed each one dies.
"""

from __future__ import annotations

from itertools import chain

import pytest
from simulation.many import one
from simulation.plants import PLANTS

#: a mock whose answer is cut leaves closing the file behind it to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

KNOWN: dict[str, list[int]] = {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_bug_is_found(plant: str) -> None:
    for seed in chain(KNOWN.get(plant, []), range(1, 150)):
        if one(seed, plant).violations:
            return
    pytest.fail(f"no seed found that {PLANTS[plant].does}")


def test_every_law_has_two_plants() -> None:
    laws = [plant.law for plant in PLANTS.values()]
    assert all(laws.count(law) >= 2 for law in range(1, 11))
