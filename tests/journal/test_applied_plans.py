"""A plan file is applied to a job once: in the transaction of its run, for ever."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from journal_samples import make_batch, make_run, rejects

from batchsync.core.accounting import PlanCounts
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import RunState
from batchsync.errors import LockedError
from batchsync.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

PLAN_FILE = "f" * 64


class Crash(BaseException):
    """End of a process."""


def apply(journal: Journal, serial: int = 1) -> None:
    """Journal a run of two batches that applies the plan file."""
    run = make_run(serial=serial, batches=2)
    batches = [make_batch(run, 1), make_batch(run, 2)]
    journal.start_applied_run(run, batches, rejects(2, "invalid"), PLAN_FILE)


def test_run_of_a_plan_file_is_recorded_with_it(state: Path) -> None:
    with Journal.open(state) as journal:
        assert journal.applied_run(PLAN_FILE, "guests") == ""
        apply(journal)
        assert journal.applied_run(PLAN_FILE, "guests") == "guests-1"
        assert journal.applied_run(PLAN_FILE, "vehicles") == ""
        assert journal.applied_run("e" * 64, "guests") == ""
        assert len(journal.open_batches("guests")) == 2
        assert journal.audit() == ()


def test_second_application_changes_nothing(state: Path) -> None:
    with Journal.open(state) as journal:
        apply(journal)
        with pytest.raises(LockedError, match="was applied to job guests by another process"):
            apply(journal, serial=2)
        assert [run.serial for run in journal.history("guests")] == [1]


def test_plan_without_changes_is_applied_too(state: Path) -> None:
    idle = PlanCounts(selected=3, outcomes=OutcomeCounts.of(unchanged=3))
    with Journal.open(state) as journal:
        journal.start_applied_run(make_run(counts=idle), (), (), PLAN_FILE)
        assert journal.run("guests-1").state is RunState.SETTLED
        assert journal.applied_run(PLAN_FILE, "guests") == "guests-1"


@pytest.mark.parametrize("point", ["begin", "run", "batches", "rejects", "commit"])
def test_crash_before_the_commit_leaves_neither_run_nor_application(state: Path, point: str) -> None:
    def crash(reached: str) -> None:
        if reached == f"start_run:{point}":
            raise Crash

    with Journal.open(state, failpoint=crash) as journal, pytest.raises(Crash):
        apply(journal)
    with Journal.open(state) as journal:
        assert (journal.history("guests"), journal.applied_run(PLAN_FILE, "guests")) == ((), "")
        apply(journal)


def test_applications_cannot_be_deleted(state: Path) -> None:
    with Journal.open(state) as journal:
        apply(journal)
    with closing(sqlite3.connect(state / "journal.db")) as db, pytest.raises(sqlite3.IntegrityError, match="are kept"):
        db.execute("DELETE FROM applied_plans")
