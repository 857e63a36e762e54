"""Fixtures that every area may use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import lading_mocks  # noqa: E402 - the kit above is found through the path set here
from kit.deployment import JOBS, Deployment, write_sources  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A small deployment with its own mocks of both vendors."""
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    write_sources(tmp_path)
    with lading_mocks.serve(state_dir=tmp_path / "vendors") as mocks:
        yield Deployment(tmp_path, mocks)
