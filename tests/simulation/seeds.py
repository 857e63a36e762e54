"""Plays many seeds in one process or several, and sums up their reports."""

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

from simulation.data_seed_run import play as play_data_vendor
from simulation.seed_run import play

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simulation.report import Report


@dataclass
class Summary:
    """Summary of the reports of a set of seeds."""

    played: int = 0
    crashes: int = 0
    #: largest number of passes and virtual hours until everything was settled
    passes: int = 0
    hours: float = 0.0
    violations: dict[int, list[str]] = field(default_factory=dict)
    reached: Counter[str] = field(default_factory=Counter)
    planned: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)

    def add(self, report: Report) -> None:
        """Add the report of a seed."""
        self.played += 1
        self.crashes += report.crashes
        self.passes, self.hours = max(self.passes, report.passes), max(self.hours, report.hours)
        self.reached.update(report.reached)
        self.planned.update(report.planned)
        self.hit.update(report.hit)
        if report.violations:
            self.violations[report.seed] = report.violations

    def add_all(self, other: Summary) -> None:
        """Add the summary of another set of seeds."""
        self.played += other.played
        self.crashes += other.crashes
        self.passes, self.hours = max(self.passes, other.passes), max(self.hours, other.hours)
        self.reached.update(other.reached)
        self.planned.update(other.planned)
        self.hit.update(other.hit)
        self.violations.update(other.violations)


def scratch_folder() -> Path:
    """Return the scratch folder of this process, in memory if possible."""
    return memory_folder() / f"batchsync-simulation-{os.getpid()}"


def memory_folder() -> Path:
    """Return a folder in memory if there is one, because fsync on a disk is slow."""
    shared = Path("/dev/shm")  # noqa: S108 - file names contain the process id
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def play_seed(seed: int, plant: str = "", vendor: str = "") -> Report:
    """Play a seed, optionally with a planted bug or a vendor that is data alone; drop its transcript."""
    report = play_with(seed, plant, vendor)
    report.transcript.clear()
    return report


def play_with(seed: int, plant: str, vendor: str = "") -> Report:
    """Play a seed, optionally with a planted bug, or with the job of a vendor that is data alone."""
    planted: AbstractContextManager[object] = nullcontext()
    if plant:
        from simulation.plants import PLANTS  # noqa: PLC0415 - needed for planted bugs only

        planted = PLANTS[plant].planted()
    with planted:
        return play_data_vendor(seed, scratch_folder(), vendor) if vendor else play(seed, scratch_folder())


def play_all(seeds: list[int], plant: str, vendor: str = "") -> list[Report]:
    """Play seeds one after the other, and remove the scratch folder."""
    try:
        return [play_seed(seed, plant, vendor) for seed in seeds]
    finally:
        shutil.rmtree(scratch_folder(), ignore_errors=True)


def summarize(seeds: Iterable[int], vendor: str = "") -> Summary:
    """Play seeds one after the other and return the sum of their reports."""
    total = Summary()
    for report in play_all(list(seeds), "", vendor):
        total.add(report)
    return total


def digests(seeds: Iterable[int]) -> list[str]:
    """Play seeds one after the other and return the digest of each transcript."""
    return [report.digest for report in play_all(list(seeds), "")]


def first_violation(seeds: Iterable[int], plant: str) -> int | None:
    """Play seeds with a planted bug; return the first one with a violation, or None."""
    try:
        return next((seed for seed in seeds if play_seed(seed, plant).violations), None)
    finally:
        shutil.rmtree(scratch_folder(), ignore_errors=True)


def reports(seeds: Iterable[int], jobs: int, plant: str = "", size: int = 10, vendor: str = "") -> Iterator[Report]:
    """Yield the report of each seed in order, played by `jobs` processes in chunks of `size` seeds."""
    wanted = list(seeds)
    chunks = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    if jobs == 1:
        for part in chunks:
            yield from play_all(part, plant, vendor)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            for done in pool.map(play_all, chunks, [plant] * len(chunks), [vendor] * len(chunks)):
                yield from done
        finally:
            pool.shutdown(cancel_futures=True)
