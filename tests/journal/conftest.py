"""What the tests of the journal share stands beside them in `journal_samples`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Test folders are no packages, so what several test files share is found by its folder.
sys.path.insert(0, str(Path(__file__).parent))

from batchsync.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder that is not there yet."""
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> Iterator[Journal]:
    """A new journal."""
    with Journal.open(state, journal_id="lineage-1") as opened:
        yield opened
