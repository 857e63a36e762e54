"""Lost results are collected again; a process that lost its lease reports it and keeps the new holder's files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from batchsync.core.batch import Phase
from batchsync.core.events import ResultsLost
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.errors import LockedError, UnavailableError
from batchsync.journal import Journal, unlock
from batchsync.ports import RowVerdicts
from batchsync.reconcile import collected
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import JobOutcome, resume
from kit.matrix import Scenario
from simulation.network import connected
from simulation.process_life import Crash, CrashPoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _delete(folder: Path) -> None:
    shutil.rmtree(folder)


def _truncate(folder: Path) -> None:
    for file in folder.rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-9])


def _flip(folder: Path) -> None:
    for file in folder.rglob("*.parquet"):
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 0x10
        file.write_bytes(bytes(data))


def _change_counts(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        file.write_text(file.read_text("utf-8").replace('"accepted": 1', '"accepted": 2'), "utf-8")


def _break_manifest(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        file.write_text("[", "utf-8")


def _crash_after_collect(job: str, folder: Path) -> Scenario:
    """Return a scenario whose process crashed right after the batch was journaled as collected."""
    Scenario(job, folder)
    # Only a reopened scenario keeps its clock on disk for the next process.
    scenario = Scenario.reopened(job, folder)
    crash_point = CrashPoint(r"data\.apply_verdicts:before", 1)
    with connected(scenario.network):
        scenario._resume(crash_point)
    assert crash_point.died_at, "the process did not crash"
    assert scenario._batch().phase is Phase.COLLECTED
    return scenario


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("damage", [_delete, _truncate, _flip, _change_counts, _break_manifest])
def test_missing_or_damaged_results_are_collected_again(
    tmp_path: Path, job: str, damage: Callable[[Path], None]
) -> None:
    scenario = _crash_after_collect(job, tmp_path)
    damage(scenario.state / "collected" / job)

    ending = scenario.resume_from_disk()

    assert (ending.batch.phase, ending.complaints) == (Phase.DELIVERED, [])
    with Journal.open(scenario.state) as journal:
        assert [type(event) for event in journal.events(ending.batch.id)].count(ResultsLost) == 1
        assert journal.audit() == ()


def test_newest_intact_collection_is_read(tmp_path: Path) -> None:
    scenario = _crash_after_collect("guests", tmp_path)
    batch = scenario._batch()
    folder = scenario.state / "collected" / "guests" / batch.id
    late = collected.new_results_dir(folder)
    assert [path.name for path in sorted(folder.iterdir())] == ["1", "2"]

    assert collected.read(folder, batch).path.parent.name == "1"

    (late / "verdicts.parquet").write_bytes(b"other")
    other = RowVerdicts(
        counts=OutcomeCounts.of(accepted=2), path=late / "verdicts.parquet", answers=None, unattributed=0
    )
    collected.write(late, other)
    assert collected.read(folder, batch).path.parent.name == "1", "counts of another collection"


def test_failed_collection_leaves_no_files(tmp_path: Path) -> None:
    scenario = Scenario("guests", tmp_path)
    crash_point = CrashPoint(r"data\.join_outcomes:before", 1)
    with connected(scenario.network):
        scenario._resume(crash_point)

    assert list((scenario.state / "collected" / "guests").rglob("*.parquet")) == []


def test_folder_creation_error_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match=r"cannot write the vendor's results"):
        collected.new_results_dir(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "point", [r"vendor\.upload:after", r"data\.join_outcomes:before", r"data\.apply_verdicts:before"]
)
def test_lost_lease_is_reported_instead_of_missing_files(tmp_path: Path, point: str) -> None:
    """The new holder completes the job, so files that the stopped process expects are gone when it continues."""
    scenario = Scenario("guests", tmp_path)

    def take_over() -> None:
        with Journal.open(scenario.state) as journal:
            unlock(journal, scenario.state, "guests", scenario.time.now())
        shutil.rmtree(scenario.state / "staging")
        shutil.rmtree(scenario.state / "collected", ignore_errors=True)
        (scenario.state / "staging" / "guests").mkdir(parents=True)
        (scenario.state / "staging" / "guests" / "fresh.json.gz").write_bytes(b"staged and not journaled yet")

    outcome = _outcome(scenario, CrashPoint(stop=(point, 1, take_over)))

    assert isinstance(outcome.error, LockedError), outcome.error
    assert "taken away" in outcome.error.message
    assert outcome.exit_code == 7
    # It must not sweep: files that the new holder is staging are not journaled yet.
    assert (scenario.state / "staging" / "guests" / "fresh.json.gz").exists()


def test_failure_within_own_lease_is_reported(tmp_path: Path) -> None:
    scenario = Scenario("guests", tmp_path)
    shutil.rmtree(scenario.state / "staging")

    outcome = _outcome(scenario, CrashPoint())

    assert isinstance(outcome.error, UnavailableError), outcome.error


def _outcome(scenario: Scenario, crash_point: CrashPoint) -> JobOutcome:
    with connected(scenario.network), scenario._process(crash_point) as engine:
        try:
            (outcome,) = resume(engine.contexts, engine.services, WaitPolicy())
        except Crash as crash:
            raise AssertionError from crash
        return outcome
