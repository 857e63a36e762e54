"""Whatever keeps the journal from its files is told in words with a next thing to do, and leaves nothing half done."""

from __future__ import annotations

import contextlib
import resource
import signal
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, NOW, a_baseline, a_batch, a_run, lived, rejects, snapshot, started
from sqlite_utils import Database

from lading.core.batch import BatchId
from lading.core.run import RunState
from lading.errors import EnvironmentProblem, LadingError, LockedError, StateError
from lading.journal import Journal, codec, files, store
from lading.journal.faults import explain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def filled(folder: Path) -> None:
    """Write a journal with something in every table, and close it."""
    with Journal.open(folder, lineage="lineage-1") as journal:
        one, _ = started(journal, batches=2)
        journal.deliver(lived(journal, one), DELIVERED, baseline=a_baseline(one), rejects=rejects(30))


@contextlib.contextmanager
def behind_its_back(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the file as somebody would who edits it: no trigger and no foreign key keeps them from anything."""
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
def no_file_above(size: int) -> Iterator[None]:
    """Let the operating system refuse to write files beyond a size, as a full disk or a quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def refused(folder: Path, kind: type[LadingError], match: str, *, read_only: bool = False) -> None:
    with pytest.raises(kind, match=match) as caught:
        Journal.open(folder, read_only=read_only)
    assert caught.value.hint, "every refusal says what to do"


def findings(folder: Path) -> str:
    with Journal.open(folder) as journal:
        return "\n".join(journal.audit())


def test_a_folder_whose_name_is_too_long_is_told(tmp_path: Path) -> None:
    refused(tmp_path / ("x" * 300), EnvironmentProblem, "File name too long")


def test_a_path_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(EnvironmentProblem, match="Not a directory"):
        files.look_at(tmp_path / "file" / "journal.db")


@pytest.mark.parametrize("name", ["create.lock", "journal.anchor"])
def test_a_folder_in_the_place_of_a_small_file_is_told(state: Path, name: str) -> None:
    (state / name).mkdir(parents=True)
    state.chmod(0o700)
    refused(state, EnvironmentProblem, "cannot be used: Is a directory")


def test_a_disk_that_takes_no_new_journal_is_told_and_leaves_none(state: Path) -> None:
    with no_file_above(4096):
        refused(state, EnvironmentProblem, "could not be (read or )?written")
    assert not (state / "journal.db").exists()
    with Journal.open(state) as journal:
        started(journal)


def test_a_disk_that_fails_in_the_middle_of_a_write_is_told_and_nothing_is_lost(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0])
    before = snapshot(journal)
    with no_file_above(300_000), pytest.raises(EnvironmentProblem) as caught:
        journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(20_000))
    assert caught.value.hint
    assert snapshot(journal) == before


def test_a_file_system_without_write_ahead_log_is_refused(tmp_path: Path) -> None:
    """A database in memory stays in memory mode, as one on some network file systems stays in delete mode."""
    db = Database(sqlite3.connect(":memory:", isolation_level=None))
    with pytest.raises(EnvironmentProblem, match="stays in memory mode") as caught:
        store._set_pragmas(db, tmp_path / "journal.db", read_only=False)
    assert "local disk" in caught.value.hint
    db.close()


def test_a_sqlite_library_that_ignores_what_durability_needs_is_refused(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(store._PRAGMAS, "trusted_schema", 7)
    refused(state, EnvironmentProblem, "does not keep to PRAGMA trusted_schema = 7")


def test_a_journal_without_its_name_is_refused(state: Path) -> None:
    filled(state)
    with behind_its_back(state) as connection:
        connection.execute("DELETE FROM meta")
    refused(state, StateError, "its table meta is empty")


@pytest.mark.parametrize("mark", [b"leasesleases", b"slotsslots"])
def test_a_table_whose_name_is_no_text_any_more_is_told_as_damage(state: Path, mark: bytes) -> None:
    filled(state)
    content = (state / "journal.db").read_bytes()
    assert mark in content
    (state / "journal.db").write_bytes(content.replace(mark, mark[:2] + b"\xff" + mark[3:]))
    refused(state, StateError, "damaged: it holds text that is not UTF-8")


def test_a_value_that_is_no_text_any_more_is_told_as_damage_and_not_shown(state: Path) -> None:
    filled(state)
    with behind_its_back(state) as connection:
        connection.execute("UPDATE rejects SET key = CAST(X'736563726574FF' AS TEXT) WHERE no = 3")
    with Journal.open(state) as journal, pytest.raises(StateError, match="holds text that is not UTF-8") as caught:
        journal.rejects()
    assert "secret" not in str(caught.value)


def test_a_file_whose_header_does_not_vouch_for_its_size_is_left_to_sqlite(state: Path) -> None:
    """As the header of a file that an old SQLite wrote to last: the two counters in it differ."""
    filled(state)
    with (state / "journal.db").open("r+b") as file:
        file.seek(24)
        counter = int.from_bytes(file.read(4))
        file.seek(24)
        file.write((counter + 1).to_bytes(4))
        file.seek(28)
        file.write((10**6).to_bytes(4))
    assert findings(state) == ""


def test_an_event_that_was_edited_is_not_believed(state: Path) -> None:
    filled(state)
    with behind_its_back(state) as connection:
        connection.execute("UPDATE events SET payload = replace(payload, 'timeout', 'success') WHERE no = 4")
    with (
        Journal.open(state) as journal,
        pytest.raises(StateError, match=r"event 4 of batch .* is not what lading wrote"),
    ):
        journal.events("guests-1-batch-1")


def test_an_event_of_a_newer_lading_is_not_guessed_at() -> None:
    with pytest.raises(StateError, match="an event 'Teleported' that this lading does not know") as caught:
        codec.read_event("Teleported", codec.iso(NOW), "{}")
    assert "upgrade" in caught.value.hint


def test_a_write_that_contradicts_what_is_there_is_refused_whole(journal: Journal) -> None:
    started(journal)
    before = snapshot(journal)
    twice = replace(a_run(serial=2), id=a_run().id)
    with pytest.raises(StateError, match="refused a write that contradicts what it holds") as caught:
        journal.start_run(twice, [replace(a_batch(twice), id=BatchId("another"))], ())
    assert "lading doctor" in caught.value.hint
    assert snapshot(journal) == before


def test_a_question_to_a_closed_journal_is_a_defect_and_no_error_of_the_disk(state: Path) -> None:
    journal = Journal.open(state)
    journal.close()
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError):
        journal.jobs()


