"""Tables of the journal, and the migrations that bring an older file to them.

Columns hold what `codec` writes. `runs.checksum` and `batches.checksum` cover the other columns of their row;
`events.chain` is a hash over an event and all events before it.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from batchsync.journal.codec import canonical, row_checksum
from batchsync.journal.schema_alerts import add_alerts
from batchsync.journal.schema_fifth import add_fifth
from batchsync.journal.schema_fourth import add_fourth
from batchsync.journal.schema_rejects import add_reject_objects
from batchsync.journal.schema_usage import add_usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database

    #: Either has `execute`; commands that only read compare schemas without importing sqlite-utils.
    _Connection = Database | sqlite3.Connection

#: "bsyn": marks a SQLite file as a journal of batchsync.
APPLICATION_ID = 0x6273796E
_TABLES = (
    """
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        journal_id TEXT NOT NULL,
        serial INTEGER NOT NULL
    ) STRICT""",
    """
    CREATE TABLE runs (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        job TEXT NOT NULL,
        serial INTEGER NOT NULL CHECK (serial > 0),
        spec_hash TEXT NOT NULL,
        account_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('preparing', 'prepared', 'awaiting_approval', 'settled')),
        created_at TEXT NOT NULL,
        settled_at TEXT,
        counts TEXT NOT NULL,
        plan TEXT NOT NULL,
        watermark TEXT,
        warnings TEXT NOT NULL,
        reason TEXT NOT NULL,
        removal_hash TEXT NOT NULL,
        checksum TEXT NOT NULL,
        UNIQUE (job, serial)
    ) STRICT""",
    "CREATE INDEX runs_open ON runs (job) WHERE state IN ('preparing', 'prepared', 'awaiting_approval')",
    """
    CREATE TABLE batches (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        run TEXT NOT NULL REFERENCES runs (id),
        job TEXT NOT NULL,
        seq INTEGER NOT NULL,
        path TEXT NOT NULL,
        row_manifest TEXT NOT NULL,
        digest TEXT NOT NULL,
        md5 TEXT NOT NULL,
        size INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        phase TEXT NOT NULL CHECK (
            phase IN ('prepared', 'allocated', 'submitted', 'finished', 'collected', 'delivered', 'needs_attention')
        ),
        prepared_at TEXT NOT NULL,
        account_id TEXT NOT NULL,
        target TEXT NOT NULL,
        attempt INTEGER NOT NULL CHECK (attempt > 0),
        lost_allocations INTEGER NOT NULL,
        pending_intent TEXT,
        intent_at TEXT,
        allocation_id TEXT,
        allocation_expires_at TEXT,
        submitted_at TEXT,
        polls INTEGER NOT NULL,
        vendor_status TEXT NOT NULL,
        verdict TEXT,
        accepted INTEGER,
        rejected INTEGER,
        unknown INTEGER,
        failures INTEGER NOT NULL,
        not_before TEXT,
        reason TEXT NOT NULL,
        parked_from TEXT,
        checksum TEXT NOT NULL,
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
    CREATE TABLE segments (
        job TEXT NOT NULL,
        account_id TEXT NOT NULL,
        place INTEGER NOT NULL CHECK (place >= 0),
        file TEXT NOT NULL,
        digest TEXT NOT NULL,
        rows INTEGER NOT NULL,
        PRIMARY KEY (job, account_id, place)
    ) STRICT""",
    """
    CREATE TABLE ticks (
        job TEXT NOT NULL,
        tick_at TEXT NOT NULL,
        PRIMARY KEY (job, tick_at)
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


def _create_tables(db: _Connection) -> None:
    """Create the tables of the first release."""
    for statement in _TABLES:
        db.execute(statement)


#: Columns of `batches` in schema 1 with the number of rows of each outcome.
_COUNT_COLUMNS = ("accepted", "rejected", "unknown")
#: Condition of a change of `batches` whose row outcomes do not add up to the rows of the batch.
_UNBALANCED = "NEW.counts IS NOT NULL AND (SELECT sum(value) FROM json_each(NEW.counts)) IS NOT NEW.rows"
_REFUSAL = "BEGIN SELECT RAISE(ABORT, 'the row outcomes of a batch do not add up to its rows'); END"


def _renew_batches(db: _Connection) -> None:
    """Replace the columns of row outcomes of `batches` by one with counts by outcome, and allow the phase `uploaded`.

    A table is rebuilt to drop columns that its constraints name. Rows keep a checksum that did not match before.
    """
    old_table = next(statement for statement in _TABLES if "CREATE TABLE batches (" in statement)
    columns, counts = "".join(f"        {name} INTEGER,\n" for name in _COUNT_COLUMNS), "        counts TEXT,\n"
    new_table = (
        old_table.replace("CREATE TABLE batches (", "CREATE TABLE batches_new (")
        .replace(columns, counts)
        .replace("        CHECK (accepted IS NULL OR accepted + rejected + unknown = rows),\n", "")
        .replace("accepted IS NOT NULL", "counts IS NOT NULL")
        .replace("'allocated', 'submitted'", "'allocated', 'uploaded', 'submitted'")
    )
    db.execute(new_table)
    found = db.execute("SELECT * FROM batches ORDER BY no")
    names = [column[0] for column in found.description]
    for values in found:
        row = dict(zip(names, values, strict=True))
        intact = row["checksum"] == row_checksum(row)
        numbers = {name: row.pop(name) for name in _COUNT_COLUMNS}
        row["counts"] = None if numbers["accepted"] is None else canonical(numbers)
        if intact:
            row["checksum"] = row_checksum(row)
        listed, marks = ", ".join(row), ", ".join("?" * len(row))
        db.execute(f"INSERT INTO batches_new ({listed}) VALUES ({marks})", list(row.values()))  # noqa: S608 - constant names
    db.execute("DROP TABLE batches")
    db.execute("ALTER TABLE batches_new RENAME TO batches")
    for statement in _TABLES:
        if "INDEX batches_" in statement:
            db.execute(statement)
    for change in ("INSERT", "UPDATE"):
        name = f"batches_balance_on_{change.lower()}"
        db.execute(f"CREATE TRIGGER {name} BEFORE {change} ON batches WHEN {_UNBALANCED} {_REFUSAL}")


#: Tables that schema 3 adds. `renames`: baselines that a renamed job took over, with the newest batch of its former
#: name.
#: `attempts`: the greatest attempt of a job and content whose idempotency key was used; kept when batches are deleted.
#: `acceptances`: restored or copied states that a person accepted, with what was found (`core/state_age.py`).
_ADDITIONS = (
    """
    CREATE TABLE renames (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        former TEXT NOT NULL,
        job TEXT NOT NULL,
        last_batch INTEGER NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    """
    CREATE TABLE attempts (
        job TEXT NOT NULL,
        digest TEXT NOT NULL,
        attempt INTEGER NOT NULL CHECK (attempt > 0),
        PRIMARY KEY (job, digest)
    ) STRICT""",
    """
    CREATE TRIGGER attempts_are_never_deleted BEFORE DELETE ON attempts
    BEGIN SELECT RAISE(ABORT, 'used idempotency keys are kept'); END""",
    """
    CREATE TRIGGER attempts_never_decrease BEFORE UPDATE ON attempts
    WHEN NEW.attempt < OLD.attempt OR NEW.job <> OLD.job OR NEW.digest <> OLD.digest
    BEGIN SELECT RAISE(ABORT, 'used idempotency keys are kept'); END""",
    """
    CREATE TABLE acceptances (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        at TEXT NOT NULL,
        reason TEXT NOT NULL,
        serial INTEGER NOT NULL,
        newest INTEGER NOT NULL,
        other TEXT NOT NULL,
        lost TEXT NOT NULL,
        last_batch INTEGER NOT NULL,
        last_event INTEGER NOT NULL
    ) STRICT""",
    "INSERT INTO attempts SELECT job, digest, max(attempt) FROM batches GROUP BY job, digest",
)


#: Columns that schema 3 adds, by table, with their value in older rows.
_ADDED_COLUMNS: tuple[tuple[str, str, str, int | None], ...] = (
    ("batches", "foreign_answers", "INTEGER NOT NULL DEFAULT 0", 0),
    ("runs", "source_files", "INTEGER", None),
)


def _add_third(db: _Connection) -> None:
    """Add the tables of renames, used idempotency keys and accepted states, and the columns of `_ADDED_COLUMNS`.

    Rows keep a checksum that did not match before.
    """
    for statement in _ADDITIONS:
        db.execute(statement)
    for table, column, kind, value in _ADDED_COLUMNS:
        found = db.execute(f"SELECT * FROM {table}")  # noqa: S608 - constant names
        names = [item[0] for item in found.description]
        rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        for row in rows:
            if row["checksum"] == row_checksum(row):
                checksum = row_checksum(row | {column: value})
                db.execute(f"UPDATE {table} SET checksum = ? WHERE no = ?", (checksum, row["no"]))  # noqa: S608 - constant names


#: Migrations in order: entry n brings a journal from schema version n to n + 1.
MIGRATIONS: tuple[Callable[[_Connection], None], ...] = (
    _create_tables,
    _renew_batches,
    _add_third,
    lambda db: add_fourth(db.execute),
    lambda db: add_fifth(db.execute),
    lambda db: add_alerts(db.execute),
    lambda db: add_usage(db.execute),
    lambda db: add_reject_objects(db.execute),
)
#: Version of the tables, kept in `PRAGMA user_version`.
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(db: _Connection, journal_id: str) -> None:
    """Apply all pending migrations to a journal in one write transaction.

    Args:
        db: Connection in autocommit mode.
        journal_id: Identifies the journal; kept if the file has one already.
    """
    # Replacing a table that others refer to needs this, and it has no effect in a transaction.
    db.execute("PRAGMA foreign_keys = 0")
    db.execute("BEGIN IMMEDIATE")
    try:
        for migration in MIGRATIONS[db.execute("PRAGMA user_version").fetchone()[0] :]:
            migration(db)
        db.execute("INSERT OR IGNORE INTO meta (id, journal_id, serial) VALUES (1, ?, 0)", (journal_id,))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    finally:
        db.execute("PRAGMA foreign_keys = 1")


def shape(db: _Connection, *kinds: str) -> frozenset[str]:
    """Return the SQL definitions of all objects of these kinds (table, index, trigger), as stored by SQLite."""
    found = db.execute("SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return frozenset(sql for kind, sql in found if kind in kinds)


@cache
def expected_shape(*kinds: str) -> frozenset[str]:
    """Return `shape` of a new journal."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(db, "")
        return shape(db, *kinds)
    finally:
        db.close()
