"""Shared fixtures of the reconcile tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Test folders are no packages; shared modules are found by their folder.
sys.path.insert(0, str(Path(__file__).parent))

from harness import Harness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment


@pytest.fixture
def harness(deployment: Deployment) -> Iterator[Harness]:
    """The engine in this process, over HTTP to mocks, with the clock of the mocks."""
    with Harness.opened(deployment) as opened:
        yield opened
