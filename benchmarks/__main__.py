"""`python -m benchmarks`: batchsync beside other ways of doing the same, in turn, in one run.

Each measurement is a process of its own. No time is asserted: the machine may be busy, and only ratios within one run
are worth keeping. Groups and names for --only are listed by --list. The table goes to standard output; table, JSON
and plots go to the folder of --out.
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

from benchmarks import plots, report
from benchmarks.measurements import FOLDER, GROUPS, ROOT, Measurement, Wish, everything
from benchmarks.processes import run

_AGAINST = ("naive", "dlt", "floor parquet", "floor csv", "batchsync parquet")


def main() -> None:
    """Measure what the command line says."""
    given = _arguments()
    wish = _wish(given)
    known = everything(wish)
    if given.list:
        print(_listed(known))
        return
    chosen = _chosen(known, given.only or list(GROUPS))
    lines = report.lines(chosen, _rounds(chosen, wish, given.repeat))
    about = {"rows": given.rows, "seed": given.seed, "cores": os.cpu_count(), "python": platform.python_version()}
    text = report.table(lines, _AGAINST)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "benchmarks.txt").write_text(text + "\n", encoding="utf-8")
    report.as_json(lines, about | {"load": os.getloadavg()}, given.out / "benchmarks.json")
    plots.bars(lines, f"{given.rows:,} guests, {os.cpu_count()} cores", given.out / "benchmarks.svg")
    plots.scaling(lines, given.out / "scaling.svg")


def _arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, metavar="N", help="guests to measure with (default: 1000000)")
    add("--scale", type=int, nargs="+", metavar="N", help="row counts of the group `rows` (default: a fifth, and all)")
    add("--seed", type=int, default=7, help="what the guests come out of (default: 7)")
    add(
        "--repeat", type=int, default=3, metavar="N", help="rounds; each measures everything once, in turn (default: 3)"
    )
    add("--only", nargs="+", metavar="NAME", help="groups or single measurements (default: all); --list lists them")
    add("--list", action="store_true", help="list the groups and the measurements, and measure nothing")
    add("--peers", metavar="PYTHON", help="a Python that has dlt, pandas and drt-core")
    add("--data", type=Path, metavar="FOLDER", help="where generated files are kept (default: a temporary folder)")
    add("--out", type=Path, default=Path("out/benchmarks"), metavar="FOLDER", help="default: out/benchmarks")
    return parser.parse_args()


def _wish(given: argparse.Namespace) -> Wish:
    scale = given.scale or {max(1, given.rows // 5), given.rows}
    return Wish(
        rows=given.rows,
        scale=tuple(sorted(scale)),
        seed=given.seed,
        data=(given.data or Path(tempfile.gettempdir()) / "batchsync-benchmarks").absolute(),
        peers=given.peers,
    )


def _listed(known: list[Measurement]) -> str:
    lines = []
    for group, says in GROUPS.items():
        lines.append(f"{group}: {says}")
        lines += [f"  {item.name}" for item in known if item.group == group]
    return "\n".join(lines)


def _chosen(known: list[Measurement], wanted: list[str]) -> list[Measurement]:
    strange = set(wanted) - {item.group for item in known} - {item.name for item in known} - set(GROUPS)
    if strange:
        raise SystemExit(f"--only: there is no {', '.join(sorted(strange))}; --list lists what there is")
    return [item for item in known if item.group in wanted or item.name in wanted]


def _rounds(chosen: list[Measurement], wish: Wish, repeat: int) -> dict[str, list[dict[str, Any]]]:
    """Return what each measurement said, by its name; one that says several things has a name for each."""
    commands = []
    for item in chosen:
        command = item.command(wish)
        if isinstance(command, str):
            print(f"{item.name}: left out, {command}", file=sys.stderr)
        else:
            commands.append((item.name, command))
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(repeat):
        for name, command in commands:
            print(f"... {name}", file=sys.stderr)
            for said in _measured(command, wish.data / "work"):
                part = f"{name}: {said['name']}" if "name" in said else name
                runs.setdefault(part, []).append(said)
    return runs


def _measured(command: list[str], folder: Path) -> list[dict[str, Any]]:
    """Return what one process said about itself, line by line."""
    shutil.rmtree(folder, ignore_errors=True)
    given = [str(folder) if item == FOLDER else item for item in command]
    code, said = run(given, ROOT)
    shutil.rmtree(folder, ignore_errors=True)
    if code:
        raise SystemExit(code)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    main()