def test_what_sqlite_says_beyond_that_is_told_as_it_is(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT * FROM nowhere")
    connection.close()
    told = explain(caught.value, tmp_path / "journal.db")
    assert isinstance(told, EnvironmentProblem)
    assert "no such table: nowhere" in told.message


def test_jobs_are_those_that_ever_ran(journal: Journal) -> None:
    assert journal.jobs() == ()
    started(journal, "vehicles")
    started(journal, "guests")
    assert journal.jobs() == ("guests", "vehicles")


def test_the_audit_finds_a_batch_without_a_story(state: Path) -> None:
    filled(state)
    with behind_its_back(state) as connection:
        connection.execute("DELETE FROM events")
    assert "its row says prepared, its events come to None" in findings(state)


def test_the_audit_finds_a_batch_without_its_run(state: Path) -> None:
    filled(state)
    with behind_its_back(state) as connection:
        connection.execute("DELETE FROM runs")
    assert "a row of batches belongs to a row of runs that is not there" in findings(state)


def test_the_audit_finds_an_index_that_leaves_a_row_out(state: Path) -> None:
    """Of a table that no decision hangs on; the others are looked at whenever the journal is opened."""
    filled(state)
    with behind_its_back(state) as connection:
        row = connection.execute("SELECT * FROM sqlite_master WHERE name = 'rejects_by_key'").fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'rejects_by_key'")
    with behind_its_back(state) as connection:
        connection.execute("DELETE FROM rejects WHERE no = 3")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    assert "the file is damaged: " in findings(state)


def test_the_audit_finds_a_run_whose_plan_its_batches_do_not_hold(journal: Journal) -> None:
    """Rows with good check sums, of runs that were never so."""
    started(journal, batches=2)
    started(journal, "vehicles")
    guests, vehicles = a_run(batches=3), a_run("vehicles", state=RunState.SETTLED)
    for run in (guests, vehicles):
        row = codec.run_row(run)
        journal._db.execute(
            "UPDATE runs SET tally = ?, state = ?, seal = ? WHERE id = ?",
            [row["tally"], row["state"], row["seal"], run.id],
        )
    journal._db.table("runs").insert(codec.run_row(a_run("orders")))

    told = "\n".join(journal.audit())

    assert "run guests-1: run guests-1: its batches and its plan of 30 records differ by 10" in told
    assert "run guests-1 planned to send 30 records, but its batches hold 20" in told
    assert "run orders-1 planned to send 10 records, but its batches hold 0" in told
    assert "run vehicles-1 is settled, but not all of its batches are delivered" in told


def test_the_audit_finds_a_run_that_is_being_prepared_and_has_nothing_to_wait_for(journal: Journal) -> None:
    started(journal, batches=2)
    row = codec.run_row(a_run(batches=2, state=RunState.PREPARING))
    journal._db.execute("UPDATE runs SET state = ?, seal = ? WHERE id = ?", [row["state"], row["seal"], row["id"]])
    assert "run guests-1 is preparing 20 records, and its batches hold 20" in "\n".join(journal.audit())


def test_a_batch_out_of_turn_is_refused(journal: Journal) -> None:
    run = a_run(batches=3, state=RunState.PREPARING)
    journal.start_run(run, [a_batch(run, 1)], ())
    before = snapshot(journal)
    with pytest.raises(ValueError, match="is number 3 of run guests-1, which has 1"):
        journal.add_batch(a_batch(run, 3))
    assert snapshot(journal) == before
    assert journal.audit() == ()
    assert journal.add_batch(a_batch(run, 2)).state is RunState.PREPARING
    assert journal.add_batch(a_batch(run, 3)).state is RunState.PREPARED
    assert journal.audit() == ()


def test_a_run_that_was_ended_meanwhile_takes_no_more_batches(journal: Journal) -> None:
    run = a_run(batches=2, state=RunState.PREPARING)
    journal.start_run(run, [a_batch(run, 1)], ())
    journal.cut_run(run.id, NOW)
    with pytest.raises(LockedError, match="run guests-1 was ended by somebody else meanwhile: it is prepared"):
        journal.add_batch(a_batch(run, 2))


def test_who_comes_second_to_make_the_journal_makes_none(state: Path) -> None:
    filled(state)
    store._create(state / "journal.db", "lineage-2")
    with Journal.open(state) as journal:
        assert journal.lineage == "lineage-1"
        assert journal.history()
