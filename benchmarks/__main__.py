"""`python -m benchmarks`: lading's preparation beside other ways of doing the same, in turn, in one run.

Each measurement is a process of its own. No time is asserted: the machine may be busy, and only ratios are worth
keeping.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import floor, generate, report
from benchmarks.processes import run

_ROOT = Path(__file__).parents[1]
#: Slow ways are measured on so many rows; their rate does not depend on it.
_SLOW_ROWS = 50_000
_FAST = ("lading parquet", "lading csv", "floor parquet", "floor csv")
_SLOW = ("naive", "naive level 6", "pandas", "dlt")
_AGAINST = ("naive", "dlt", "floor parquet", "floor csv")


def main() -> None:
    """Measure what the command line says."""
    given = _arguments()
    wanted = given.only or [*_FAST, *_SLOW]
    data = Path(given.data or tempfile.gettempdir()) / "lading-benchmarks"
    parquet, csv = generate.generate(data, given.rows, given.seed)
    commands = {one: made for one in wanted if (made := _command(one, given, parquet, csv))}
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(given.repeat):
        for name, command in commands.items():
            print(f"... {name}", file=sys.stderr)
            runs.setdefault(name, []).append(_measured(command, data / "work"))
    lines = [report.line(name, found) for name, found in runs.items()]
    print(report.table(lines, _AGAINST))
    about = {"rows": given.rows, "seed": given.seed, "cores": os.cpu_count(), "python": platform.python_version()}
    given.out.mkdir(parents=True, exist_ok=True)
    report.as_json(lines, about | {"load": os.getloadavg()}, given.out / "benchmarks.json")
    report.plot(lines, f"Preparation of {given.rows:,} guests, {os.cpu_count()} cores", given.out / "benchmarks.svg")


def _arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=3, help="rounds; each round measures everything once, in turn")
    parser.add_argument("--only", nargs="+", choices=[*_FAST, *_SLOW])
    parser.add_argument("--peers", help="a Python that has dlt and pandas")
    parser.add_argument("--data", help="folder for generated files")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"))
    return parser.parse_args()


def _command(name: str, given: argparse.Namespace, parquet: Path, csv: Path) -> list[str] | None:
    """Return the command of one measurement without its folder, or None after a word why not."""
    source = parquet if name.endswith("parquet") else csv
    if name.startswith("lading"):
        return [sys.executable, "-m", "benchmarks.subject", "prepare", str(source), "FOLDER"]
    if name.startswith("floor"):
        if floor.compiler() is None:
            print(f"{name}: left out, there is no C compiler", file=sys.stderr)
            return None
        return [sys.executable, "-m", "benchmarks.floor", str(source), "FOLDER"]
    most = str(min(given.rows, _SLOW_ROWS))
    if name.startswith("naive"):
        level = "6" if name.endswith("6") else "9"
        return [sys.executable, str(_ROOT / "benchmarks" / "naive.py"), str(csv), "FOLDER", level, most]
    python = given.peers
    if not python or run([python, "-c", f"import {name}"], _ROOT)[0]:
        print(f"{name}: left out, no Python was given that has it (--peers)", file=sys.stderr)
        return None
    return [python, str(_ROOT / "benchmarks" / "peers.py"), name, str(csv), "FOLDER", most]


def _measured(command: list[str], folder: Path) -> dict[str, Any]:
    """Return what one process said about itself."""
    shutil.rmtree(folder, ignore_errors=True)
    given = [str(folder) if one == "FOLDER" else one for one in command]
    code, said = run(given, _ROOT)
    shutil.rmtree(folder, ignore_errors=True)
    if code:
        raise SystemExit(code)
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
