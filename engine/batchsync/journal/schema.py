"""The tables of the journal, as migrations that only ever grow at the end of this file.

It does not know what the values mean; `codec` does.
"""

from __future__ import annotations

import sqlite3
from functools import cache

from lading.journal.library import Database, Migrations

#: "ladi": says that a SQLite file is a journal of lading.
APPLICATION_ID = 0x6C616469
#: Rises with each migration; a file with a greater number was written by a newer lading.
SCHEMA_VERSION = 4
#: Before this version a baseline was one file, in the table `baselines`.
SEGMENTS_SINCE = 2

migrations = Migrations("lading.journal")

_TABLES_1 = (
    """
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        lineage TEXT NOT NULL,
        serial INTEGER NOT NULL
    ) STRICT""",
    """
    CREATE TABLE runs (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        job TEXT NOT NULL,
        serial INTEGER NOT NULL CHECK (serial > 0),
        spec_hash TEXT NOT NULL,
        identity TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('prepared', 'held', 'settled')),
        created_at TEXT NOT NULL,
        settled_at TEXT,
        tally TEXT NOT NULL,
        plan TEXT NOT NULL,
        high_water TEXT,
        warnings TEXT NOT NULL,
        reason TEXT NOT NULL,
        seal TEXT NOT NULL,
        UNIQUE (job, serial)
    ) STRICT""",
    "CREATE INDEX runs_open ON runs (job) WHERE state IN ('prepared', 'held')",
    """
    CREATE TABLE batches (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        run TEXT NOT NULL REFERENCES runs (id),
        job TEXT NOT NULL,
        seq INTEGER NOT NULL,
        path TEXT NOT NULL,
        evidence TEXT NOT NULL,
        digest TEXT NOT NULL,
        md5 TEXT NOT NULL,
        size INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        phase TEXT NOT NULL CHECK (
            phase IN ('prepared', 'allocated', 'submitted', 'settled', 'collected', 'delivered', 'stuck')
        ),
        prepared_at TEXT NOT NULL,
        identity TEXT NOT NULL,
        target TEXT NOT NULL,
        attempt INTEGER NOT NULL CHECK (attempt > 0),
        lost INTEGER NOT NULL,
        doubt TEXT,
        doubt_since TEXT,
        slot_id TEXT,
        slot_until TEXT,
        submitted_at TEXT,
        polls INTEGER NOT NULL,
        word TEXT NOT NULL,
        verdict TEXT,
        accepted INTEGER,
        rejected INTEGER,
        unknown INTEGER,
        failures INTEGER NOT NULL,
        not_before TEXT,
        reason TEXT NOT NULL,
        stuck_from TEXT,
        seal TEXT NOT NULL,
        UNIQUE (run, seq),
        CHECK (accepted IS NULL OR accepted + rejected + unknown = rows),
        CHECK (phase NOT IN ('collected', 'delivered') OR accepted IS NOT NULL)
    ) STRICT""",
    "CREATE INDEX batches_open ON batches (job) WHERE phase <> 'delivered'",
    "CREATE INDEX batches_by_content ON batches (job, digest, attempt)",
    """
    CREATE TABLE events (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        batch TEXT NOT NULL REFERENCES batches (id),
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        epoch INTEGER,
        chain TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX events_by_batch ON events (batch)",
    """
    CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """
    CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """
    CREATE TABLE rejects (
        no INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id),
        batch TEXT REFERENCES batches (id),
        job TEXT NOT NULL,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        code TEXT NOT NULL,
        field TEXT NOT NULL,
        reason TEXT NOT NULL,
        line INTEGER NOT NULL,
        row INTEGER NOT NULL,
        retry INTEGER NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX rejects_by_key ON rejects (job, key)",
    "CREATE INDEX rejects_by_run ON rejects (run, kind)",
    """
    CREATE TABLE baselines (
        job TEXT NOT NULL,
        identity TEXT NOT NULL,
        file TEXT NOT NULL,
        digest TEXT NOT NULL,
        rows INTEGER NOT NULL,
        PRIMARY KEY (job, identity)
    ) STRICT""",
    """
    CREATE TABLE slots (
        job TEXT NOT NULL,
        slot_at TEXT NOT NULL,
        PRIMARY KEY (job, slot_at)
    ) STRICT""",
    """
    CREATE TABLE leases (
        job TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        owner TEXT NOT NULL,
        since TEXT NOT NULL
    ) STRICT""",
    """
    CREATE TABLE approvals (
        job TEXT NOT NULL,
        plan TEXT NOT NULL,
        reason TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (job, plan)
    ) STRICT""",
)


