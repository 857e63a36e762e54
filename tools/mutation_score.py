"""Mutation score of `engine/batchsync/core`: the share of small faults that `tests/core` detects.

mutmut expects code and tests side by side, so both are copied to a folder, by default `build/mutation`. Prints the
mutants that survive and the score, and exits with 1 if the score is below 90 %.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIRED = 0.9
STATS = Path("mutants") / "mutmut-cicd-stats.json"


def copy_tree(folder: Path) -> None:
    """Replace the folder with a copy of the engine, its configuration and the tests of the core."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tests").mkdir(parents=True)
    shutil.copytree(ROOT / "engine" / "batchsync", folder / "batchsync")
    shutil.copytree(ROOT / "tests" / "core", folder / "tests" / "core")
    shutil.copy(ROOT / "pyproject.toml", folder)


def mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut in the folder and return its output; on failure, print the last 40 lines of it and exit."""
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit("\n".join(done.stdout.splitlines()[-40:]))
    return done.stdout


def score(stats: dict[str, int]) -> tuple[int, int]:
    """Return how many mutants were detected (a timeout counts) and how many were tested."""
    return stats["killed"] + stats["timeout"], stats["total"] - stats["skipped"]


def main() -> int:
    """Run all mutants, print the survivors and the score, and return the exit code."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "mutation"
    copy_tree(folder)
    mutmut(folder, "run")
    sys.stdout.write(mutmut(folder, "results"))
    mutmut(folder, "export-cicd-stats")
    detected, tested = score(json.loads((folder / STATS).read_text(encoding="utf-8")))
    sys.stdout.write(f"{detected} of {tested} mutants detected: {detected / tested:.1%}\n")
    return int(detected < REQUIRED * tested)


if __name__ == "__main__":
    sys.exit(main())
