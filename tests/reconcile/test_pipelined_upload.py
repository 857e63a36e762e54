"""A batch is on its way while the next one is being sealed, and whatever stops that in the middle loses no row.

The real command with files of few rows, which stops sealing where a test wants it to; the mock's books are the judge.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from kit.deployment import CDP, Deployment, write_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: good rows of the source, rows in a file, and the files that these make
GOOD, ROWS, FILES = 59, 20, 3


@pytest.fixture
def paced(deployment: Deployment) -> Paced:
    """The small deployment with a source for three files."""
    write_sources(deployment.folder, guests=GOOD + 1)
    return Paced(deployment.folder, deployment.mocks)


class Paced(Deployment):
    """Runs `kit.paced` instead of lading."""

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "kit.paced", *arguments]

    def environ(self) -> dict[str, str]:
        path = os.pathsep.join(sys.path)
        return {**super().environ(), "PACED_ROWS": str(ROWS), "PYTHONPATH": path, "POLARS_MAX_THREADS": "1"}

    @property
    def go(self) -> Path:
        return self.folder / "go"

    def begun(self, after: int) -> subprocess.Popen[bytes]:
        """Start a sync that seals so many files and then waits until it is told to go on."""
        environ = {**self.environ(), "PACED_AFTER": str(after), "PACED_GO": str(self.go)}
        with (self.folder / "begun.log").open("ab") as log:
            process = subprocess.Popen(
                self.command("sync", "guests"), cwd=self.folder, env=environ, stdout=log, stderr=log
            )
        self.until((self.folder / "go.waits").exists, process)
        return process

    def until(self, seen: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        """Wait until something is so, while a process runs."""
        deadline = time.monotonic() + 60
        while not seen():
            said = (self.folder / "begun.log").read_text("utf-8")
            assert process.poll() is None, said
            assert time.monotonic() < deadline, f"what the test waits for did not happen\n{said}"
            time.sleep(0.01)

    def uploads(self) -> int:
        return sum(one["uploads"] for one in self.mocks.batches(CDP))

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs of the job, oldest first."""
        found: list[dict[str, Any]] = self.json("history", "guests")["runs"]
        return found[::-1]

    def each_row_arrived_once(self) -> None:
        counts = self.delivered(CDP)
        assert len(counts) == GOOD
        assert set(counts.values()) == {1}


def test_the_first_file_is_uploaded_before_the_last_one_is_sealed(paced: Paced) -> None:
    process = paced.begun(after=1)
    paced.until(lambda: paced.uploads() == 1, process)

    status = paced.json("status")
    (job,) = [one for one in status["jobs"] if one["job"] == "guests"]
    assert job["last_run"]["state"] == "preparing"
    assert job["runner"]
    assert not [step for step in status["next"] if "cut short" in step]
    settlement = job["last_run"]["settlement"]
    assert (settlement["selected"], settlement["invalid"], settlement["batches"]) == (GOOD + 1, 1, 1)
    assert settlement["accepted"] + settlement["held"] == GOOD
    paced.go.touch()

    assert process.wait(60) == 0
    paced.each_row_arrived_once()
    (run,) = paced.runs()
    assert (run["state"], run["settlement"]["accepted"], run["settlement"]["batches"]) == ("settled", GOOD, FILES)


def test_a_kill_in_the_middle_is_made_good_by_the_same_command(paced: Paced) -> None:
    process = paced.begun(after=2)
    paced.until(lambda: paced.uploads() == 2, process)
    process.kill()
    process.wait()
    status = paced.json("status")
    assert any("lading sync guests" in step and "cut short" in step for step in status["next"])
    assert paced.json("plan", "guests")["to_send"] == GOOD - 2 * ROWS

    paced.run("sync", "guests")

    paced.each_row_arrived_once()
    cut, after = paced.runs()
    assert (cut["settlement"]["accepted"], cut["settlement"]["held"], cut["settlement"]["invalid"]) == (2 * ROWS, 19, 1)
    assert cut["reason"] == "preparing was cut short after 40 of 59 records; the next run sends the rest"
    assert (after["settlement"]["unchanged"], after["settlement"]["accepted"]) == (2 * ROWS, 19)
    assert paced.run("sync", "guests")
    paced.each_row_arrived_once()


def test_a_resume_after_a_kill_ends_what_was_sealed_and_asks_for_a_sync(paced: Paced) -> None:
    process = paced.begun(after=1)
    paced.until(lambda: paced.uploads() == 1, process)
    process.kill()
    process.wait()

    said = paced.run("resume", "guests", expect=5)

    assert "held: preparing was cut short after 20 of 59 records" in said
    assert "next: `lading sync guests` sends what was held" in said
    (run,) = paced.runs()
    assert (run["state"], run["settlement"]["accepted"], run["settlement"]["held"]) == ("settled", ROWS, GOOD - ROWS)
    paced.run("sync", "guests")
    paced.each_row_arrived_once()
    assert not [step for step in paced.json("status")["next"] if "cut short" in step]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_ends_the_process_with_its_state_saved(
    paced: Paced, number: signal.Signals, code: int
) -> None:
    process = paced.begun(after=1)
    paced.until(lambda: paced.uploads() == 1, process)
    begun = time.monotonic()
    process.send_signal(number)

    assert process.wait(30) == code
    assert time.monotonic() - begun < 4
    assert paced.runs()[0]["reason"].startswith("preparing was cut short after 20 of 59 records")
    paced.run("sync", "guests")
    paced.each_row_arrived_once()


def test_a_source_that_changes_in_the_middle_sends_what_was_sealed_and_holds_the_rest(paced: Paced) -> None:
    process = paced.begun(after=0)
    source = paced.folder / "guests.csv"
    source.write_text(source.read_text("utf-8").replace("guest 55,", "another,"), encoding="utf-8")
    paced.go.touch()

    assert process.wait(60) == 3
    assert "changed between comparing and preparing" in (paced.folder / "begun.log").read_text("utf-8")
    (run,) = paced.runs()
    assert (run["settlement"]["accepted"], run["settlement"]["in_flight"]) == (ROWS, 0)
    assert run["settlement"]["held"] == GOOD - ROWS

    paced.run("sync", "guests")
    paced.each_row_arrived_once()
    assert [one for one in paced.delivered(CDP) if "Another" in one]
