"""List of the measurements by name and group, each with the command of its process."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import floor, generate
from benchmarks.processes import run

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
#: Placeholder in commands for the folder of a measurement.
FOLDER = "FOLDER"
#: Maximum number of rows for slow measurements, whose rate does not depend on it.
_SLOW_ROWS = 50_000
#: Distance of changed rows in the run with changes.
_CHANGED_EVERY = 100
GROUPS = {
    "prepare": "read, map, check, compare, encode, compress, finalize; also in C (floor)",
    "peers": "alternatives, on at most 50,000 rows: a naive script; with --peers dlt, pandas and drt",
    "settle": "join the outcomes of a first load and apply them to the baseline",
    "sync": "the complete command against served mocks: first load, no change, 1 % changed, by stage",
    "cores": "prepare with 1, 2, 4, ... cores (requires taskset)",
    "rows": "prepare with other numbers of rows (--scale)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the command line on which commands depend.

    Attributes:
        rows: Number of guests.
        scale: Row counts of the group `rows`.
        seed: Seed of the generated guests.
        data: Absolute path of the folder of generated files.
        peers: Python interpreter with the alternatives, if any.
    """

    rows: int
    scale: tuple[int, ...]
    seed: int
    data: Path
    peers: str | None

    def source(self, kind: str, rows: int | None = None) -> Path:
        """Return the generated `parquet` or `csv` file, generating it unless it exists."""
        parquet, csv = generate.generate(self.data, rows or self.rows, self.seed)
        return parquet if kind == "parquet" else csv


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measurement. `command` returns its command, or the reason why it is skipped."""

    name: str
    group: str
    command: Callable[[Options], list[str] | str]
    rows: int | None = None
    cores: int | None = None


def all_measurements(options: Options) -> list[Measurement]:
    """Return all measurements in the order of execution."""
    found = [
        Measurement(name=f"batchsync {kind}", group="prepare", command=_prepare(kind)) for kind in ("parquet", "csv")
    ]
    found += [Measurement(name=f"floor {kind}", group="prepare", command=_floor(kind)) for kind in ("parquet", "csv")]
    found += [Measurement(name=name, group="peers", command=_naive(level)) for name, level in _NAIVE.items()]
    found += [Measurement(name=name, group="peers", command=_peer(name)) for name in ("pandas", "dlt", "drt")]
    found.append(Measurement(name="settle", group="settle", command=_settle))
    found.append(Measurement(name="sync", group="sync", command=_sync))
    for cores in _core_counts():
        name = f"batchsync parquet, {cores} core{'s' if cores > 1 else ''}"
        found.append(Measurement(name=name, group="cores", command=_bound(cores), cores=cores))
    for rows in options.scale:
        name = f"batchsync parquet, {rows:,} rows"
        found.append(Measurement(name=name, group="rows", command=_prepare("parquet", rows), rows=rows))
    return found


_NAIVE = {"naive": "9", "naive level 6": "6"}


def _prepare(kind: str, rows: int | None = None) -> Callable[[Options], list[str] | str]:
    return lambda options: _module("subject", "prepare", str(options.source(kind, rows)), FOLDER)


def _floor(kind: str) -> Callable[[Options], list[str] | str]:
    def command(options: Options) -> list[str] | str:
        if floor.compiler() is None:
            return "no C compiler found"
        return _module("floor", str(options.source(kind)), FOLDER)

    return command


def _naive(level: str) -> Callable[[Options], list[str] | str]:
    script = str(ROOT / "benchmarks" / "naive.py")
    return lambda options: [sys.executable, script, str(options.source("csv")), FOLDER, level, _slow_rows(options)]


def _peer(name: str) -> Callable[[Options], list[str] | str]:
    def command(options: Options) -> list[str] | str:
        if not options.peers or run([options.peers, "-c", f"import {name}"], ROOT)[0]:
            return "no Python interpreter with it (--peers)"
        script = str(ROOT / "benchmarks" / "peers.py")
        return [options.peers, script, name, str(options.source("csv")), FOLDER, _slow_rows(options)]

    return command


def _settle(options: Options) -> list[str]:
    return _module("settling", str(options.source("parquet")), FOLDER)


def _sync(options: Options) -> list[str]:
    source = options.source("parquet")
    return _module("whole", str(source), str(generate.changed(source, options.data, _CHANGED_EVERY)), FOLDER)


def _bound(cores: int) -> Callable[[Options], list[str] | str]:
    def command(options: Options) -> list[str] | str:
        if shutil.which("taskset") is None:
            return "no taskset found"
        return [
            "taskset",
            "-c",
            f"0-{cores - 1}",
            *_module("subject", "prepare", str(options.source("parquet")), FOLDER),
        ]

    return command


def _core_counts() -> list[int]:
    """Return 1, 2, 4, ... up to the number of cores."""
    cores = os.cpu_count() or 1
    return sorted({1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores})


def _slow_rows(options: Options) -> str:
    return str(min(options.rows, _SLOW_ROWS))


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{name}", *arguments]
