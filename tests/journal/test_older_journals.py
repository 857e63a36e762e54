"""A journal that an older lading left is brought to this one's tables with all that it knows, or read as it is."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, NOW, a_baseline, lived, rejects, run_row_without_removal_hash, started
from sqlite_utils import Database, Migrations

from lading.errors import StateError
from lading.journal import Journal, codec, schema
from lading.ports import BaselineEntry, SegmentEntry

if TYPE_CHECKING:
    from pathlib import Path

OLD = {"guests": "a" * 64, "orders": "c" * 64}


@pytest.fixture
def first(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the first schema, in which a baseline was one file: a run is half delivered."""
    only = Migrations("lading.journal")
    only()(schema.m001_first_tables)
    with monkeypatch.context() as older:
        older.setattr(schema, "migrations", only)
        older.setattr(schema, "SCHEMA_VERSION", 1)
        older.setattr(schema, "SEGMENTS_SINCE", 99)
        older.setattr(codec, "run_row", run_row_without_removal_hash)
        schema.right_shape.cache_clear()
        with Journal.open(state, lineage="ours") as journal:
            one, _ = started(journal, batches=2)
            journal.deliver(lived(journal, one), DELIVERED, baseline=None, rejects=rejects(3))
            for job, digest in OLD.items():
                values = [job, "motorweb:acme", f"{digest}.parquet", digest, 42]
                journal._db.execute("INSERT INTO baselines VALUES (?, ?, ?, ?, ?)", values)
    schema.right_shape.cache_clear()
    return state


def expected(job: str) -> BaselineEntry:
    """Return the one file as the oldest segment."""
    segment = SegmentEntry(file=f"{OLD[job]}.parquet", digest=OLD[job], rows=42)
    return BaselineEntry(job=job, identity="motorweb:acme", segments=(segment,))


def version(state: Path) -> int:
    """Return the schema that the file says it has."""
    connection = sqlite3.connect(state / "journal.db")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return int(found)


def test_a_journal_whose_baseline_was_one_file_goes_on_with_it_as_the_oldest_segment(first: Path) -> None:
    assert version(first) == 1
    with Journal.open(first) as journal:
        assert [journal.baseline(job, "motorweb:acme") for job in OLD] == [expected(job) for job in OLD]
        assert journal.audit() == ()
        assert journal.rejects_count() == 3
        last = journal.last_planned("guests", "motorweb:acme")
        assert last is not None
        assert (last.serial, last.removal_hash) == (1, "")
        [batch] = journal.open_batches()
        after = a_baseline(batch, "d" * 64)
        longer = BaselineEntry(
            job=batch.job, identity=batch.identity, segments=(*expected("guests").segments, *after.segments)
        )
        journal.deliver(lived(journal, batch), DELIVERED, baseline=longer, rejects=())
    assert version(first) == schema.SCHEMA_VERSION
    with Journal.open(first) as journal:
        assert journal.baseline("guests", "motorweb:acme") == longer
        assert set(journal.baseline_files("guests")) == {one.file for one in longer.segments}
        assert {f"{OLD['orders']}.parquet", longer.segments[1].file} <= journal.live_files()
        assert journal.audit() == ()


def test_an_older_journal_is_read_without_being_changed(first: Path) -> None:
    before = (first / "journal.db").read_bytes()
    with Journal.open(first, read_only=True) as journal:
        assert journal.baseline("guests", "motorweb:acme") == expected("guests")
        assert journal.baseline("guests", "another") is None
        assert journal.baseline_files("orders") == (f"{OLD['orders']}.parquet",)
        assert len(journal.open_batches()) == 1
        assert journal.last_planned("guests", "motorweb:acme") == journal.run("guests-1")
    assert (first / "journal.db").read_bytes() == before
    assert version(first) == 1


def test_a_migration_that_is_stopped_leaves_the_older_journal(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(db: Database) -> None:
        db.execute("INSERT INTO approvals VALUES ('job', 'plan', 'reason', ?)", [NOW.isoformat()])
        message = "database or disk is full"
        raise sqlite3.OperationalError(message)

    broken = Migrations("lading.journal")
    broken()(schema.m001_first_tables)
    broken()(schema.m002_a_baseline_is_segments)
    broken()(full)
    with monkeypatch.context() as later:
        later.setattr(schema, "migrations", broken)
        with pytest.raises(Exception, match="full"):
            Journal.open(first)
    assert version(first) == 1
    with Journal.open(first) as journal:
        assert journal.baseline("guests", "motorweb:acme") == expected("guests")
        assert not journal.approved("job", "plan")


def test_an_older_journal_that_is_damaged_is_refused(first: Path) -> None:
    connection = sqlite3.connect(first / "journal.db")
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'baselines'").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with (first / "journal.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(StateError, match="damaged"):
        Journal.open(first)
