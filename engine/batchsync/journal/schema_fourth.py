"""Additions of schema 4: tombstones of forgotten keys, pending erasures, pruned events, and redaction of events.

`tombstones`: keyed hashes of forgotten keys, by job. `erasures`: delivered batches whose removals erased keys for good,
which are to be forgotten here, too; `ops` are the operations that erase. `pruned_events`: ranges of events that were
deleted by retention, with the chain value of the last one, at which the next event continues. `pruned_runs`: number of
deleted runs that had batches, by job. `needed_batches`: delivered batches with rows of unknown outcome, or with keys
that are not forgotten yet, whose rejects and runs are not deleted.

An event is only changed after an event `Redacted` of its batch, which names it and its new content: the chain value of
the former content stays, and the chain goes on. An event is only deleted within a range of `pruned_events`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Kind of the event that documents the redaction of another event of its batch. Not an event of the lifecycle.
REDACTED = "Redacted"

_STATEMENTS = (
    """
    CREATE TABLE tombstones (
        job TEXT NOT NULL,
        key_hash TEXT NOT NULL,
        at TEXT NOT NULL,
        by TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (job, key_hash)
    ) STRICT""",
    """
    CREATE TABLE erasures (
        batch TEXT PRIMARY KEY REFERENCES batches (id),
        job TEXT NOT NULL,
        ops TEXT NOT NULL
    ) STRICT""",
    """
    CREATE TABLE pruned_events (
        first INTEGER PRIMARY KEY,
        last INTEGER NOT NULL CHECK (last >= first),
        chain TEXT NOT NULL
    ) STRICT""",
    """
    CREATE TABLE pruned_runs (
        job TEXT PRIMARY KEY,
        runs INTEGER NOT NULL CHECK (runs > 0)
    ) STRICT""",
    """
    CREATE VIEW needed_batches AS
        SELECT id FROM batches WHERE phase = 'delivered'
            AND EXISTS (SELECT 1 FROM json_each(counts) WHERE key = 'unknown' AND value > 0)
        UNION SELECT batch FROM erasures""",
    "CREATE INDEX runs_by_age ON runs (job, created_at)",
    "CREATE INDEX rejects_by_age ON rejects (job, at)",
    "CREATE INDEX rejects_by_batch ON rejects (batch)",
    "DROP TRIGGER events_are_never_changed",
    "DROP TRIGGER events_are_never_deleted",
    """
    CREATE TRIGGER events_are_only_redacted BEFORE UPDATE ON events
    WHEN NEW.no <> OLD.no OR NEW.batch <> OLD.batch OR NEW.at <> OLD.at OR NEW.kind <> OLD.kind
        OR NEW.epoch IS NOT OLD.epoch OR NEW.chain <> OLD.chain OR NOT EXISTS (
            SELECT 1 FROM events AS redaction WHERE redaction.batch = OLD.batch AND redaction.kind = 'Redacted'
            AND (SELECT value FROM json_each(redaction.payload) WHERE key = 'event') = OLD.no AND redaction.no > OLD.no)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """
    CREATE TRIGGER events_are_only_pruned BEFORE DELETE ON events
    WHEN NOT EXISTS (SELECT 1 FROM pruned_events WHERE OLD.no BETWEEN first AND last)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
)


def add_fourth(execute: Callable[[str], object]) -> None:
    """Apply the additions.

    Args:
        execute: Executes a statement on the journal.
    """
    for statement in _STATEMENTS:
        execute(statement)
