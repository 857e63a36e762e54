"""Writes are atomic: under a kill at any point, on a full disk, and with an error raised by the caller."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from journal_samples import (
    DELIVERED,
    EVENTS,
    NOW,
    make_baseline,
    make_batch,
    make_run,
    record_all,
    rejects,
    run_until_killed,
    snapshot,
    start_run,
)

from batchsync.core.batch import Phase, Verb
from batchsync.core.events import IntentRecorded
from batchsync.core.run import RunState
from batchsync.errors import UnavailableError
from batchsync.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from batchsync.ports import Reject

START = ["begin", "run", "batches", "rejects", "commit", "committed"]
ADD = ["begin", "batch", "run", "commit", "committed"]
ABORT = ["begin", "run", "commit", "committed"]
RECORD = ["begin", "event", "batch", "commit", "committed"]
DELIVER = ["begin", "event", "batch", "baseline", "rejects", "run", "commit", "committed"]


def start(journal: Journal) -> None:
    run = make_run(batches=2, watermark="9")
    journal.start_run(run, [make_batch(run, 1), make_batch(run, 2)], rejects(50, "invalid", chunk=20))


def begin(journal: Journal) -> None:
    run = make_run(batches=2, state=RunState.PREPARING, watermark="9")
    journal.start_run(run, [make_batch(run, 1)], ())


def add_batch(journal: Journal) -> None:
    journal.add_batch(make_batch(journal.run("guests-1"), 2), tick=NOW)


def abort(journal: Journal) -> None:
    journal.abort_preparation("guests-1", NOW)


def record_intent(journal: Journal) -> None:
    journal.record(journal.open_batches()[0], IntentRecorded(at=NOW, verb=Verb.ALLOCATE))


def deliver(journal: Journal) -> None:
    batch = journal.open_batches()[0]
    journal.deliver(batch, DELIVERED, baseline=make_baseline(batch), rejects=rejects(50, chunk=20))


def no_setup(journal: Journal) -> None:
    """Leave the journal empty."""


def prepare(journal: Journal) -> None:
    start_run(journal)


def collect(journal: Journal) -> None:
    record_all(journal, start_run(journal)[0])


WRITES = [
    *(("start_run", point, no_setup, start) for point in START),
    *(("add_batch", point, begin, add_batch) for point in ADD),
    *(("abort_preparation", point, begin, abort) for point in ABORT),
    *(("record", point, prepare, record_intent) for point in RECORD),
    *(("deliver", point, collect, deliver) for point in DELIVER),
]


@pytest.mark.parametrize(("name", "point", "setup", "write"), WRITES, ids=[f"{item[0]}:{item[1]}" for item in WRITES])
def test_write_killed_at_any_point_is_complete_or_absent(
    state: Path,
    tmp_path: Path,
    name: str,
    point: str,
    setup: Callable[[Journal], None],
    write: Callable[[Journal], None],
) -> None:
    def kill_at_point(reached: str) -> None:
        if reached == f"{name}:{point}":
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        write(Journal.open(state, failpoint=kill_at_point))

    for folder in (state, tmp_path / "complete"):
        with Journal.open(folder) as journal:
            setup(journal)
            untouched = snapshot(journal)
    with Journal.open(tmp_path / "complete") as journal:
        write(journal)
        complete = snapshot(journal)
    assert run_until_killed(work)
    with Journal.open(state) as journal:
        assert snapshot(journal) == (complete if point == "committed" else untouched)
        assert journal.audit() == ()
        if point != "committed":
            write(journal)
        assert snapshot(journal) == complete
        assert journal.audit() == ()


def test_writes_call_documented_failpoints(state: Path) -> None:
    reached: list[str] = []
    with Journal.open(state, failpoint=reached.append) as journal:
        start(journal)
        assert reached == [f"start_run:{point}" for point in START]
        reached.clear()
        record_intent(journal)
        assert reached == [f"record:{point}" for point in RECORD]
        for event in EVENTS[1:]:
            journal.record(journal.open_batches()[0], event)
        reached.clear()
        deliver(journal)
        assert reached == [f"deliver:{point}" for point in DELIVER]


def test_incremental_preparation_calls_documented_failpoints(state: Path) -> None:
    reached: list[str] = []
    with Journal.open(state, failpoint=reached.append) as journal:
        begin(journal)
        reached.clear()
        add_batch(journal)
        assert reached == [f"add_batch:{point}" for point in ADD]
    with Journal.open(state.with_name("other"), failpoint=reached.append) as journal:
        begin(journal)
        reached.clear()
        abort(journal)
        assert reached == [f"abort_preparation:{point}" for point in ABORT]


@pytest.mark.parametrize("point", [item for item in DELIVER if item != "committed"])
def test_exception_inside_write_rolls_back_and_journal_stays_usable(state: Path, point: str) -> None:
    armed = [False]

    def crash(reached: str) -> None:
        if armed[0] and reached == f"deliver:{point}":
            raise KeyboardInterrupt

    with Journal.open(state, failpoint=crash) as journal:
        collect(journal)
        before = snapshot(journal)
        armed[0] = True
        with pytest.raises(KeyboardInterrupt):
            deliver(journal)
        assert snapshot(journal) == before
        armed[0] = False
        deliver(journal)
        assert journal.open_batches() == ()


def test_unreadable_rejects_roll_back_the_delivery(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0])

    def broken() -> Iterator[Sequence[Reject]]:
        yield from rejects(10)
        raise OSError("the row manifest is missing")

    before = snapshot(journal)
    with pytest.raises(OSError, match="row manifest"):
        journal.deliver(batch, DELIVERED, baseline=make_baseline(batch), rejects=broken())
    assert snapshot(journal) == before
    assert journal.deliver(batch, DELIVERED, baseline=None, rejects=()).phase is Phase.DELIVERED


def test_full_disk_is_reported_and_loses_nothing(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0])
    before = snapshot(journal)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(UnavailableError, match="disk is full") as caught:
        journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(20_000))
    assert "Free some space" in caught.value.hint
    assert snapshot(journal) == before
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(20_000))
    assert journal.rejects_count() == 20_000
    assert journal.audit() == ()


def test_file_size_limit_is_reported_and_loses_nothing(state: Path) -> None:
    """A real write error of the operating system, in a separate process."""
    with Journal.open(state) as journal:
        collect(journal)
        before = snapshot(journal)

    def work() -> None:
        import resource  # noqa: PLC0415 - only the forked process is limited

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal.open(state)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        with pytest.raises(UnavailableError):
            journal.deliver(journal.open_batches()[0], DELIVERED, baseline=None, rejects=rejects(20_000))
        os.kill(os.getpid(), signal.SIGKILL)

    assert run_until_killed(work)
    with Journal.open(state) as journal:
        assert snapshot(journal) == before
        assert journal.audit() == ()


def test_hundred_thousand_rejects_are_written_in_one_transaction(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0])
    serial = journal.serial
    journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(100_000, chunk=10_000))
    assert (journal.rejects_count(), journal.serial) == (100_000, serial + 1)
    assert [row.reject.line for row in journal.rejects("guests")] == list(range(1, 100_001))
