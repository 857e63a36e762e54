"""Views of the journal for people and other programs: names and columns are documented in docs/explore.md.

They are derived from the tables and no part of the schema version: a journal that is opened for writing gets them as
they are here. Columns may be added; none changes its meaning. Times are ISO 8601 in UTC, durations seconds.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

#: SELECT statements by name, in an order in which each may use those before it.
VIEWS: dict[str, str] = {
    "v_runs": """
        WITH sent AS (
            SELECT batches.run AS run, count(*) AS batches, sum(batches.size) AS bytes,
                sum(coalesce(json_extract(batches.counts, '$.accepted'), 0)) AS accepted,
                sum(coalesce(json_extract(batches.counts, '$.rejected'), 0)) AS rejected,
                sum(coalesce(json_extract(batches.counts, '$.unknown'), 0)) AS unknown,
                sum(CASE WHEN batches.counts IS NULL THEN batches.rows ELSE 0 END) AS in_flight
            FROM batches GROUP BY batches.run
        )
        SELECT runs.id AS run, runs.job AS job, runs.serial AS number, runs.state AS state,
            runs.created_at AS began_at, runs.settled_at AS settled_at,
            round((julianday(runs.settled_at) - julianday(runs.created_at)) * 86400, 3) AS seconds,
            coalesce(json_extract(runs.counts, '$.selected'), 0) AS selected,
            coalesce(json_extract(runs.counts, '$.unchanged'), 0) AS unchanged,
            coalesce(json_extract(runs.counts, '$.added'), 0) AS added,
            coalesce(json_extract(runs.counts, '$.changed'), 0) AS changed,
            coalesce(json_extract(runs.counts, '$.removed'), 0) AS removed,
            coalesce(json_extract(runs.counts, '$.invalid'), 0) AS invalid,
            coalesce(sent.accepted, 0) AS accepted, coalesce(sent.rejected, 0) AS rejected,
            coalesce(sent.unknown, 0) AS unknown, coalesce(sent.in_flight, 0) AS in_flight,
            coalesce(sent.batches, 0) AS batches, coalesce(sent.bytes, 0) AS bytes, runs.reason AS reason
        FROM runs LEFT JOIN sent ON sent.run = runs.id""",
    "v_batches": """
        SELECT id AS batch, run, job, seq AS number, phase, rows, size AS bytes, attempt, prepared_at, submitted_at,
            vendor_status, verdict, json_extract(counts, '$.accepted') AS accepted,
            json_extract(counts, '$.rejected') AS rejected, json_extract(counts, '$.unknown') AS unknown,
            polls, failures, pending_intent AS in_doubt, not_before, reason
        FROM batches""",
    "v_events": """
        SELECT events.no AS no, events.at AS at, batches.job AS job, batches.run AS run, events.batch AS batch,
            events.kind AS event, json_extract(events.payload, '$.verb') AS verb,
            json_extract(events.payload, '$.vendor_status') AS vendor_status,
            json_extract(events.payload, '$.verdict') AS verdict
        FROM events JOIN batches ON batches.id = events.batch""",
    "v_rejects": """
        SELECT at, job, run, batch, kind AS outcome, key, code, field, reason, line, row FROM rejects""",
    "v_reject_groups": """
        WITH groups AS (
            SELECT job, run, kind, code, field, count(*) AS count, min(reason) AS reason
            FROM rejects GROUP BY job, run, kind, code, field
            UNION ALL
            SELECT job, run, kind, code, field, count, reason
            FROM reject_object_groups JOIN reject_objects ON reject_objects.no = object
        )
        SELECT job, run, kind AS outcome, code, field, sum(count) AS rows, min(reason) AS reason
        FROM groups GROUP BY job, run, kind, code, field""",
    "v_reject_files": """
        SELECT at, job, run, batch, 'rejects/' || job || '/' || file AS file,
            (SELECT sum(count) FROM reject_object_groups WHERE object = reject_objects.no) AS rows
        FROM reject_objects""",
    "v_jobs": """
        SELECT newest.job AS job, count(*) AS runs, max(runs.created_at) AS last_began_at,
            max(runs.settled_at) AS last_settled_at,
            (SELECT state FROM runs AS last WHERE last.job = newest.job ORDER BY last.no DESC LIMIT 1) AS last_state,
            (SELECT count(*) FROM batches WHERE batches.job = newest.job AND phase <> 'delivered') AS open_batches,
            (SELECT count(*) FROM batches WHERE batches.job = newest.job AND phase = 'needs_attention')
                AS needs_attention,
            coalesce((SELECT sum(rows) FROM segments WHERE segments.job = newest.job), 0) AS baseline_rows
        FROM (SELECT DISTINCT job FROM runs) AS newest JOIN runs ON runs.job = newest.job GROUP BY newest.job""",
    "v_days": """
        SELECT job, substr(began_at, 1, 10) AS day, count(*) AS runs, sum(selected) AS selected, sum(added) AS added,
            sum(changed) AS changed, sum(removed) AS removed, sum(invalid) AS invalid, sum(accepted) AS accepted,
            sum(rejected) AS rejected, sum(unknown) AS unknown, sum(bytes) AS bytes, round(avg(seconds), 3) AS seconds
        FROM v_runs GROUP BY job, substr(began_at, 1, 10)""",
}
_STATEMENTS = {name: f"CREATE VIEW {name} AS{text}" for name, text in VIEWS.items()}


def refresh_views(db: sqlite3.Connection) -> None:
    """Create the views that are missing, replace those that differ, and drop former ones.

    A journal that is busy gets them the next time: nothing depends on them.

    Args:
        db: Connection for writing, in autocommit mode and not in a transaction.
    """
    found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view' AND substr(name, 1, 2) = 'v_'"))
    if found == _STATEMENTS:
        return
    with suppress(sqlite3.OperationalError):
        db.execute("BEGIN IMMEDIATE")
        try:
            for name in found:
                # Names of the file, in quotes as SQL wants them.
                db.execute(f'DROP VIEW "{name.replace(chr(34), chr(34) * 2)}"')
            for statement in _STATEMENTS.values():
                db.execute(statement)
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
