"""Failures of the journal's files are reported with a next step, and leave no partial write."""

from __future__ import annotations

import contextlib
import resource
import signal
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from journal_samples import (
    DELIVERED,
    NOW,
    make_baseline,
    make_batch,
    make_run,
    record_all,
    rejects,
    snapshot,
    start_run,
)

from batchsync.core.batch import BatchId
from batchsync.core.run import RunState
from batchsync.errors import BatchsyncError, LockedError, StateError, UnavailableError
from batchsync.journal import Journal, codec, files, store
from batchsync.journal.sqlite_errors import explain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_journal(folder: Path) -> None:
    """Write a journal with something in every table, and close it."""
    with Journal.open(folder, journal_id="journal-1") as journal:
        first, _ = start_run(journal, batches=2)
        journal.deliver(record_all(journal, first), DELIVERED, baseline=make_baseline(first), rejects=rejects(30))


@contextlib.contextmanager
def edit_externally(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the file without its triggers and without foreign keys, as an external editor would."""
    connection = sqlite3.connect(folder / "journal.db", isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    try:
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.execute(sql)
    finally:
        connection.close()


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Make writes beyond a file size fail in the operating system, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def assert_refused(folder: Path, kind: type[BatchsyncError], match: str, *, read_only: bool = False) -> None:
    with pytest.raises(kind, match=match) as caught:
        Journal.open(folder, read_only=read_only)
    assert caught.value.hint, "a refusal has a hint"


def findings(folder: Path) -> str:
    with Journal.open(folder) as journal:
        return "\n".join(journal.audit())


def test_folder_name_too_long_is_reported(tmp_path: Path) -> None:
    assert_refused(tmp_path / ("x" * 300), UnavailableError, "File name too long")


def test_uninspectable_path_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UnavailableError, match="Not a directory"):
        files.inspect(tmp_path / "file" / "journal.db")


@pytest.mark.parametrize("name", ["create.lock", "journal.anchor"])
def test_folder_named_like_lock_or_watermark_is_reported(state: Path, name: str) -> None:
    (state / name).mkdir(parents=True)
    state.chmod(0o700)
    assert_refused(state, UnavailableError, "cannot be used: Is a directory")


def test_disk_error_during_creation_is_reported_and_leaves_no_journal(state: Path) -> None:
    with file_size_limit(4096):
        assert_refused(state, UnavailableError, "could not be (read or )?written")
    assert not (state / "journal.db").exists()
    with Journal.open(state) as journal:
        start_run(journal)


def test_disk_error_during_write_is_reported_and_loses_nothing(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0])
    before = snapshot(journal)
    with file_size_limit(300_000), pytest.raises(UnavailableError) as caught:
        journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(20_000))
    assert caught.value.hint
    assert snapshot(journal) == before


def test_file_system_without_wal_mode_is_refused(tmp_path: Path) -> None:
    """An in-memory database stays in memory mode, as a file on some network file systems stays in delete mode."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(UnavailableError, match="stays in memory mode") as caught:
        store._configure(db, tmp_path / "journal.db", read_only=False)
    assert "local disk" in caught.value.hint
    db.close()


def test_sqlite_library_that_ignores_a_required_pragma_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store._PRAGMAS, "trusted_schema", 7)
    assert_refused(state, UnavailableError, "ignores PRAGMA trusted_schema = 7")


def test_journal_without_meta_row_is_refused(state: Path) -> None:
    write_journal(state)
    with edit_externally(state) as connection:
        connection.execute("DELETE FROM meta")
    assert_refused(state, StateError, "its table meta is empty")


@pytest.mark.parametrize("name", [b"leasesleases", b"ticksticks"])
def test_undecodable_table_name_is_reported_as_damage(state: Path, name: bytes) -> None:
    write_journal(state)
    content = (state / "journal.db").read_bytes()
    assert name in content
    (state / "journal.db").write_bytes(content.replace(name, name[:2] + b"\xff" + name[3:]))
    assert_refused(state, StateError, "damaged: a text value is not valid UTF-8")


def test_undecodable_value_is_reported_as_damage_without_showing_it(state: Path) -> None:
    write_journal(state)
    with edit_externally(state) as connection:
        connection.execute("UPDATE rejects SET key = CAST(X'736563726574FF' AS TEXT) WHERE no = 3")
    with Journal.open(state) as journal, pytest.raises(StateError, match="not valid UTF-8") as caught:
        list(journal.rejects())
    assert "secret" not in str(caught.value)


def test_invalid_size_in_header_is_ignored(state: Path) -> None:
    """The two counters in the header differ after a write by an old SQLite; its size is then not valid."""
    write_journal(state)
    with (state / "journal.db").open("r+b") as file:
        file.seek(24)
        counter = int.from_bytes(file.read(4))
        file.seek(24)
        file.write((counter + 1).to_bytes(4))
        file.seek(28)
        file.write((10**6).to_bytes(4))
    assert findings(state) == ""


def test_edited_event_is_refused(state: Path) -> None:
    write_journal(state)
    with edit_externally(state) as connection:
        connection.execute("UPDATE events SET payload = replace(payload, 'timeout', 'success') WHERE no = 4")
    with (
        Journal.open(state) as journal,
        pytest.raises(StateError, match=r"event 4 of batch .* was changed after batchsync wrote it"),
    ):
        journal.events("guests-1-batch-1")


