"""Additions of schema 8: rejects in objects.

`reject_objects`: Parquet objects with the rejects of a run beyond the first ones, which are rows of `rejects`. `file`
is the last name of the object's key, `first` and `last` are numbers as of `rejects.no`, in one sequence with these.
`reject_object_groups`: number of rejects of an object by kind, code and field, with the least of their reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STATEMENTS = (
    """
    CREATE TABLE reject_objects (
        no INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id),
        batch TEXT REFERENCES batches (id),
        job TEXT NOT NULL,
        file TEXT NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX reject_objects_by_run ON reject_objects (run)",
    "CREATE INDEX reject_objects_by_batch ON reject_objects (batch)",
    "CREATE INDEX reject_objects_by_age ON reject_objects (job, at)",
    """
    CREATE TABLE reject_object_groups (
        object INTEGER NOT NULL REFERENCES reject_objects (no) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        code TEXT NOT NULL,
        field TEXT NOT NULL,
        count INTEGER NOT NULL CHECK (count > 0),
        reason TEXT NOT NULL,
        PRIMARY KEY (object, kind, code, field)
    ) STRICT""",
)


def add_reject_objects(execute: Callable[[str], object]) -> None:
    """Apply the additions.

    Args:
        execute: Executes a statement on the journal.
    """
    for statement in _STATEMENTS:
        execute(statement)
