"""The scripts below tools/ that the Makefile runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.mutation_score import score

ROOT = Path(__file__).parents[2]


def find_python(candidates: str, folder: Path) -> str:
    """Return what tools/find-python.sh prints for these candidates, with the folder first on PATH."""
    done = subprocess.run(
        [ROOT / "tools" / "find-python.sh"],
        env={"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHON_CANDIDATES": candidates},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_first_usable_interpreter_is_found(tmp_path: Path) -> None:
    unusable = tmp_path / "python-unusable"
    unusable.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    unusable.chmod(0o755)
    assert find_python(f"python-missing python-unusable {sys.executable} other", tmp_path) == sys.executable


def test_no_usable_interpreter_prints_nothing(tmp_path: Path) -> None:
    assert find_python("python-missing", tmp_path) == ""


def test_timeouts_count_as_detected_and_skipped_mutants_do_not_count() -> None:
    assert score({"killed": 80, "timeout": 10, "survived": 8, "skipped": 2, "total": 100}) == (90, 98)
