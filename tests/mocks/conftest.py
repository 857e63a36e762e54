"""Fixtures with mocks on real sockets and a frozen clock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import batchsync_mocks

# Test folders are not packages; shared modules are imported from this folder.
sys.path.insert(0, str(Path(__file__).parent))

from mock_clients import MotorwebClient, SitecoreClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def mocks() -> Iterator[batchsync_mocks.Running]:
    clock = batchsync_mocks.Clock("2026-03-01T12:00:00Z", frozen=True)
    with batchsync_mocks.serve(clock=clock, seed=7) as running:
        yield running


@pytest.fixture
def motorweb(mocks: batchsync_mocks.Running) -> MotorwebClient:
    return MotorwebClient(mocks)


@pytest.fixture
def sitecore(mocks: batchsync_mocks.Running) -> SitecoreClient:
    return SitecoreClient(mocks)
