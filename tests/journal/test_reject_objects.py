"""Rejects of a run beyond the first ones are Parquet objects, which every query and every deletion sees."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from journal_samples import (
    DELIVERED,
    LATER,
    NOW,
    make_baseline,
    make_batch,
    make_run,
    record_all,
    rejects,
    run_until_killed,
)

from batchsync.core.batch import Verdict
from batchsync.core.events import CollectedAgain, Resolved
from batchsync.core.naming import reject_object_key, rejects_prefix
from batchsync.core.personal_data import REMOVED_TEXT, hash_of_key
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.errors import StateError, UnavailableError
from batchsync.journal import Journal, copy_of_journal
from batchsync.journal.reject_objects import _GROUP_ROWS
from batchsync.ports import Erasure, Expired, Reject
from batchsync.ports.overview import RejectSearch
from batchsync.reconcile.backup import BackupSource, back_up
from batchsync.reconcile.sweep import rejects_in_use, sweep_rejects
from batchsync.storage.backup_places import BackupFolder
from batchsync.storage.local_folder import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batchsync.core.batch import Batch
    from batchsync.journal import RejectRow

LIMIT = 5
SECRET = "5" * 64


def opened(
    state: Path, limit: int = LIMIT, *, read_only: bool = False, failpoint: Callable[[str], None] | None = None
) -> Journal:
    """Return the journal of a state folder, whose first rejects of a run are rows."""
    return Journal.open(
        state,
        journal_id="journal-1",
        objects=LocalFolder(state),
        reject_rows=limit,
        read_only=read_only,
        failpoint=failpoint,
    )


def mixed(count: int) -> Iterator[Sequence[Reject]]:
    """Yield rejects of several kinds, codes and fields, some of them with personal texts and odd letters."""
    for chunk in rejects(count, chunk=3):
        yield [
            replace(
                item,
                kind=("rejected", "unknown", "superseded")[item.line % 3],
                code=f"E{item.line % 2}",
                field=("email", "")[item.line % 2],
                key=f"ü%_{item.key}",
            )
            for item in chunk
        ]


def collected(journal: Journal, serial: int = 1, job: str = "guests") -> Batch:
    """Start a run of a job, whose source has 4 invalid rows, and collect its batch."""
    run = make_run(job, serial)
    batch = make_batch(run)
    journal.start_run(run, [batch], rejects(4, "invalid"))
    return record_all(journal, batch)


def deliver(journal: Journal, count: int = 20, serial: int = 1, job: str = "guests") -> Batch:
    """Deliver the batch of a new run, of which this number of rows were refused."""
    batch = collected(journal, serial, job)
    return journal.deliver(batch, DELIVERED, baseline=make_baseline(batch), rejects=mixed(count))


def objects(state: Path, job: str = "guests") -> list[str]:
    """Return the objects of rejects of a job."""
    return [item.key for item in LocalFolder(state).list(rejects_prefix(job))]


def answers(journal: Journal, key: str) -> list[object]:
    """Return what every query of rejects answers, of whole runs, of a key, of reasons, and page by page."""
    searches = [
        RejectSearch(),
        RejectSearch(run="guests-1"),
        RejectSearch(job="guests", code="E1"),
        RejectSearch(job="guests", kind="superseded", field="email"),
        RejectSearch(field=""),
        RejectSearch(key="%_key-000001"),
        RejectSearch(key="missing"),
    ]
    found: list[object] = [list(_pages(journal, search)) for search in searches]
    for kind in (None, "invalid", "rejected", "unknown", "superseded"):
        found += [list(journal.rejects(kind=kind)), journal.rejects_count(kind=kind), journal.reject_groups(kind=kind)]
        found += [list(journal.rejects("guests", "guests-1", kind)), journal.reject_groups("guests", "guests-1", kind)]
        found += [journal.rejects_count(run="guests-2", kind=kind)]
    for batch in ("guests-1-batch-1", "guests-2-batch-1"):
        found += [journal.unknown_keys(batch), journal.failed_keys(batch)]
    found += [journal.why("guests", key), journal.mentioned(["guests", "orders"], [key, "missing"])]
    found += [journal._rows("SELECT * FROM v_reject_groups ORDER BY job, run, outcome, code, field")]
    return found


def _pages(journal: Journal, search: RejectSearch) -> Iterator[RejectRow]:
    """Yield what pages of three rejects show."""
    after = 0
    while page := journal.found_rejects(replace(search, after=after), 3):
        assert len(page) <= 3
        yield from (row for _, row in page)
        after = page[-1][0]


def test_queries_and_exports_are_those_of_a_journal_without_objects(tmp_path: Path) -> None:
    found = []
    for limit in (10_000, LIMIT, 0, 17):
        state = tmp_path / str(limit)
        with opened(state, limit) as journal:
            deliver(journal)
            deliver(journal, 30, serial=2)
            deliver(journal, 3, job="orders")
            resolved = Resolved(at=LATER, delivered=True, reason="they have it")
            batch = journal.batches("guests-2")[0]
            journal.resolve(batch, resolved, baseline=make_baseline(batch))
            found.append(answers(journal, "ü%_key-0000017"))
        assert len(objects(state)) == {10_000: 0, LIMIT: 2, 0: 4, 17: 2}[limit]
        with opened(state, limit, read_only=True) as journal:
            assert answers(journal, "ü%_key-0000017") == found[0]
    assert found[1:] == found[:1] * 3


def test_limit_is_of_a_run_and_not_of_a_batch(state: Path) -> None:
    with opened(state) as journal:
        deliver(journal)
        rows = journal._rows("SELECT run, count(*) AS n FROM rejects GROUP BY run")

        assert rows == [{"run": "guests-1", "n": LIMIT}]
        assert journal.rejects_count("guests", kind="invalid") == 4


def test_objects_are_read_by_row_group(state: Path) -> None:
    with opened(state, 0) as journal:
        run = make_run()
        journal.start_run(run, [make_batch(run)], rejects(2 * _GROUP_ROWS + 1, "invalid", chunk=10_000))
        (key,) = objects(state)
        last = list(journal.found_rejects(RejectSearch(after=2 * _GROUP_ROWS), 10))

        assert [row.reject.key for _, row in last] == [f"key-{2 * _GROUP_ROWS:07d}"]
        assert next(journal.rejects()).reject.key == "key-0000000"
        assert len(journal.why("guests", f"key-{_GROUP_ROWS:07d}")) == 1
        assert pq.read_metadata(state / key).num_row_groups == 3
        assert sum(1 for _ in journal.rejects()) == journal.rejects_count() == 2 * _GROUP_ROWS + 1


@pytest.mark.parametrize("point", ["add_rejects:object", "add_rejects:row", "deliver:commit"])
def test_kill_between_object_and_row_leaves_an_object_that_is_swept(state: Path, point: str) -> None:
    with opened(state) as journal:
        collected(journal)

    def die(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        with opened(state, failpoint=die) as journal:
            batch = journal.batches("guests-1")[0]
            journal.deliver(batch, DELIVERED, baseline=None, rejects=mixed(20))

    assert run_until_killed(work)
    with opened(state) as journal:
        assert journal.rejects_count("guests", kind="rejected") == 0
        assert len(objects(state)) == 1
        sweep(journal, state)
        assert objects(state) == []
        batch = journal.batches("guests-1")[0]
        journal.deliver(batch, DELIVERED, baseline=None, rejects=mixed(20))
        sweep(journal, state)
        assert len(list(journal.rejects(kind="unknown"))) == 7
        assert journal.audit() == ()


def sweep(journal: Journal, state: Path, job: str = "guests") -> None:
    """Remove the objects of a job that its journal does not name."""
    services = type("Swept", (), {"objects": LocalFolder(state), "store": journal})()
    sweep_rejects(job, services)


def test_object_that_cannot_be_written_rolls_the_delivery_back(state: Path) -> None:
    with opened(state) as journal:
        batch = collected(journal)
        (state / "rejects").write_text("a file instead of a folder", encoding="utf-8")
        with pytest.raises(UnavailableError, match="the rejects of guests cannot be written"):
            journal.deliver(batch, DELIVERED, baseline=None, rejects=mixed(20))

        assert journal.batch(batch.id) is not None
        assert journal.rejects_count(kind="rejected") == 0


def erasure(*keys: str) -> Erasure:
    """Return the erasure of keys."""
    return Erasure(
        job="guests",
        names=("guests",),
        keys=keys,
        hashes=[hash_of_key(SECRET, key) for key in keys],
        check=hash_of_key(SECRET, ""),
        at=LATER,
        by="ops",
        reason="request 114",
        baselines=[],
        manifests={},
    )


def test_erased_key_is_in_no_object_and_the_others_stay(state: Path) -> None:
    key = "jane.roe.7781@people.example"
    texts = [
        [Reject(kind="rejected", key=f"K{number}", reason=f"bad {number}") for number in range(8)],
        [Reject(kind="rejected", key=key, reason="bad"), Reject(kind="rejected", key="K8", reason=f"as {key} wrote")],
    ]
    with opened(state) as journal:
        batch = collected(journal)
        journal.deliver(batch, DELIVERED, baseline=None, rejects=texts)
        assert journal.mentioned(["guests"], [key, "K8", "K99"]) == {key, "K8"}
        (before,) = objects(state)

        assert journal.erase(erasure(key)) == 2

        sweep(journal, state)
        (after,) = objects(state)
        assert after != before
        assert journal.why("guests", key) == ()
        assert journal.why("guests", "K8")[0].reject.reason == REMOVED_TEXT
        assert journal.rejects_count(kind="rejected") == len(list(journal.rejects(kind="rejected"))) == 9
        stored = pq.read_table(state / after)
        assert key not in str(stored.to_pydict())
        assert key not in str(journal._rows("SELECT * FROM reject_object_groups"))
        # Nothing of it is left, so nothing is written.
        assert journal.erase(erasure(key)) == 0
        assert objects(state) == [after]


def test_object_without_any_row_left_goes(state: Path) -> None:
    with opened(state, 4) as journal:
        batch = collected(journal)
        journal.deliver(batch, DELIVERED, baseline=None, rejects=[[Reject(kind="rejected", key="K1", reason="bad")]])
        assert journal.erase(erasure("K1")) == 1
        sweep(journal, state)

        assert objects(state) == []
        assert journal.reject_files("guests") == ()
        assert journal.rejects_count() == 4


def test_resolved_rows_are_removed_from_objects(state: Path) -> None:
    with opened(state) as journal:
        batch = deliver(journal)
        unknown = journal.unknown_keys(batch.id)
        assert len(unknown) == 7
        again = CollectedAgain(
            at=LATER, counts=OutcomeCounts.of(accepted=7, rejected=3), verdict=Verdict.MIXED, vendor_status="done"
        )
        journal.resolve(
            batch,
            again,
            baseline=make_baseline(batch),
            known=unknown,
            rejects=[[Reject(kind="rejected", key="late", reason="bad")]],
        )
        sweep(journal, state)

        assert journal.unknown_keys(batch.id) == ()
        assert journal.rejects_count(kind="unknown") == 0
        assert journal.why("guests", "late")[0].reject.reason == "bad"
        assert journal.rejects_count(kind="rejected") == 7
        assert [row.reject.key for row in journal.rejects(kind="rejected")][-1] == "late"


def test_old_objects_are_pruned_with_their_groups(state: Path) -> None:
    known = Resolved(at=LATER, delivered=True, reason="they have it")
    with opened(state) as journal:
        batch = deliver(journal)
        old = Expired(rejects=NOW + timedelta(days=50), runs=None)
        assert journal.is_prunable("guests", old)
        # The outcome of some rows is still unknown: their rejects are needed.
        assert journal.prune("guests", old) == 4
        journal.resolve(batch, known, baseline=make_baseline(batch))
        assert journal.is_prunable("guests", old)
        assert journal.prune("guests", old) == 20
        sweep(journal, state)

        assert not journal.is_prunable("guests", old)
        assert (objects(state), journal.rejects_count()) == ([], 0)
        assert journal._rows("SELECT * FROM reject_object_groups") == []


def test_runs_are_pruned_with_their_objects(state: Path) -> None:
    known = Resolved(at=LATER, delivered=True, reason="they have it")
    with opened(state) as journal:
        for serial in (1, 2):
            batch = deliver(journal, serial=serial)
            journal.resolve(batch, known, baseline=make_baseline(batch))
        journal.prune("guests", Expired(rejects=None, runs=NOW + timedelta(days=50)))

        assert len(journal.reject_files("guests")) == 1
        assert {row.run for row in journal.rejects()} == {"guests-2"}


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])], ids=["missing", "damaged"]
)
def test_missing_and_damaged_objects_are_reported(state: Path, damage: Callable[[Path], object]) -> None:
    with opened(state) as journal:
        deliver(journal)
        damage(state / objects(state)[0])
        # Counts and groups need no object.
        assert journal.rejects_count() == 4 + 13
        with pytest.raises(StateError, match=r"rejects are (missing|damaged) in the state folder: rejects/guests/"):
            list(journal.rejects())


def test_journal_without_its_objects_says_so(state: Path) -> None:
    with opened(state) as journal:
        deliver(journal)
    with Journal.open(state, read_only=True) as journal:
        assert journal.rejects_count() == 4 + 13
        assert len(list(islice(journal.rejects(kind="invalid"), 4))) == 4
        with pytest.raises(StateError, match="which this command was not given"):
            list(journal.rejects())


def test_backup_has_the_objects(state: Path, tmp_path: Path) -> None:
    with opened(state) as journal:
        batch = deliver(journal)
        # The samples have no files: segments, and the row manifest of a batch with unknown rows, would be needed, too.
        known = Resolved(at=LATER, delivered=True, reason="they have it")
        journal.resolve(batch, known, baseline=replace(make_baseline(batch), segments=()))
        needed = rejects_in_use("guests", journal)
        assert needed == {reject_object_key("guests", name) for name in journal.reject_files("guests")}

    source = BackupSource(
        state=state, objects=LocalFolder(state), copy_journal=lambda folder: copy_of_journal(state, folder)
    )
    place = BackupFolder(tmp_path / "backup")
    snapshot = back_up(source, place, datetime(2026, 11, 30, tzinfo=UTC))

    assert needed
    assert needed <= snapshot.contents.keys()
