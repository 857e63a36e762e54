"""Upload of a batch while the next batch file is written, with interruptions that must not lose a row.

Runs the command with few rows per file, paused where a test needs it, and checks what the mock received.
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

#: valid rows of the source, rows per file, number of files
GOOD, ROWS, FILES = 59, 20, 3


@pytest.fixture
def paced(deployment: Deployment) -> Paced:
    """The small deployment with a source that fills three files."""
    write_sources(deployment.folder, guests=GOOD + 1)
    return Paced(deployment.folder, deployment.mocks)


class Paced(Deployment):
    """Runs `kit.paced` instead of batchsync."""

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "kit.paced", *arguments]

    def environ(self) -> dict[str, str]:
        path = os.pathsep.join(sys.path)
        return {**super().environ(), "PACED_ROWS": str(ROWS), "PYTHONPATH": path, "POLARS_MAX_THREADS": "1"}

    @property
    def go(self) -> Path:
        return self.folder / "go"

    def started(self, after: int) -> subprocess.Popen[bytes]:
        """Start a sync that finalizes a number of files and then waits for the file `go`."""
        environ = {**self.environ(), "PACED_AFTER": str(after), "PACED_GO": str(self.go)}
        with (self.folder / "started.log").open("ab") as log:
            process = subprocess.Popen(
                self.command("sync", "guests"), cwd=self.folder, env=environ, stdout=log, stderr=log
            )
        self.until((self.folder / "go.waits").exists, process)
        return process

    def until(self, condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        """Wait for a condition while the process runs."""
        deadline = time.monotonic() + 60
        while not condition():
            output = (self.folder / "started.log").read_text("utf-8")
            assert process.poll() is None, output
            assert time.monotonic() < deadline, f"the awaited condition did not occur\n{output}"
            time.sleep(0.01)

    def uploads(self) -> int:
        return sum(batch["uploads"] for batch in self.mocks.batches(CDP))

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs of the job, oldest first."""
        found: list[dict[str, Any]] = self.json("history", "guests")["runs"]
        return found[::-1]

    def each_row_arrived_once(self) -> None:
        counts = self.delivered(CDP)
        assert len(counts) == GOOD
        assert set(counts.values()) == {1}


def test_first_file_is_uploaded_before_last_is_finalized(paced: Paced) -> None:
    process = paced.started(after=1)
    paced.until(lambda: paced.uploads() == 1, process)

    status = paced.json("status")
    (job,) = [item for item in status["jobs"] if item["job"] == "guests"]
    assert job["last_run"]["state"] == "preparing"
    assert job["runner"]
    assert not [step for step in status["next"] if "preparation was aborted" in step]
    settlement = job["last_run"]["settlement"]
    assert (settlement["selected"], settlement["invalid"], settlement["batches"]) == (GOOD + 1, 1, 1)
    assert settlement["accepted"] + settlement["deferred"] == GOOD
    paced.go.touch()

    assert process.wait(60) == 0
    paced.each_row_arrived_once()
    (run,) = paced.runs()
    assert (run["state"], run["settlement"]["accepted"], run["settlement"]["batches"]) == ("settled", GOOD, FILES)


def test_same_command_recovers_from_kill(paced: Paced) -> None:
    process = paced.started(after=2)
    paced.until(lambda: paced.uploads() == 2, process)
    process.kill()
    process.wait()
    status = paced.json("status")
    assert any("batchsync sync guests" in step and "preparation was aborted" in step for step in status["next"])
    assert paced.json("plan", "guests")["to_send"] == GOOD - 2 * ROWS

    paced.run("sync", "guests")

    paced.each_row_arrived_once()
    aborted, after = paced.runs()
    assert (aborted["settlement"]["accepted"], aborted["settlement"]["deferred"], aborted["settlement"]["invalid"]) == (
        2 * ROWS,
        19,
        1,
    )
    assert aborted["reason"] == "preparation was aborted after 40 of 59 records; the next run sends the rest"
    assert (after["settlement"]["unchanged"], after["settlement"]["accepted"]) == (2 * ROWS, 19)
    assert paced.run("sync", "guests")
    paced.each_row_arrived_once()


def test_resume_after_kill_settles_finalized_batches_and_requests_sync(paced: Paced) -> None:
    process = paced.started(after=1)
    paced.until(lambda: paced.uploads() == 1, process)
    process.kill()
    process.wait()

    output = paced.run("resume", "guests", expect=5)

    assert "reason: preparation was aborted after 20 of 59 records" in output
    assert "next: `batchsync sync guests` sends the records deferred when preparation was aborted" in output
    (run,) = paced.runs()
    assert (run["state"], run["settlement"]["accepted"], run["settlement"]["deferred"]) == (
        "settled",
        ROWS,
        GOOD - ROWS,
    )
    paced.run("sync", "guests")
    paced.each_row_arrived_once()
    assert not [step for step in paced.json("status")["next"] if "preparation was aborted" in step]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_process_with_state_saved(paced: Paced, number: signal.Signals, code: int) -> None:
    process = paced.started(after=1)
    paced.until(lambda: paced.uploads() == 1, process)
    process.send_signal(number)

    assert process.wait(30) == code
    assert paced.runs()[0]["reason"].startswith("preparation was aborted after 20 of 59 records")
    paced.run("sync", "guests")
    paced.each_row_arrived_once()


def test_source_change_during_preparation_defers_remaining_rows(paced: Paced) -> None:
    process = paced.started(after=0)
    source = paced.folder / "guests.csv"
    source.write_text(source.read_text("utf-8").replace("guest 55,", "another,"), encoding="utf-8")
    paced.go.touch()

    assert process.wait(60) == 3
    assert "changed between comparing and preparing" in (paced.folder / "started.log").read_text("utf-8")
    (run,) = paced.runs()
    assert (run["settlement"]["accepted"], run["settlement"]["in_flight"]) == (ROWS, 0)
    assert run["settlement"]["deferred"] == GOOD - ROWS

    paced.run("sync", "guests")
    paced.each_row_arrived_once()
    assert [item for item in paced.delivered(CDP) if "Another" in item]
