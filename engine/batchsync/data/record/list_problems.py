"""Column of values of a suppression list, and the problems of a list that does not have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.record_schema import Kind
from batchsync.data.mapping.compiled import is_convertible
from batchsync.data.mapping.expressions import problem
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from batchsync.core.job import Suppress
    from batchsync.errors import Problem


def list_column(suppress: Suppress) -> str:
    """Return the name of the column of a list that has its values."""
    key = suppress.source.key
    return key[0] if isinstance(key, tuple) else ""


def list_problems(suppress: Suppress, schema: Mapping[str, pl.DataType]) -> tuple[Problem, ...]:
    """Return the problem of the column of a list, if there is one.

    Args:
        suppress: The suppression list.
        schema: Columns of the list with their types.

    Returns:
        No problem, or one: the list has no such column, or it holds lists or objects.
    """
    column = list_column(suppress)
    if column not in schema:
        message = f"suppress.key: {suppress.source.path} has no column {column!r}"
        return (problem("unknown_column", message, suppress.place, closest(column, tuple(schema))),)
    if not is_convertible(schema[column], Kind.STRING):
        message = f"suppress.key: column {column!r} of {suppress.source.path} has no values that can be compared"
        return (problem("unordered", message, suppress.place, "Name a column of text or numbers."),)
    return ()
