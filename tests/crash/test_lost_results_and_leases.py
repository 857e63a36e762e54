"""What was collected and lost is collected again. Whoever lost a job says so and leaves the winner's files alone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from kit.matrix import Scenario
from lading.core.batch import Books, Phase
from lading.core.events import AnswersLost
from lading.errors import EnvironmentProblem, LockedError
from lading.journal import Journal, unlock
from lading.ports import RowVerdicts
from lading.reconcile import collected
from lading.reconcile.loop import Patience
from lading.reconcile.sync import JobOutcome, resume
from simulation.life import Crash, Fuse
from simulation.wire import plugged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


def _cut(folder: Path) -> None:
    for file in folder.rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-9])


def _flipped(folder: Path) -> None:
    for file in folder.rglob("*.parquet"):
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 0x10
        file.write_bytes(bytes(data))


def _foreign(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        file.write_text(file.read_text("utf-8").replace('"accepted": 1', '"accepted": 2'), "utf-8")


def _no_manifest(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        file.write_text("[", "utf-8")


def _died_collected(job: str, folder: Path) -> Scenario:
    """Return a scenario whose process died when the journal had just said that a batch is collected."""
    Scenario(job, folder)
    # Only a world that is opened from disk remembers how late it is when the next process opens it.
    scenario = Scenario.reopened(job, folder)
    fuse = Fuse(r"data\.advance:before", 1)
    with plugged(scenario.network):
        scenario._resume(fuse)
    assert fuse.died_at, "it lived on"
    assert scenario._batch().phase is Phase.COLLECTED
    return scenario


@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.parametrize("spoil", [_gone, _cut, _flipped, _foreign, _no_manifest])
def test_collected_answers_that_are_lost_or_spoilt_are_collected_again(
    tmp_path: Path, job: str, spoil: Callable[[Path], None]
) -> None:
    scenario = _died_collected(job, tmp_path)
    spoil(scenario.state / "collected" / job)

    ending = scenario.go_on()

    assert (ending.batch.phase, ending.complaints) == (Phase.DELIVERED, [])
    with Journal.open(scenario.state) as journal:
        assert [type(one) for one in journal.events(ending.batch.id)].count(AnswersLost) == 1
        assert journal.audit() == ()


def test_each_collection_has_a_folder_of_its_own_and_the_newest_whole_one_counts(tmp_path: Path) -> None:
    scenario = _died_collected("guests", tmp_path)
    batch = scenario._batch()
    folder = scenario.state / "collected" / "guests" / batch.id
    late = collected.fresh(folder)
    assert [one.name for one in sorted(folder.iterdir())] == ["1", "2"]

    assert collected.read(folder, batch).path.parent.name == "1"

    (late / "verdicts.parquet").write_bytes(b"other")
    other = RowVerdicts(books=Books(accepted=2), path=late / "verdicts.parquet", answers=None, unattributed=0)
    collected.write(late, other)
    assert collected.read(folder, batch).path.parent.name == "1", "books of another collection"


def test_a_collection_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    scenario = Scenario("guests", tmp_path)
    fuse = Fuse(r"data\.settle:before", 1)
    with plugged(scenario.network):
        scenario._resume(fuse)

    assert list((scenario.state / "collected" / "guests").rglob("*.parquet")) == []


def test_a_disk_that_takes_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be kept"):
        collected.fresh(tmp_path / "file" / "below")


@pytest.mark.parametrize("taken", [r"vendor\.upload:after", r"data\.settle:before", r"data\.advance:before"])
def test_whoever_lost_a_job_says_that_and_not_what_the_new_holder_swept(tmp_path: Path, taken: str) -> None:
    """The new holder brings the job to its end, so files that the old one knew of are gone when it wakes."""
    scenario = Scenario("guests", tmp_path)

    def taken_over() -> None:
        with Journal.open(scenario.state) as journal:
            unlock(journal, scenario.state, "guests", scenario.time.now())
        shutil.rmtree(scenario.state / "staging")
        shutil.rmtree(scenario.state / "collected", ignore_errors=True)
        (scenario.state / "staging" / "guests").mkdir(parents=True)
        (scenario.state / "staging" / "guests" / "fresh.json.gz").write_bytes(b"staged and not journaled yet")

    outcome = _outcome(scenario, Fuse(stop=(taken, 1, taken_over)))

    assert isinstance(outcome.error, LockedError), outcome.error
    assert "taken away" in outcome.error.message
    assert outcome.exit_code == 7
    # It sweeps no more: what the new holder is staging stands in no journal that it could read.
    assert (scenario.state / "staging" / "guests" / "fresh.json.gz").exists()


def test_a_job_that_fails_in_its_own_lease_says_why(tmp_path: Path) -> None:
    scenario = Scenario("guests", tmp_path)
    shutil.rmtree(scenario.state / "staging")

    outcome = _outcome(scenario, Fuse())

    assert isinstance(outcome.error, EnvironmentProblem), outcome.error


def _outcome(scenario: Scenario, fuse: Fuse) -> JobOutcome:
    with plugged(scenario.network), scenario._process(fuse) as one:
        try:
            (outcome,) = resume(one.contexts, one.world, Patience())
        except Crash as crash:
            raise AssertionError from crash
        return outcome
