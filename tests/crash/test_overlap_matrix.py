"""A death at any checkpoint of a sync that sends its first file while it seals the others: every row arrives once.

Also inside the transactions that begin a run, add a batch to it, and cut it short.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.errors import ExitCode
from batchsync.journal import Journal
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import JobOutcome, resume, sync
from kit.matrix import Scenario
from simulation import oracle
from simulation.life import Crash, Fuse, process
from simulation.many import folder
from simulation.wire import plugged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Command = Callable[..., tuple[JobOutcome, ...]]

#: a mock whose answer is cut leaves closing the file behind it to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROWS = 3
#: one in so many of the checkpoints that other matrices visit too
STRIDE = int(os.environ.get("BATCHSYNC_MATRIX", "9"))
OWN = ("start_run:", "add_batch:", "abort_preparation:", "data.stage:")


class Named(Fuse):
    """Writes down the name of every checkpoint."""

    def __init__(self, pattern: str | None = None, nth: int = 1) -> None:
        super().__init__(pattern, nth)
        self.names: list[str] = []

    def checkpoint(self, name: str) -> None:
        self.names.append(name)
        super().checkpoint(name)


class Overlapped(Scenario):
    """One job whose rows go in a file each, so that a run is prepared in several steps."""

    def __init__(self, job: str, place: Path) -> None:
        self._describe(job, place, None)
        self.sources.rows[job] = {}
        for number in range(1, ROWS + 1):
            row = {"id": f"G{number}", "name": f"name {'abc'[number - 1]}", "email": f"g{number}@example.com"}
            if job == "vehicles":
                row = {"id": f"V{number}", "vin": f"1HGCM82633A00000{number}", "plate": "", "state": ""}
            self.sources.rows[job][row["id"]] = row
            self.sources.history[job, row["id"]] = [row]
            self.sources.allowed[job, self.sources.seen(job, row["id"])] = 1
        self.sources._write(job)
        self._begin()

    def begin(self) -> None:
        """Put everything back to where nothing was ever sent."""
        shutil.rmtree(self.state, ignore_errors=True)
        self._begin()

    def life(self, fuse: Fuse, command: Command = sync) -> tuple[JobOutcome, ...]:
        """Let one process run a command, and return how its job came out; nothing when it died."""
        self.fuse = fuse
        self.time.sleeps = 0
        credentials = {name: dict(vendor.credentials) for name, vendor in self.kit.vendors.items()}
        try:
            with (
                plugged(self.network),
                process(self.state, self.sources, self.time, fuse, credentials, 1) as one,
            ):
                return command(one.contexts, one.world, WaitPolicy())
        except Crash:
            return ()
        finally:
            self.fuse = Fuse()

    def complaints(self) -> list[str]:
        """Ask the vendors, and hold our books against theirs."""
        slots = oracle.slots_of(self.kit.vendors)
        with Journal.open(self.state) as journal:
            batches = oracle.all_batches(journal, (self.job,))
            found = [
                *oracle.never_twice(slots, self.sources),
                *oracle.one_slot_each(slots, batches),
                *oracle.tickets_follow(self.kit.vendors, batches),
                *oracle.books_are_true(slots, batches, doubtful=frozenset()),
                *oracle.equations_hold(journal, (self.job,)),
                *oracle.target_is_source(slots, self.kit.vendors, self.sources, self.state, journal),
            ]
        sent = sorted(seen for slot in slots.values() for seen, _ in slot.rows)
        wanted = sorted(self.sources.seen(self.job, key) for key in self.sources.rows[self.job])
        return found if sent == wanted else [*found, f"sent {sent} and not {wanted}"]


@pytest.fixture(params=["guests", "vehicles"])
def scenario(request: pytest.FixtureRequest) -> Iterator[Overlapped]:
    place = Path(f"{folder()}-overlap")
    yield Overlapped(request.param, place)
    shutil.rmtree(place)


@pytest.mark.timeout(300)
def test_crash_at_any_checkpoint_loses_and_repeats_no_row(scenario: Overlapped) -> None:
    whole = Named()
    scenario.life(whole)
    assert not scenario.complaints()
    assert sum(name == "add_batch:committed" for name in whole.names) == ROWS - 1
    last_sealed = len(whole.names) - 1 - whole.names[::-1].index("add_batch:begin")
    assert whole.names.index("vendor.allocate:before") < whole.names.index("add_batch:begin")
    assert whole.names.index("vendor.upload:after") < last_sealed, "nothing was sent before the last file was sealed"
    for at, name in enumerate(whole.names, start=1):
        if at % STRIDE and not name.startswith(OWN):
            continue
        scenario.begin()
        died = Fuse("", at)
        scenario.life(died)
        scenario.life(Fuse())
        assert not scenario.complaints(), f"died at {died.died_at}"
    assert scenario.life(Fuse())[0].exit_code is ExitCode.DONE


def test_resume_after_crash_settles_finalized_batches_and_requests_sync(scenario: Overlapped) -> None:
    for nth in (1, 2):
        scenario.begin()
        scenario.life(Fuse("^add_batch:commit$", nth))

        (outcome,) = scenario.life(Fuse(), resume)

        assert outcome.error is None
        assert outcome.exit_code is ExitCode.UNSETTLED
        (run,) = outcome.runs
        assert (run.settlement.accepted, run.settlement.deferred, run.settlement.in_flight) == (nth, ROWS - nth, 0)
        assert f"after {nth} of {ROWS} records" in run.run.reason
        (after,) = scenario.life(Fuse())
        assert after.exit_code is ExitCode.DONE
        assert not scenario.complaints()


def test_crash_during_aborted_preparation_changes_nothing(scenario: Overlapped) -> None:
    for point in ("begin", "run", "commit", "committed"):
        scenario.begin()
        scenario.life(Fuse("^add_batch:batch$"))
        died = Fuse(f"^abort_preparation:{point}$")
        scenario.life(died)
        assert died.died_at == f"abort_preparation:{point}"
        scenario.life(Fuse())
        assert not scenario.complaints(), point


def test_batches_proceed_while_next_job_is_prepared() -> None:
    place = Path(f"{folder()}-overlap-two")
    one = Overlapped("vehicles", place)
    one.sources.names = ("vehicles", "guests")
    one.sources.rows["guests"] = {}
    for number in range(1, ROWS + 1):
        row = {"id": f"G{number}", "name": "name d", "email": f"g{number}@example.com"}
        one.sources.rows["guests"][row["id"]] = row
    one.sources._write("guests")
    told: list[str] = []

    outcomes = one.life(Fuse(told=told.append))

    shutil.rmtree(place)
    assert [each.exit_code for each in outcomes] == [ExitCode.DONE] * 2
    sealed = [at for at, line in enumerate(told) if line.startswith("guests-") and " prepared " in line]
    between = told[sealed[0] : sealed[-1]]
    assert any(line.startswith("vehicles-") for line in between), between
