"""The list of what can be measured: by name and group, each as the command of a process. It starts none of them."""

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
#: Stands for the folder of a measurement in its command.
FOLDER = "FOLDER"
#: Slow ways are measured on so many rows; their rate does not depend on it.
_SLOW_ROWS = 50_000
#: One row in so many differs where some have changed.
_EVERY = 100
GROUPS = {
    "prepare": "read, map, check, compare, encode, compress, seal; in C too (floor)",
    "peers": "what people use today, on 50,000 rows at most: a naive script; with --peers dlt, pandas and drt",
    "settle": "join a first load to its evidence and move the baseline",
    "sync": "the whole command against served mocks: first load, no change, 1 % changed, by stage",
    "cores": "prepare with 1, 2, 4, ... cores (needs taskset)",
    "rows": "prepare with other numbers of rows (--scale)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks for, as far as commands depend on it."""

    rows: int
    scale: tuple[int, ...]
    seed: int
    data: Path
    peers: str | None

    def source(self, kind: str, rows: int | None = None) -> Path:
        """Return the generated file of a kind, which is made if it is not there."""
        parquet, csv = generate.generate(self.data, rows or self.rows, self.seed)
        return parquet if kind == "parquet" else csv


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One thing to measure. `command` returns its command, or words why it is left out."""

    name: str
    group: str
    command: Callable[[Wish], list[str] | str]
    rows: int | None = None
    cores: int | None = None


def everything(wish: Wish) -> list[Measurement]:
    """Return all measurements, in the order in which they are made."""
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
    for rows in wish.scale:
        name = f"batchsync parquet, {rows:,} rows"
        found.append(Measurement(name=name, group="rows", command=_prepare("parquet", rows), rows=rows))
    return found


_NAIVE = {"naive": "9", "naive level 6": "6"}


def _prepare(kind: str, rows: int | None = None) -> Callable[[Wish], list[str] | str]:
    return lambda wish: _module("subject", "prepare", str(wish.source(kind, rows)), FOLDER)


def _floor(kind: str) -> Callable[[Wish], list[str] | str]:
    def command(wish: Wish) -> list[str] | str:
        if floor.compiler() is None:
            return "there is no C compiler"
        return _module("floor", str(wish.source(kind)), FOLDER)

    return command


def _naive(level: str) -> Callable[[Wish], list[str] | str]:
    script = str(ROOT / "benchmarks" / "naive.py")
    return lambda wish: [sys.executable, script, str(wish.source("csv")), FOLDER, level, _few(wish)]


def _peer(name: str) -> Callable[[Wish], list[str] | str]:
    def command(wish: Wish) -> list[str] | str:
        if not wish.peers or run([wish.peers, "-c", f"import {name}"], ROOT)[0]:
            return "no Python was given that has it (--peers)"
        script = str(ROOT / "benchmarks" / "peers.py")
        return [wish.peers, script, name, str(wish.source("csv")), FOLDER, _few(wish)]

    return command


def _settle(wish: Wish) -> list[str]:
    return _module("settling", str(wish.source("parquet")), FOLDER)


def _sync(wish: Wish) -> list[str]:
    source = wish.source("parquet")
    return _module("whole", str(source), str(generate.changed(source, wish.data, _EVERY)), FOLDER)


def _bound(cores: int) -> Callable[[Wish], list[str] | str]:
    def command(wish: Wish) -> list[str] | str:
        if shutil.which("taskset") is None:
            return "there is no taskset"
        return ["taskset", "-c", f"0-{cores - 1}", *_module("subject", "prepare", str(wish.source("parquet")), FOLDER)]

    return command


def _core_counts() -> list[int]:
    """Return 1, 2, 4, ... up to all cores."""
    most = os.cpu_count() or 1
    return sorted({1 << power for power in range(most.bit_length()) if 1 << power <= most} | {most})


def _few(wish: Wish) -> str:
    return str(min(wish.rows, _SLOW_ROWS))


def _module(name: str, *given: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{name}", *given]
