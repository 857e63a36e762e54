"""Seeds with the job of each vendor that is data alone: nothing is lost, and nothing is sent twice by itself.

The default suite plays few seeds of each vendor; `BATCHSYNC_DATA_SEEDS=2000` plays more. `python -m simulation --vendor
klaviyo --seeds 2000` does it without the suite.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from simulation.data_vendors import BY_VENDOR
from simulation.seeds import summarize

if TYPE_CHECKING:
    from concurrent.futures import Executor

SEEDS = int(os.environ.get("BATCHSYNC_DATA_SEEDS", "10"))


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("vendor", BY_VENDOR)
def test_seeds_of_vendors_that_are_data_alone_lose_and_repeat_no_row(player: Executor, vendor: str) -> None:
    total = player.submit(summarize, range(1, SEEDS + 1), vendor).result()
    assert not total.violations
    assert total.played == SEEDS
    assert total.crashes > SEEDS // 5
    assert sum(total.hit.values()) > SEEDS // 4
    # Only about a vendor that cannot be asked a person decides.
    resolved = any(name.startswith("a batch in doubt") for name in total.reached)
    assert resolved == (BY_VENDOR[vendor].stops_at is not None)
