"""Mocks on real sockets for the tests of the mocks, with a clock that stands still until it is told to move."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lading_mocks

# Test folders are no packages, so what several test files share is found by its folder.
sys.path.insert(0, str(Path(__file__).parent))

from mock_clients import MotorwebClient, SitecoreClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def mocks() -> Iterator[lading_mocks.Running]:
    clock = lading_mocks.Clock("2026-03-01T12:00:00Z", frozen=True)
    with lading_mocks.serve(clock=clock, seed=7) as running:
        yield running


@pytest.fixture
def motorweb(mocks: lading_mocks.Running) -> MotorwebClient:
    return MotorwebClient(mocks)


@pytest.fixture
def sitecore(mocks: lading_mocks.Running) -> SitecoreClient:
    return SitecoreClient(mocks)
