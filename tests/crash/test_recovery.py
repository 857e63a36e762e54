"""Time until the first vendor call of `resume`: it reads open batches only, however large the state is.

The figure in `docs/guarantees.md` (1,000 batches, 1,000,000 rows) comes from `PYTHONPATH=tests python -m kit.recovery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.recovery import Size, first_call, make_state

if TYPE_CHECKING:
    from kit.deployment import Deployment


@pytest.mark.timeout(120)
def test_first_vendor_call_time_hardly_depends_on_state_size(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_state(deployment, Size(batches=10, rows=10, rejects=100))
    small = min(first_call(deployment)[1] for _ in range(3))
    large = type(deployment)(tmp_path_factory.mktemp("large"), deployment.mocks)
    make_state(large, Size(batches=300, rows=100, rejects=100_000))

    # Processor time is compared, so that a busy machine does not matter; reading every row would exceed the limit.
    assert min(first_call(large)[1] for _ in range(3)) < small + 1.0