@migrations()
def m001_first_tables(db: Database) -> None:
    """All tables of the first release."""
    for statement in _TABLES_1:
        db.execute(statement)


_SEGMENTS_2 = (
    """
    CREATE TABLE segments (
        job TEXT NOT NULL,
        identity TEXT NOT NULL,
        place INTEGER NOT NULL CHECK (place >= 0),
        file TEXT NOT NULL,
        digest TEXT NOT NULL,
        rows INTEGER NOT NULL,
        PRIMARY KEY (job, identity, place)
    ) STRICT""",
    "INSERT INTO segments SELECT job, identity, 0, file, digest, rows FROM baselines",
    "DROP TABLE baselines",
)

_RUNS_3 = (
    """
    CREATE TABLE runs (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        job TEXT NOT NULL,
        serial INTEGER NOT NULL CHECK (serial > 0),
        spec_hash TEXT NOT NULL,
        identity TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('preparing', 'prepared', 'held', 'settled')),
        created_at TEXT NOT NULL,
        settled_at TEXT,
        tally TEXT NOT NULL,
        plan TEXT NOT NULL,
        high_water TEXT,
        warnings TEXT NOT NULL,
        reason TEXT NOT NULL,
        seal TEXT NOT NULL,
        UNIQUE (job, serial)
    ) STRICT""",
    "CREATE INDEX runs_open ON runs (job) WHERE state IN ('preparing', 'prepared', 'held')",
)


@migrations()
def m002_a_baseline_is_segments(db: Database) -> None:
    """A baseline was one file; it becomes several segments, of which the one file is the oldest."""
    for statement in _SEGMENTS_2:
        db.execute(statement)


@migrations()
def m003_runs_that_are_preparing(db: Database) -> None:
    """Let a run be remembered while files of it are still being sealed.

    SQLite cannot widen a CHECK, so the table is made anew; the rows that refer to it wait for its rows to come back.
    """
    db.execute("PRAGMA defer_foreign_keys = ON")
    db.execute("CREATE TABLE runs_before AS SELECT * FROM runs")
    db.execute("DROP TABLE runs")
    for statement in _RUNS_3:
        db.execute(statement)
    db.execute("INSERT INTO runs SELECT * FROM runs_before")
    db.execute("DROP TABLE runs_before")


@migrations()
def m004_what_decides_removals(db: Database) -> None:
    """Runs remember what decided which keys they removed; it is empty in those of before."""
    db.execute("ALTER TABLE runs ADD COLUMN removal_hash TEXT NOT NULL DEFAULT ''")


def migrate(db: Database, lineage: str) -> None:
    """Bring the file to this lading's schema: everything or nothing, in one write transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(db)
        db.execute("INSERT OR IGNORE INTO meta (one, lineage, serial) VALUES (1, ?, 0)", (lineage,))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.commit()
    except BaseException:
        db.rollback()
        raise


def lend(db: Database) -> None:
    """Let an older file that is open for reading only answer the questions of this lading. Nothing is written to it."""
    pointers = "SELECT job, identity, 0 AS place, file, digest, rows FROM main.baselines"
    db.execute(f"CREATE TEMP VIEW segments AS {pointers}")


def shape(db: Database, *kinds: str) -> frozenset[str]:
    """Return the definitions of all things of these kinds (table, index, trigger), as SQLite keeps them."""
    found = db.execute("SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return frozenset(sql for kind, sql in found if kind in kinds)


@cache
def right_shape(*kinds: str) -> frozenset[str]:
    """Return what `shape` says of a journal that the same migrations made."""
    db = Database(sqlite3.connect(":memory:", isolation_level=None))
    migrate(db, "")
    found = shape(db, *kinds)
    db.close()
    return found
