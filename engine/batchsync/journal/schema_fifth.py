"""Additions of schema 5: applied plan files.

`applied_plans`: the jobs of plan files that were applied, by id of the plan file, with the run that delivers the plan.
They are kept for ever, so that no plan is applied a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STATEMENTS = (
    """
    CREATE TABLE applied_plans (
        plan_file TEXT NOT NULL,
        job TEXT NOT NULL,
        run TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (plan_file, job)
    ) STRICT""",
    """
    CREATE TRIGGER applied_plans_are_never_deleted BEFORE DELETE ON applied_plans
    BEGIN SELECT RAISE(ABORT, 'applied plans are kept'); END""",
)


def add_fifth(execute: Callable[[str], object]) -> None:
    """Apply the additions.

    Args:
        execute: Executes a statement on the journal.
    """
    for statement in _STATEMENTS:
        execute(statement)
