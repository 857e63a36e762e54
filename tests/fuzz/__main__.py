"""`python -m fuzz TARGET`: run a target, and print what raises an undeclared error."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from fuzz.running import fuzz
from fuzz.targets import TARGETS_BY_NAME


def main() -> int:
    """Run a target; return 1 if it failed for an input."""
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("target", choices=sorted(TARGETS_BY_NAME))
    parser.add_argument("--seed", type=int, default=1, help="seed of all inputs")
    parser.add_argument("--seconds", type=float, default=60, help="time limit")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--inputs", type=int, help="number of inputs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(
            options.target,
            Path(folder),
            seed=options.seed,
            seconds=options.seconds,
            first=options.first,
            inputs=options.inputs,
        )
    for number, text in found.failed.items():
        sys.stdout.write(f"--seed {options.seed} --first {number} --inputs 1: {text}\n")
    sys.stdout.write(f"{options.target}: {found.inputs} inputs, {len(found.failed)} failed\n")
    return bool(found.failed)


if __name__ == "__main__":
    sys.exit(main())
