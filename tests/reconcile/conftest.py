"""Shared fixtures of the reconcile tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Test folders are no packages, so what several test files share is found by its folder.
sys.path.insert(0, str(Path(__file__).parent))

from harness import Harness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment


@pytest.fixture
def harness(deployment: Deployment) -> Iterator[Harness]:
    """The engine, wired in this process, over real HTTP to mocks whose clock the engine waits by."""
    with Harness.opened(deployment) as opened:
        yield opened