def test_unknown_event_is_refused() -> None:
    with pytest.raises(StateError, match="unknown event 'Teleported'") as caught:
        codec.read_event("Teleported", codec.to_iso(NOW), "{}")
    assert "upgrade" in caught.value.hint


def test_write_that_violates_a_constraint_is_rolled_back(journal: Journal) -> None:
    start_run(journal)
    before = snapshot(journal)
    twice = replace(make_run(serial=2), id=make_run().id)
    with pytest.raises(StateError, match="refused a write that contradicts its content") as caught:
        journal.start_run(twice, [replace(make_batch(twice), id=BatchId("another"))], ())
    assert "batchsync doctor" in caught.value.hint
    assert snapshot(journal) == before


def test_query_of_closed_journal_is_a_programming_error(state: Path) -> None:
    journal = Journal.open(state)
    journal.close()
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError):
        journal.jobs()


def test_other_sqlite_errors_keep_their_message(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT * FROM nowhere")
    connection.close()
    translated = explain(caught.value, tmp_path / "journal.db")
    assert isinstance(translated, UnavailableError)
    assert "no such table: nowhere" in translated.message


def test_jobs_are_those_that_ever_ran(journal: Journal) -> None:
    assert journal.jobs() == ()
    start_run(journal, "vehicles")
    start_run(journal, "guests")
    assert journal.jobs() == ("guests", "vehicles")


def test_audit_finds_batch_without_events(state: Path) -> None:
    write_journal(state)
    with edit_externally(state) as connection:
        connection.execute("DELETE FROM events")
    assert "its row is prepared, its replayed events result in None" in findings(state)


def test_audit_finds_batch_without_run(state: Path) -> None:
    write_journal(state)
    with edit_externally(state) as connection:
        connection.execute("DELETE FROM runs")
    assert "a row of batches refers to a missing row of runs" in findings(state)


def test_audit_finds_incomplete_index(state: Path) -> None:
    """The table is not a critical one; indexes of those are checked at every opening."""
    write_journal(state)
    with edit_externally(state) as connection:
        row = connection.execute("SELECT * FROM sqlite_master WHERE name = 'rejects_by_key'").fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'rejects_by_key'")
    with edit_externally(state) as connection:
        connection.execute("DELETE FROM rejects WHERE no = 3")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    assert "the file is damaged: " in findings(state)


def test_audit_finds_run_whose_batches_differ_from_its_plan(journal: Journal) -> None:
    """The forged rows have valid checksums."""
    start_run(journal, batches=2)
    start_run(journal, "vehicles")
    guests, vehicles = make_run(batches=3), make_run("vehicles", state=RunState.SETTLED)
    for run in (guests, vehicles):
        row = codec.run_row(run)
        journal._db.execute(
            "UPDATE runs SET counts = ?, state = ?, checksum = ? WHERE id = ?",
            [row["counts"], row["state"], row["checksum"], run.id],
        )
    journal._writer.table("runs").insert(codec.run_row(make_run("orders")))

    report = "\n".join(journal.audit())

    assert "run guests-1: run guests-1: its batches and its plan of 30 records differ by 10" in report
    assert "run guests-1 planned to send 30 records, but its batches contain 20" in report
    assert "run orders-1 planned to send 10 records, but its batches contain 0" in report
    assert "run vehicles-1 is settled, but not all of its batches are delivered" in report


def test_audit_finds_preparing_run_that_is_complete(journal: Journal) -> None:
    start_run(journal, batches=2)
    row = codec.run_row(make_run(batches=2, state=RunState.PREPARING))
    journal._db.execute(
        "UPDATE runs SET state = ?, checksum = ? WHERE id = ?", [row["state"], row["checksum"], row["id"]]
    )
    assert "run guests-1 is preparing 20 records, and its batches contain 20" in "\n".join(journal.audit())


def test_batch_out_of_order_is_refused(journal: Journal) -> None:
    run = make_run(batches=3, state=RunState.PREPARING)
    journal.start_run(run, [make_batch(run, 1)], ())
    before = snapshot(journal)
    with pytest.raises(ValueError, match="is number 3 of run guests-1, which has 1"):
        journal.add_batch(make_batch(run, 3))
    assert snapshot(journal) == before
    assert journal.audit() == ()
    assert journal.add_batch(make_batch(run, 2)).state is RunState.PREPARING
    assert journal.add_batch(make_batch(run, 3)).state is RunState.PREPARED
    assert journal.audit() == ()


def test_aborted_run_accepts_no_more_batches(journal: Journal) -> None:
    run = make_run(batches=2, state=RunState.PREPARING)
    journal.start_run(run, [make_batch(run, 1)], ())
    journal.abort_preparation(run.id, NOW)
    with pytest.raises(LockedError, match="run guests-1 was ended by another process meanwhile: it is prepared"):
        journal.add_batch(make_batch(run, 2))


def test_second_creation_keeps_the_existing_journal(state: Path) -> None:
    write_journal(state)
    store._create(state / "journal.db", "journal-2")
    with Journal.open(state) as journal:
        assert journal.journal_id == "journal-1"
        assert journal.history()
