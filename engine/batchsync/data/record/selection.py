"""Rows of a source that its condition (`where`) selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.record_schema import Kind, Rule
from batchsync.data.frame import columns
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.mapping.expressions import parse, problem
from batchsync.data.mapping.shapes import Leaf
from batchsync.errors import Problem

if TYPE_CHECKING:
    from batchsync.core.job import Source

_BOOLEAN = Rule(kind=Kind.BOOLEAN)


def compile_where(source: Source, schema: dict[str, pl.DataType]) -> tuple[Leaf | None, list[Problem]]:
    """Compile the condition of a source.

    Args:
        source: The source.
        schema: Columns of the source and its joins.

    Returns:
        The condition, if there is one without problems, and its problems.
    """
    if source.where is None:
        return None, []
    parsed = parse(source.where, schema)
    if isinstance(parsed, Problem):
        return None, [parsed]
    expr, kind = parsed.expr, parsed.kind
    if kind not in (pl.Boolean, pl.Null):
        message = f"where must be true or false, and {source.where.sql!r} gives {str(kind).lower()}"
        hint = "Write a condition, as in status = 'active' or amount > 0."
        return None, [problem("expression_kind", message, source.where.place, hint)]
    # NULL alone is of no type.
    return Leaf(0, "where", expr.cast(pl.Boolean), pl.Boolean(), _BOOLEAN, None), []


def select_rows(where: Leaf | None, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that meet a condition.

    Args:
        where: The condition; None selects all rows.
        frame: Columns of the source and its joins, and `ROW: i64`.

    Returns:
        The rows for which the condition is true, and those for which it cannot be computed, as invalid records
        (columns `INVALID_RECORDS`).
    """
    invalid = _invalid(frame.clear(), "", "")
    if where is None:
        return frame, invalid
    mapped, invalid_values = evaluate(frame, [where])
    for item in invalid_values:
        invalid.extend(_invalid(mapped.filter(pl.col(item.column)), item.code, f"where: {item.message}"))
    return mapped.filter(pl.col(columns.leaf_column(where.index))).select(frame.columns), invalid


def _invalid(rows: pl.DataFrame, code: str, reason: str) -> pl.DataFrame:
    """Return rows as invalid records without a key, so that no key counts as gone because of them."""
    texts = {columns.KEY: "", "field": "where", "code": code, "reason": reason}
    return rows.select(columns.ROW, *(pl.lit(text).alias(name) for name, text in texts.items()))
