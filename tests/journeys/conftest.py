"""Fixtures of the journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.forward_proxy import NamedDeployment, named_vendors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment


@pytest.fixture
def named(deployment: Deployment) -> Iterator[NamedDeployment]:
    """A deployment whose connections reach the mocks under the names of their vendors, through a proxy."""
    with named_vendors(deployment.mocks, deployment.folder) as vendors:
        yield NamedDeployment(deployment.folder, deployment.mocks, vendors)
