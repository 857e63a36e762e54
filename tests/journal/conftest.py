"""Fixtures of the journal tests; sample values are in `journal_samples`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Test folders are not packages, so shared modules are imported by folder.
sys.path.insert(0, str(Path(__file__).parent))

from batchsync.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the path of a state folder that does not exist yet."""
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> Iterator[Journal]:
    """Yield a new journal."""
    with Journal.open(state, journal_id="journal-1") as opened:
        yield opened
