"""Files and their folders are fsynced before the journal transaction that refers to them commits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.journal import Journal
from kit.matrix import Scenario, prepare_completely
from simulation.network import connected
from simulation.process_life import CrashPoint
from simulation.seeds import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


class FsyncCheck(CrashPoint):
    """Checks the files before each commit; `synced` holds the inodes that were fsynced so far."""

    def __init__(self, state: Path, synced: set[tuple[int, int]]) -> None:
        super().__init__()
        self.state, self.synced = state, synced
        self.missing: list[str] = []
        self.checked: set[str] = set()

    def checkpoint(self, name: str) -> None:
        super().checkpoint(name)
        folder_name = {"start_run:commit": "staging", "deliver:commit": "baselines"}.get(name)
        if folder_name is not None:
            self._check(name, folder_name)

    def _check(self, name: str, folder_name: str) -> None:
        for path in [self.state / folder_name, *(self.state / folder_name).rglob("*")]:
            if path.is_dir() and not any(item.is_file() for item in path.iterdir()):
                continue
            self.checked.add(f"{name} {folder_name}")
            if identity(path.stat()) not in self.synced:
                self.missing.append(f"{name}: {path.relative_to(self.state)} was not fsynced")


def identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Return the inodes that were fsynced."""
    inodes: set[tuple[int, int]] = set()
    original = os.fsync

    def fsync(descriptor: int) -> None:
        original(descriptor)
        inodes.add(identity(os.fstat(descriptor)))

    monkeypatch.setattr(os, "fsync", fsync)
    return inodes


@pytest.fixture(params=["guests", "vehicles"])
def scenario(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    place = Path(f"{scratch_folder()}-fsync")
    yield Scenario(request.param, place)
    shutil.rmtree(place)


def test_files_are_fsynced_before_their_journal_row(scenario: Scenario, synced: set[tuple[int, int]]) -> None:
    shutil.rmtree(scenario.state)
    crash_point = FsyncCheck(scenario.state, synced)
    with connected(scenario.network), scenario._process(crash_point) as engine:
        with engine.services.lease(scenario.job):
            prepare_completely(engine.contexts[0], engine.services)
        scenario._resume_in(engine)
    assert not crash_point.missing
    assert crash_point.checked == {"start_run:commit staging", "deliver:commit baselines"}
    with Journal.open(scenario.state) as journal:
        assert not journal.open_batches()
