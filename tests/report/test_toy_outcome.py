"""A further row outcome is one line in `core/row_outcome.py`: everything counts and shows it without another change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("file", "passed"),
    [
        (HERE / "toy_outcomes.py", 7),
        (HERE.parent / "core" / "test_accounting_and_guards.py", 50),
        (HERE.parent / "journal" / "test_watermark.py", 10),
    ],
    ids=["from plan to mocks", "equations", "journal"],
)
def test_toy_outcomes_balance_everywhere(file: Path, passed: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "add_toy_outcomes"]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'inner'}", str(file)],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE.parent / "journal", HERE.parent / "data")))},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.splitlines()[-1].split(" passed")[0].split()[-1]) >= passed
