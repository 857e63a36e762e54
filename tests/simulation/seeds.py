"""Many seeds, in one process or in several, summed up. It does not know what a seed does."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from simulation.play import play

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simulation.report import Report


@dataclass
class Sum:
    """What a set of seeds came to."""

    played: int = 0
    crashes: int = 0
    #: the most passes and virtual hours until everything was at rest
    passes: int = 0
    hours: float = 0.0
    violations: dict[int, list[str]] = field(default_factory=dict)
    sometimes: Counter[str] = field(default_factory=Counter)
    planned: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)

    def add(self, report: Report) -> None:
        """Count one more seed."""
        self.played += 1
        self.crashes += report.crashes
        self.passes, self.hours = max(self.passes, report.passes), max(self.hours, report.hours)
        self.sometimes.update(report.sometimes)
        self.planned.update(report.planned)
        self.fired.update(report.fired)
        if report.violations:
            self.violations[report.seed] = report.violations

    def add_all(self, other: Sum) -> None:
        """Count what another set of seeds came to."""
        self.played += other.played
        self.crashes += other.crashes
        self.passes, self.hours = max(self.passes, other.passes), max(self.hours, other.hours)
        self.sometimes.update(other.sometimes)
        self.planned.update(other.planned)
        self.fired.update(other.fired)
        self.violations.update(other.violations)


def folder() -> Path:
    """Return a folder of this process, in memory where the machine has such a thing."""
    return in_memory() / f"lading-simulation-{os.getpid()}"


def in_memory() -> Path:
    """Return a folder in memory where there is one, for here every fsync counts."""
    shared = Path("/dev/shm")  # noqa: S108 - what is made in it has the process in its name
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def one(seed: int, plant: str = "") -> Report:
    """Play a seed, with a planted bug if one is named."""
    report = play_with(seed, plant)
    report.transcript.clear()
    return report


def play_with(seed: int, plant: str) -> Report:
    """Play a seed and keep its transcript."""
    planted: AbstractContextManager[object] = nullcontext()
    if plant:
        from simulation.plants import PLANTS  # noqa: PLC0415 - only who plants needs it

        planted = PLANTS[plant].planted()
    with planted:
        return play(seed, folder())


def chunk(seeds: list[int], plant: str) -> list[Report]:
    """Play some seeds in a row and leave nothing behind."""
    try:
        return [one(seed, plant) for seed in seeds]
    finally:
        shutil.rmtree(folder(), ignore_errors=True)


def summed(seeds: Iterable[int]) -> Sum:
    """Play some seeds in a row and return what they came to."""
    total = Sum()
    for report in chunk(list(seeds), ""):
        total.add(report)
    return total


def digests(seeds: Iterable[int]) -> list[str]:
    """Play some seeds in a row and return the digest of all that happened in each."""
    return [report.digest for report in chunk(list(seeds), "")]


def first_violated(seeds: Iterable[int], plant: str) -> int | None:
    """Play seeds with a planted bug until one complains, and return it."""
    try:
        return next((seed for seed in seeds if one(seed, plant).violations), None)
    finally:
        shutil.rmtree(folder(), ignore_errors=True)


def reports(seeds: Iterable[int], jobs: int, plant: str = "", size: int = 10) -> Iterator[Report]:
    """Yield the report of each seed, in order."""
    wanted = list(seeds)
    chunks = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    if jobs == 1:
        for part in chunks:
            yield from chunk(part, plant)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            for done in pool.map(chunk, chunks, [plant] * len(chunks)):
                yield from done
        finally:
            pool.shutdown(cancel_futures=True)
