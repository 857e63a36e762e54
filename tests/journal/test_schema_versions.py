"""A journal of another schema version is migrated or refused with a message; no command fails with an SQL error."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_samples import make_batch, make_run

from batchsync.core.batch import Phase
from batchsync.core.events import Cancelled
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.run import settlement_of
from batchsync.errors import StateError
from batchsync.journal import Journal, schema


@pytest.fixture
def older(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state folder whose journal has the present schema while batchsync has the next."""
    with Journal.open(state) as journal:
        run = make_run()
        journal.start_run(run, [make_batch(run)], ())

    def add_notes(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE approvals ADD COLUMN note TEXT NOT NULL DEFAULT ''")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, add_notes))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    monkeypatch.setattr(schema, "expected_shape", schema.expected_shape.__wrapped__)
    return state


def test_older_schema_is_migrated_by_a_command_that_writes(older: Path) -> None:
    with Journal.open(older) as journal:
        assert [run.serial for run in journal.history("guests")] == [1]
        assert journal.audit() == ()
    with Journal.open(older, read_only=True) as journal:
        assert len(journal.open_batches()) == 1


def test_older_schema_is_refused_by_a_command_that_only_reads(older: Path) -> None:
    with pytest.raises(StateError, match=r"older batchsync \(schema 8; this version reads 9\)") as refused:
        Journal.open(older, read_only=True)
    assert "batchsync resume" in refused.value.hint


def test_newer_schema_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(state).close()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 0)
    for read_only in (False, True):
        with pytest.raises(StateError, match="newer batchsync"):
            Journal.open(state, read_only=read_only)


@pytest.fixture(params=["schema_1.sql", "schema_2.sql", "schema_3.sql", "schema_4.sql", "schema_5.sql"])
def earlier(state: Path, request: pytest.FixtureRequest) -> Path:
    """Return a state folder with a journal of an earlier schema: a run with two batches, one of them delivered."""
    state.mkdir(mode=0o700, exist_ok=True)
    with closing(sqlite3.connect(state / "journal.db")) as db:
        db.executescript(Path(__file__).with_name(request.param).read_text(encoding="utf-8"))
    (state / "journal.db").chmod(0o600)
    return state


def test_earlier_journal_is_read_as_it_was_written(earlier: Path) -> None:
    with Journal.open(earlier) as journal:
        delivered, prepared = journal.batches("guests-1")
        assert (delivered.phase, delivered.counts) == (
            Phase.DELIVERED,
            OutcomeCounts.of(accepted=7, rejected=2, unknown=1),
        )
        assert (prepared.phase, prepared.counts) == (Phase.PREPARED, None)
        assert journal.unresolved("guests") == (delivered,)
        run = journal.run("guests-1")
        assert settlement_of(run, (delivered, prepared)).outcomes == OutcomeCounts.of(
            unchanged=3, accepted=7, invalid=2, rejected=2, unknown=1, deferred=10
        )
        assert [row.reject.kind for row in journal.rejects()] == [RowOutcome.INVALID, RowOutcome.UNKNOWN]
        assert journal.audit() == ()
        journal.record(prepared, Cancelled(at=prepared.prepared_at, reason="cancelled"))
    with Journal.open(earlier) as journal:
        assert (journal.batches("guests-1")[1].phase, journal.audit()) == (Phase.FINISHED, ())


def test_later_columns_of_an_earlier_journal_say_that_nothing_is_known(earlier: Path) -> None:
    with Journal.open(earlier) as journal:
        assert [batch.foreign_answers for batch in journal.batches("guests-1")] == [0, 0]
        assert journal.run("guests-1").source_files is None


def test_migration_keeps_the_evidence_of_a_changed_row(earlier: Path) -> None:
    with closing(sqlite3.connect(earlier / "journal.db")) as db, db:
        columns = {column[1] for column in db.execute("PRAGMA table_info(batches)")}
        changed = (
            """counts = '{"accepted":8,"rejected":1,"unknown":1}'"""
            if "counts" in columns
            else "accepted = 8, rejected = 1"
        )
        db.execute(f"UPDATE batches SET {changed} WHERE seq = 1")  # noqa: S608 - constant texts
    with Journal.open(earlier) as journal, pytest.raises(StateError, match="was changed after batchsync wrote it"):
        journal.batches("guests-1")


@pytest.mark.parametrize("counts", ['{"accepted":9}', "{}"])
def test_counts_that_do_not_add_up_to_the_rows_are_refused_by_the_file(earlier: Path, counts: str) -> None:
    Journal.open(earlier).close()
    with closing(sqlite3.connect(earlier / "journal.db")) as db:
        with pytest.raises(sqlite3.IntegrityError, match="do not add up"):
            db.execute("UPDATE batches SET counts = ? WHERE seq = 1", [counts])
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            db.execute("UPDATE batches SET counts = NULL WHERE seq = 1")


def test_journal_with_an_outcome_of_a_newer_version_is_refused_by_name(earlier: Path) -> None:
    Journal.open(earlier).close()
    with closing(sqlite3.connect(earlier / "journal.db")) as db, db:
        db.execute("UPDATE rejects SET kind = 'postponed'")
    with (
        Journal.open(earlier) as journal,
        pytest.raises(StateError, match="unknown row outcome 'postponed'") as refused,
    ):
        list(journal.rejects())
    assert "upgrade" in refused.value.hint
