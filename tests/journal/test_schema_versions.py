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
    with pytest.raises(StateError, match=r"older batchsync \(schema 2; this version reads 3\)") as refused:
        Journal.open(older, read_only=True)
    assert "batchsync resume" in refused.value.hint


def test_newer_schema_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(state).close()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 0)
    for read_only in (False, True):
        with pytest.raises(StateError, match="newer batchsync"):
            Journal.open(state, read_only=read_only)


@pytest.fixture
def schema_1(state: Path) -> Path:
    """Return a state folder with a journal written with schema 1: a run with two batches, one of them delivered."""
    state.mkdir(mode=0o700, exist_ok=True)
    with closing(sqlite3.connect(state / "journal.db")) as db:
        db.executescript(Path(__file__).with_name("schema_1.sql").read_text(encoding="utf-8"))
    (state / "journal.db").chmod(0o600)
    return state


def test_counts_of_schema_1_become_a_mapping(schema_1: Path) -> None:
    with Journal.open(schema_1) as journal:
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
    with Journal.open(schema_1) as journal:
        assert (journal.batches("guests-1")[1].phase, journal.audit()) == (Phase.FINISHED, ())


def test_migration_keeps_the_evidence_of_a_changed_row(schema_1: Path) -> None:
    with closing(sqlite3.connect(schema_1 / "journal.db")) as db, db:
        db.execute("UPDATE batches SET accepted = 8, rejected = 1 WHERE seq = 1")
    with Journal.open(schema_1) as journal, pytest.raises(StateError, match="was changed after batchsync wrote it"):
        journal.batches("guests-1")


@pytest.mark.parametrize("counts", ['{"accepted":9}', "{}"])
def test_counts_that_do_not_add_up_to_the_rows_are_refused_by_the_file(schema_1: Path, counts: str) -> None:
    Journal.open(schema_1).close()
    with closing(sqlite3.connect(schema_1 / "journal.db")) as db:
        with pytest.raises(sqlite3.IntegrityError, match="do not add up"):
            db.execute("UPDATE batches SET counts = ? WHERE seq = 1", [counts])
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            db.execute("UPDATE batches SET counts = NULL WHERE seq = 1")


def test_journal_with_an_outcome_of_a_newer_version_is_refused_by_name(schema_1: Path) -> None:
    Journal.open(schema_1).close()
    with closing(sqlite3.connect(schema_1 / "journal.db")) as db, db:
        db.execute("UPDATE rejects SET kind = 'postponed'")
    with (
        Journal.open(schema_1) as journal,
        pytest.raises(StateError, match="unknown row outcome 'postponed'") as refused,
    ):
        list(journal.rejects())
    assert "upgrade" in refused.value.hint
