"""Each parser meets the same changed inputs in each run of the suite, and raises declared errors only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fuzz.running import fuzz
from fuzz.targets import TARGETS_BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

#: Inputs of each target; on a slow machine the time limit in seconds ends a target earlier.
_INPUTS, _SECONDS = 1000, 10


@pytest.mark.parametrize("name", TARGETS_BY_NAME)
def test_changed_inputs_raise_declared_errors_only(name: str, tmp_path: Path) -> None:
    found = fuzz(name, tmp_path, seed=2026, seconds=_SECONDS, inputs=_INPUTS)
    assert found.inputs > 10
    assert found.failed == {}
