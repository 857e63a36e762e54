"""However great the state, `resume` soon makes its first vendor call: it reads what is open and no rows.

The figure of `docs/guarantees.md` (1,000 batches, 1,000,000 rows) comes from `PYTHONPATH=tests python -m kit.recovery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.recovery import Size, first_call, make

if TYPE_CHECKING:
    from kit.deployment import Deployment


@pytest.mark.timeout(120)
def test_first_vendor_call_time_hardly_depends_on_state_size(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make(deployment, Size(batches=10, rows=10, rejects=100))
    small = min(first_call(deployment)[1] for _ in range(3))
    great = type(deployment)(tmp_path_factory.mktemp("great"), deployment.mocks)
    make(great, Size(batches=300, rows=100, rejects=100_000))

    # Of the processor's time, not of the wall's: a busy machine does not count. A look at every row would.
    assert min(first_call(great)[1] for _ in range(3)) < small + 1.0
