"""What a row of the journal names is on the disk, and so is its name, before the transaction that names it commits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.journal import Journal
from kit.matrix import Scenario, prepare_whole
from simulation.life import Fuse
from simulation.many import folder
from simulation.wire import plugged

if TYPE_CHECKING:
    from collections.abc import Iterator


class Watched(Fuse):
    """Looks at the files before each commit; `synced` holds the inodes that were fsynced so far."""

    def __init__(self, state: Path, synced: set[tuple[int, int]]) -> None:
        super().__init__()
        self.state, self.synced = state, synced
        self.missing: list[str] = []
        self.looked: set[str] = set()

    def checkpoint(self, name: str) -> None:
        super().checkpoint(name)
        what = {"start_run:commit": "staging", "deliver:commit": "baselines"}.get(name)
        if what is not None:
            self._look(name, what)

    def _look(self, name: str, what: str) -> None:
        for path in [self.state / what, *(self.state / what).rglob("*")]:
            if path.is_dir() and not any(item.is_file() for item in path.iterdir()):
                continue
            self.looked.add(f"{name} {what}")
            if identity(path.stat()) not in self.synced:
                self.missing.append(f"{name}: {path.relative_to(self.state)} was not fsynced")


def identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """The inodes that somebody fsynced."""
    seen: set[tuple[int, int]] = set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        seen.add(identity(os.fstat(descriptor)))

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


@pytest.fixture(params=["guests", "vehicles"])
def scenario(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    place = Path(f"{folder()}-fsync")
    yield Scenario(request.param, place)
    shutil.rmtree(place)


def test_files_are_fsynced_before_their_journal_row(scenario: Scenario, synced: set[tuple[int, int]]) -> None:
    shutil.rmtree(scenario.state)
    fuse = Watched(scenario.state, synced)
    with plugged(scenario.network), scenario._process(fuse) as one:
        with one.world.lease(scenario.job):
            prepare_whole(one.contexts[0], one.world)
        scenario._resume_in(one)
    assert not fuse.missing
    assert fuse.looked == {"start_run:commit staging", "deliver:commit baselines"}
    with Journal.open(scenario.state) as journal:
        assert not journal.open_batches()
