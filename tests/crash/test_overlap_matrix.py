"""Crash at any checkpoint of a sync that sends its first batch while it prepares the others: every row arrives once.

The checkpoints include those inside the transactions that start a run, add a batch, and abort the preparation.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import ExitCode
from batchsync.journal import Journal
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import JobOutcome, resume, sync
from kit.matrix import Scenario
from simulation import oracle
from simulation.network import connected
from simulation.process_life import Crash, CrashPoint, process
from simulation.seeds import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Command = Callable[..., tuple[JobOutcome, ...]]

#: a mock whose response is truncated leaves its file to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROWS = 3
#: take every n-th of the checkpoints that other matrices cover, too
STRIDE = int(os.environ.get("BATCHSYNC_MATRIX", "9"))
ALWAYS_COVERED = ("start_run:", "add_batch:", "abort_preparation:", "data.stage:")


class CheckpointNames(CrashPoint):
    """Records the name of every checkpoint."""

    def __init__(self, pattern: str | None = None, nth: int = 1) -> None:
        super().__init__(pattern, nth)
        self.names: list[str] = []

    def checkpoint(self, name: str) -> None:
        self.names.append(name)
        super().checkpoint(name)


class Overlapped(Scenario):
    """One job with one row per batch file, so that a run is prepared in several steps."""

    def __init__(self, job: str, place: Path) -> None:
        self._describe(job, place, None)
        self.sources.rows[job] = {}
        for number in range(1, ROWS + 1):
            row = {"id": f"G{number}", "name": f"name {'abc'[number - 1]}", "email": f"g{number}@example.com"}
            if job == "vehicles":
                row = {"id": f"V{number}", "vin": f"1HGCM82633A00000{number}", "plate": "", "state": ""}
            self.sources.rows[job][row["id"]] = row
            self.sources.history[job, row["id"]] = [row]
            self.sources.allowed[job, self.sources.vendor_view(job, row["id"])] = 1
        self.sources._write(job)
        self._begin()

    def reset(self) -> None:
        """Restore the state before anything was sent."""
        shutil.rmtree(self.state, ignore_errors=True)
        self._begin()

    def run(self, crash_point: CrashPoint, command: Command = sync) -> tuple[JobOutcome, ...]:
        """Run a command in one process; return the outcomes of its jobs, or nothing if it crashed."""
        self.crash_point = crash_point
        self.time.sleeps = 0
        credentials = {name: dict(vendor.credentials) for name, vendor in self.kit.vendors.items()}
        try:
            with (
                connected(self.network),
                process(self.state, self.sources, self.time, crash_point, credentials, 1, anchored=False) as engine,
            ):
                return command(engine.contexts, engine.services, WaitPolicy())
        except Crash:
            return ()
        finally:
            self.crash_point = CrashPoint()

    def violations(self) -> list[str]:
        """Check the invariants by the ledgers of the vendors."""
        at_vendors = oracle.vendor_batches(self.kit.vendors)
        with Journal.open(self.state) as journal:
            batches = oracle.all_batches(journal, (self.job,))
            found = [
                *oracle.check_no_duplicates(at_vendors, self.sources),
                *oracle.check_one_allocation_each(at_vendors, batches),
                *oracle.check_idempotency_keys(self.kit.vendors, batches),
                *oracle.check_row_counts(at_vendors, batches, doubtful=frozenset()),
                *oracle.check_journal(journal, (self.job,)),
                *oracle.check_target(at_vendors, self.kit.vendors, self.sources, self.state, journal),
            ]
        sent = sorted(version for batch in at_vendors.values() for version, _ in batch.rows)
        expected = sorted(self.sources.vendor_view(self.job, key) for key in self.sources.rows[self.job])
        return found if sent == expected else [*found, f"sent {sent} instead of {expected}"]


@pytest.fixture(params=["guests", "vehicles"])
def scenario(request: pytest.FixtureRequest) -> Iterator[Overlapped]:
    place = Path(f"{scratch_folder()}-overlap")
    yield Overlapped(request.param, place)
    shutil.rmtree(place)


@pytest.mark.timeout(300)
def test_crash_at_any_checkpoint_loses_and_repeats_no_row(scenario: Overlapped) -> None:
    uninterrupted = CheckpointNames()
    scenario.run(uninterrupted)
    assert not scenario.violations()
    assert sum(name == "add_batch:committed" for name in uninterrupted.names) == ROWS - 1
    last_finalized = len(uninterrupted.names) - 1 - uninterrupted.names[::-1].index("add_batch:begin")
    assert uninterrupted.names.index("vendor.allocate:before") < uninterrupted.names.index("add_batch:begin")
    assert uninterrupted.names.index("vendor.upload:after") < last_finalized, (
        "nothing was sent before the last file was finalized"
    )
    for at, name in enumerate(uninterrupted.names, start=1):
        if at % STRIDE and not name.startswith(ALWAYS_COVERED):
            continue
        scenario.reset()
        crash_point = CrashPoint("", at)
        scenario.run(crash_point)
        scenario.run(CrashPoint())
        assert not scenario.violations(), f"died at {crash_point.died_at}"
    assert scenario.run(CrashPoint())[0].exit_code is ExitCode.DONE


def test_resume_after_crash_settles_finalized_batches_and_requests_sync(scenario: Overlapped) -> None:
    for nth in (1, 2):
        scenario.reset()
        scenario.run(CrashPoint("^add_batch:commit$", nth))

        (outcome,) = scenario.run(CrashPoint(), resume)

        assert outcome.error is None
        assert outcome.exit_code is ExitCode.UNSETTLED
        (run,) = outcome.runs
        assert (
            run.settlement.outcomes[RowOutcome.ACCEPTED],
            run.settlement.outcomes[RowOutcome.DEFERRED],
            run.settlement.in_flight,
        ) == (nth, ROWS - nth, 0)
        assert f"after {nth} of {ROWS} records" in run.run.reason
        (after,) = scenario.run(CrashPoint())
        assert after.exit_code is ExitCode.DONE
        assert not scenario.violations()


def test_crash_during_aborted_preparation_changes_nothing(scenario: Overlapped) -> None:
    for point in ("begin", "run", "commit", "committed"):
        scenario.reset()
        scenario.run(CrashPoint("^add_batch:batch$"))
        crash_point = CrashPoint(f"^abort_preparation:{point}$")
        scenario.run(crash_point)
        assert crash_point.died_at == f"abort_preparation:{point}"
        scenario.run(CrashPoint())
        assert not scenario.violations(), point


def test_batches_proceed_while_next_job_is_prepared() -> None:
    place = Path(f"{scratch_folder()}-overlap-two")
    scenario = Overlapped("vehicles", place)
    scenario.sources.names = ("vehicles", "guests")
    scenario.sources.rows["guests"] = {}
    for number in range(1, ROWS + 1):
        row = {"id": f"G{number}", "name": "name d", "email": f"g{number}@example.com"}
        scenario.sources.rows["guests"][row["id"]] = row
    scenario.sources._write("guests")
    transcript: list[str] = []

    outcomes = scenario.run(CrashPoint(log=transcript.append))

    shutil.rmtree(place)
    assert [outcome.exit_code for outcome in outcomes] == [ExitCode.DONE] * 2
    prepared = [at for at, line in enumerate(transcript) if line.startswith("guests-") and " prepared " in line]
    between = transcript[prepared[0] : prepared[-1]]
    assert any(line.startswith("vehicles-") for line in between), between
