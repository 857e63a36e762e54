"""Fixtures that every area may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

import batchsync_mocks
from kit.deployment import JOBS, Deployment, write_sources
from kit.shares import beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

# Many tests start the real command. Where Python may keep no bytecode beside the sources, it is kept in a place of
# pytest's own: else each start compiles every library anew, which takes longer than all that the command does.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode"))

# No test asserts a time, not even by accident: the machine may be busy.
settings.register_profile("batchsync", deadline=None)
settings.load_profile("batchsync")

#: Real files that lie beside the checkout where batchsync is developed; their licence keeps them out of it.
REAL_FILES = Path(__file__).parents[2] / "shared" / "data"
collect_ignore = [] if REAL_FILES.is_dir() else ["journeys/test_real_files.py"]


def pytest_report_header() -> str:
    """Say whether the real files are here."""
    where = f"in {REAL_FILES}" if REAL_FILES.is_dir() else "not here, so the tests on them are left out"
    return f"real files: {where}"


@pytest.fixture(scope="session")
def player() -> Iterator[Executor]:
    """One process beside this one for everything that is played with few rows, thousands of times."""
    with beside() as pool:
        yield pool


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A small deployment with its own mocks of both vendors."""
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    write_sources(tmp_path)
    with batchsync_mocks.serve(state_dir=tmp_path / "vendors") as mocks:
        yield Deployment(tmp_path, mocks)
