"""`python -m benchmarks`: compare batchsync with alternatives, in turn, in one run.

Each measurement is a process of its own. No time is asserted: the machine may be busy, and only ratios within one run
are meaningful. --list lists groups and names for --only. The table is printed to standard output; table, JSON and
plots are written to the folder of --out.
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

from batchsync.core.deployment import Resources
from batchsync.settings import library_settings
from benchmarks import plots, report
from benchmarks.measurements import FOLDER, GROUPS, ROOT, Measurement, Options, all_measurements
from benchmarks.processes import run

_BASELINES = ("naive", "dlt", "floor parquet", "floor csv", "batchsync parquet")


def main() -> None:
    """Run the measurements that the command line selects, and write the report."""
    os.environ.update(library_settings(Resources()))
    arguments = _arguments()
    options = _options(arguments)
    known = all_measurements(options)
    if arguments.list:
        print(_listed(known))
        return
    chosen = _chosen(known, arguments.only or list(GROUPS))
    lines = report.lines(chosen, _rounds(chosen, options, arguments.repeat))
    about = {
        "rows": arguments.rows,
        "seed": arguments.seed,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    text = report.table(lines, _BASELINES)
    print(text)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmarks.txt").write_text(text + "\n", encoding="utf-8")
    report.write_json(lines, about | {"load": os.getloadavg()}, arguments.out / "benchmarks.json")
    plots.bars(lines, f"{arguments.rows:,} guests, {os.cpu_count()} cores", arguments.out / "benchmarks.svg")
    plots.scaling(lines, arguments.out / "scaling.svg")


def _arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, metavar="N", help="Number of guests (default: 1000000)")
    add("--scale", type=int, nargs="+", metavar="N", help="Row counts of the group `rows` (default: a fifth, and all)")
    add("--seed", type=int, default=7, help="Seed of the generated guests (default: 7)")
    add(
        "--repeat", type=int, default=3, metavar="N", help="Rounds; each measures everything once, in turn (default: 3)"
    )
    add("--only", nargs="+", metavar="NAME", help="Groups or single measurements (default: all); see --list")
    add("--list", action="store_true", help="List groups and measurements, and measure nothing")
    add("--peers", metavar="PYTHON", help="Python interpreter with dlt, pandas and drt-core")
    add("--data", type=Path, metavar="FOLDER", help="Folder of generated files (default: a temporary folder)")
    add("--out", type=Path, default=Path("out/benchmarks"), metavar="FOLDER", help="Default: out/benchmarks")
    return parser.parse_args()


def _options(arguments: argparse.Namespace) -> Options:
    scale = arguments.scale or {max(1, arguments.rows // 5), arguments.rows}
    return Options(
        rows=arguments.rows,
        scale=tuple(sorted(scale)),
        seed=arguments.seed,
        data=(arguments.data or Path(tempfile.gettempdir()) / "batchsync-benchmarks").absolute(),
        peers=arguments.peers,
    )


def _listed(known: list[Measurement]) -> str:
    lines = []
    for group, description in GROUPS.items():
        lines.append(f"{group}: {description}")
        lines += [f"  {measurement.name}" for measurement in known if measurement.group == group]
    return "\n".join(lines)


def _chosen(known: list[Measurement], names: list[str]) -> list[Measurement]:
    unknown = set(names) - {name for measurement in known for name in (measurement.group, measurement.name)}
    unknown -= set(GROUPS)
    if unknown:
        raise SystemExit(f"--only: unknown measurement {', '.join(sorted(unknown))}; --list lists all")
    return [measurement for measurement in known if measurement.group in names or measurement.name in names]


def _rounds(chosen: list[Measurement], options: Options, repeat: int) -> dict[str, list[dict[str, Any]]]:
    """Return the results of each measurement by its name, with a suffix if a measurement has several results."""
    commands = []
    for measurement in chosen:
        command = measurement.command(options)
        if isinstance(command, str):
            print(f"{measurement.name}: skipped, {command}", file=sys.stderr)
        else:
            commands.append((measurement.name, command))
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(repeat):
        for name, command in commands:
            print(f"... {name}", file=sys.stderr)
            for result in _measure(command, options.data / "work"):
                part = f"{name}: {result['name']}" if "name" in result else name
                runs.setdefault(part, []).append(result)
    return runs


def _measure(command: list[str], folder: Path) -> list[dict[str, Any]]:
    """Run a measurement and return the JSON lines that it prints."""
    shutil.rmtree(folder, ignore_errors=True)
    arguments = [str(folder) if argument == FOLDER else argument for argument in command]
    code, output = run(arguments, ROOT)
    shutil.rmtree(folder, ignore_errors=True)
    if code:
        raise SystemExit(code)
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    main()
