"""A write happens whole or not at all: killed at any point inside it, on a full disk, or by an error of the caller."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, LIFE, NOW, a_baseline, a_batch, a_run, killed, lived, rejects, snapshot, started

from lading.core.batch import Phase, Verb
from lading.core.events import Announced
from lading.core.run import RunState
from lading.errors import EnvironmentProblem
from lading.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lading.ports import Reject

START = ["begin", "run", "batches", "rejects", "commit", "committed"]
ADD = ["begin", "batch", "run", "commit", "committed"]
CUT = ["begin", "run", "commit", "committed"]
RECORD = ["begin", "event", "batch", "commit", "committed"]
DELIVER = ["begin", "event", "batch", "baseline", "rejects", "run", "commit", "committed"]


def start(journal: Journal) -> None:
    run = a_run(batches=2, high_water="9")
    journal.start_run(run, [a_batch(run, 1), a_batch(run, 2)], rejects(50, "invalid", chunk=20))


def begin(journal: Journal) -> None:
    run = a_run(batches=2, state=RunState.PREPARING, high_water="9")
    journal.start_run(run, [a_batch(run, 1)], ())


def add(journal: Journal) -> None:
    journal.add_batch(a_batch(journal.run("guests-1"), 2), slot=NOW)


def cut(journal: Journal) -> None:
    journal.cut_run("guests-1", NOW)


def announce(journal: Journal) -> None:
    journal.record(journal.open_batches()[0], Announced(at=NOW, verb=Verb.ALLOCATE))


def deliver(journal: Journal) -> None:
    batch = journal.open_batches()[0]
    journal.deliver(batch, DELIVERED, baseline=a_baseline(batch), rejects=rejects(50, chunk=20))


def nothing(journal: Journal) -> None:
    """The folder is empty before a run is started."""


def fresh(journal: Journal) -> None:
    started(journal)


def collected(journal: Journal) -> None:
    lived(journal, started(journal)[0])


WRITES = [
    *(("start_run", point, nothing, start) for point in START),
    *(("add_batch", point, begin, add) for point in ADD),
    *(("cut_run", point, begin, cut) for point in CUT),
    *(("record", point, fresh, announce) for point in RECORD),
    *(("deliver", point, collected, deliver) for point in DELIVER),
]


@pytest.mark.parametrize(("name", "point", "before", "write"), WRITES, ids=[f"{one[0]}:{one[1]}" for one in WRITES])
def test_a_write_killed_inside_leaves_all_of_it_or_nothing(
    state: Path,
    tmp_path: Path,
    name: str,
    point: str,
    before: Callable[[Journal], None],
    write: Callable[[Journal], None],
) -> None:
    def to_the_point(reached: str) -> None:
        if reached == f"{name}:{point}":
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        write(Journal.open(state, trip=to_the_point))

    for folder in (state, tmp_path / "whole"):
        with Journal.open(folder) as journal:
            before(journal)
            untouched = snapshot(journal)
    with Journal.open(tmp_path / "whole") as journal:
        write(journal)
        whole = snapshot(journal)
    assert killed(work)
    with Journal.open(state) as journal:
        assert snapshot(journal) == (whole if point == "committed" else untouched)
        assert journal.audit() == ()
        if point != "committed":
            write(journal)
        assert snapshot(journal) == whole
        assert journal.audit() == ()


def test_the_points_of_the_trip_are_those_that_are_promised(state: Path) -> None:
    reached: list[str] = []
    with Journal.open(state, trip=reached.append) as journal:
        start(journal)
        assert reached == [f"start_run:{point}" for point in START]
        reached.clear()
        announce(journal)
        assert reached == [f"record:{point}" for point in RECORD]
        for event in LIFE[1:]:
            journal.record(journal.open_batches()[0], event)
        reached.clear()
        deliver(journal)
        assert reached == [f"deliver:{point}" for point in DELIVER]


def test_the_points_of_a_run_that_is_prepared_in_steps_are_those_that_are_promised(state: Path) -> None:
    reached: list[str] = []
    with Journal.open(state, trip=reached.append) as journal:
        begin(journal)
        reached.clear()
        add(journal)
        assert reached == [f"add_batch:{point}" for point in ADD]
    with Journal.open(state.with_name("other"), trip=reached.append) as journal:
        begin(journal)
        reached.clear()
        cut(journal)
        assert reached == [f"cut_run:{point}" for point in CUT]


@pytest.mark.parametrize("point", [one for one in DELIVER if one != "committed"])
def test_a_crash_inside_the_process_leaves_nothing_and_the_journal_usable(state: Path, point: str) -> None:
    armed = [False]

    def crash(reached: str) -> None:
        if armed[0] and reached == f"deliver:{point}":
            raise KeyboardInterrupt

    with Journal.open(state, trip=crash) as journal:
        collected(journal)
        before = snapshot(journal)
        armed[0] = True
        with pytest.raises(KeyboardInterrupt):
            deliver(journal)
        assert snapshot(journal) == before
        armed[0] = False
        deliver(journal)
        assert journal.open_batches() == ()


def test_rejects_that_cannot_be_read_to_their_end_leave_nothing_behind(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0])

    def broken() -> Iterator[Sequence[Reject]]:
        yield from rejects(10)
        raise OSError("the evidence file is gone")

    before = snapshot(journal)
    with pytest.raises(OSError, match="evidence"):
        journal.deliver(batch, DELIVERED, baseline=a_baseline(batch), rejects=broken())
    assert snapshot(journal) == before
    assert journal.deliver(batch, DELIVERED, baseline=None, rejects=()).phase is Phase.DELIVERED


def test_a_full_disk_is_told_and_nothing_is_lost(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0])
    before = snapshot(journal)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(EnvironmentProblem, match="disk is full") as caught:
        journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(20_000))
    assert "Free some space" in caught.value.hint
    assert snapshot(journal) == before
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(20_000))
    assert journal.rejects_count() == 20_000
    assert journal.audit() == ()


def test_a_file_that_may_not_grow_is_told_and_nothing_is_lost(state: Path) -> None:
    """A real write error of the operating system, in a process of its own."""
    with Journal.open(state) as journal:
        collected(journal)
        before = snapshot(journal)

    def work() -> None:
        import resource  # noqa: PLC0415 - only the forked process is limited

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal.open(state)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        with pytest.raises(EnvironmentProblem):
            journal.deliver(journal.open_batches()[0], DELIVERED, baseline=None, rejects=rejects(20_000))
        os.kill(os.getpid(), signal.SIGKILL)

    assert killed(work)
    with Journal.open(state) as journal:
        assert snapshot(journal) == before
        assert journal.audit() == ()


def test_a_hundred_thousand_rejects_are_one_transaction(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0])
    serial = journal.serial
    journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(100_000, chunk=10_000))
    assert (journal.rejects_count(), journal.serial) == (100_000, serial + 1)
    assert journal.rejects("guests", limit=1, offset=99_999)[0].reject.line == 100_000
