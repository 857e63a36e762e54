"""Fixtures of all test folders."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

import batchsync_mocks
from batchsync.cli.personal import CI_VARIABLES
from kit.deployment import JOBS, Deployment, write_sources
from kit.shared_work import helper_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

# Many tests start the real command. If Python may not write bytecode beside the sources, it is written below pytest's
# cache: otherwise each start compiles every library, which takes longer than the command itself.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode"))

# No test writes into the real home folder. XDG_STATE_HOME is for tests that remove the variables of batchsync.
_ANCHORS = tempfile.TemporaryDirectory(prefix="batchsync-anchors-")
os.environ["BATCHSYNC_ANCHORS"] = _ANCHORS.name
os.environ["XDG_STATE_HOME"] = str(Path(_ANCHORS.name) / "state")

# The tests of masks set these; others expect the output of a terminal of their own.
for _variable in CI_VARIABLES:
    os.environ.pop(_variable, None)

# No test asserts a time, because the machine may be busy. Examples are the same in each run, so that a change passes or
# fails because of itself; `--hypothesis-profile=search` draws new ones.
settings.register_profile("batchsync", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("batchsync")

#: Real files beside the checkout on development machines; their licence does not permit to include them.
REAL_FILES = Path(__file__).parents[2] / "shared" / "data"
collect_ignore = [] if REAL_FILES.is_dir() else ["journeys/test_real_files.py"]


def pytest_report_header() -> str:
    """Return a line that states whether the real files are present."""
    found = f"in {REAL_FILES}" if REAL_FILES.is_dir() else "not present, their tests are left out"
    return f"real files: {found}"


@pytest.fixture(scope="session")
def player() -> Iterator[Executor]:
    """A helper process for work with few rows that is repeated thousands of times."""
    with helper_process() as pool:
        yield pool


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A small deployment with mocks of both vendors."""
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    write_sources(tmp_path)
    with batchsync_mocks.serve(state_dir=tmp_path / "vendors") as mocks:
        yield Deployment(tmp_path, mocks)
