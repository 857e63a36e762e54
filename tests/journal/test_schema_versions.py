"""A journal of another schema version is migrated, or refused in words; no command fails with an SQL error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from journal_samples import a_batch, a_run
from sqlite_utils import Database, Migrations

from batchsync.errors import StateError
from batchsync.journal import Journal, schema

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def older(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state folder whose journal has the first schema, in a batchsync that has a second."""
    with Journal.open(state) as journal:
        run = a_run()
        journal.start_run(run, [a_batch(run)], ())
    later = Migrations("batchsync.journal")
    first = schema.m001_tables

    @later()
    def m001_tables(db: Database) -> None:
        first(db)

    @later()
    def m002_notes(db: Database) -> None:
        db.execute("ALTER TABLE approvals ADD COLUMN note TEXT NOT NULL DEFAULT ''")

    monkeypatch.setattr(schema, "migrations", later)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    schema.expected_shape.cache_clear()
    request_end = monkeypatch
    request_end.setattr(schema, "expected_shape", schema.expected_shape.__wrapped__)
    return state


def test_older_schema_is_migrated_by_a_command_that_writes(older: Path) -> None:
    with Journal.open(older) as journal:
        assert [run.serial for run in journal.history("guests")] == [1]
        assert journal.audit() == ()
    with Journal.open(older, read_only=True) as journal:
        assert len(journal.open_batches()) == 1


def test_older_schema_is_refused_in_words_by_a_command_that_only_reads(older: Path) -> None:
    with pytest.raises(StateError, match=r"older batchsync \(schema 1; this version reads 2\)") as refused:
        Journal.open(older, read_only=True)
    assert "batchsync resume" in refused.value.hint


def test_newer_schema_is_refused_in_words(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(state).close()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 0)
    for read_only in (False, True):
        with pytest.raises(StateError, match="newer batchsync"):
            Journal.open(state, read_only=read_only)
