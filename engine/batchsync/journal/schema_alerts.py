"""Additions of schema 6: conditions of jobs that were alerted, and messages about them.

`alert_causes`: causes of conditions that hold, by job (empty for the jobs file). `alert_messages`: a message per
transition and channel, written in the transaction that changes the causes, before anything is sent. `not_before`: when
a pending message is sent at the earliest; while a process sends it, this is when another may try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STATEMENTS = (
    """
    CREATE TABLE alert_causes (
        job TEXT NOT NULL,
        cause TEXT NOT NULL,
        since TEXT NOT NULL,
        seen TEXT NOT NULL,
        PRIMARY KEY (job, cause)
    ) STRICT""",
    """
    CREATE TABLE alert_messages (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        channel TEXT NOT NULL,
        content TEXT NOT NULL,
        at TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dropped')),
        attempts INTEGER NOT NULL,
        not_before TEXT NOT NULL,
        UNIQUE (id, channel)
    ) STRICT""",
    "CREATE INDEX alert_messages_pending ON alert_messages (not_before) WHERE state = 'pending'",
)


def add_alerts(execute: Callable[[str], object]) -> None:
    """Apply the additions.

    Args:
        execute: Executes a statement on the journal.
    """
    for statement in _STATEMENTS:
        execute(statement)
