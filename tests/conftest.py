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

#: Real files that lie beside the checkout where lading is developed; their licence keeps them out of it.
REAL_FILES = Path(__file__).parents[2] / "shared" / "data"
collect_ignore = [] if REAL_FILES.is_dir() else ["journeys/test_real_files.py"]


def pytest_report_header() -> str:
    """Say whether the real files are here."""
    return f"real files: {'in ' + str(REAL_FILES) if REAL_FILES.is_dir() else 'not here, so tests on them are left out'}"


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A small deployment with its own mocks of both vendors."""
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    write_sources(tmp_path)
    with lading_mocks.serve(state_dir=tmp_path / "vendors") as mocks:
        yield Deployment(tmp_path, mocks)
