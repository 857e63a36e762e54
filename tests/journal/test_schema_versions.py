"""A journal of another schema version is migrated or refused with a message; no command fails with an SQL error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from journal_samples import make_batch, make_run

from batchsync.errors import StateError
from batchsync.journal import Journal, schema

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@pytest.fixture
def older(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state folder whose journal has schema 1 while batchsync has schema 2."""
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
    with pytest.raises(StateError, match=r"older batchsync \(schema 1; this version reads 2\)") as refused:
        Journal.open(older, read_only=True)
    assert "batchsync resume" in refused.value.hint


def test_newer_schema_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(state).close()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 0)
    for read_only in (False, True):
        with pytest.raises(StateError, match="newer batchsync"):
            Journal.open(state, read_only=read_only)
