"""Bench for tests of the data engine. The helper module beside this file is found through the path set here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from data_kit import Bench, job, rules


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A job that sends id, name and e-mail of `source.csv`."""
    return Bench(tmp_path, job(tmp_path, {"id": "=id", "name": "=name", "mail": "=mail"}), rules())
