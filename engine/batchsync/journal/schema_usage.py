"""Additions of schema 7: what was used of the limits of accounts.

`calls_made`: calls that a process reserved, by account and time. `sent_batches`: batches that a process began to send,
by attempt: `since` is when, `at` when the vendor counts the batch at the latest. Both are deleted when no limit counts
them any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STATEMENTS = (
    """
    CREATE TABLE calls_made (
        no INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        at TEXT NOT NULL,
        calls INTEGER NOT NULL CHECK (calls > 0)
    ) STRICT""",
    "CREATE INDEX calls_made_by_time ON calls_made (account, at)",
    """
    CREATE TABLE sent_batches (
        batch TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        account TEXT NOT NULL,
        since TEXT NOT NULL,
        at TEXT NOT NULL,
        rows INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (batch, attempt)
    ) STRICT""",
    "CREATE INDEX sent_batches_by_time ON sent_batches (account, at)",
)


def add_usage(execute: Callable[[str], object]) -> None:
    """Apply the additions.

    Args:
        execute: Executes a statement on the journal.
    """
    for statement in _STATEMENTS:
        execute(statement)
