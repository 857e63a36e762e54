"""Parse SQL expressions with polars: the only module that passes text to its SQL parser.

polars reads tables, files and URLs while it parses, so texts are checked by their tokens first.
"""

from __future__ import annotations

import polars as pl

from batchsync.core.expression_text import objection_to


class RefusedExpressionError(ValueError):
    """Text that must not be passed to polars."""


#: Exceptions for an invalid expression, as opposed to an invalid row.
PARSE_ERRORS: tuple[type[BaseException], ...] = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    TypeError,
    ValueError,
)


def parse_expression(sql: str) -> pl.Expr:
    """Return the polars expression of a SQL text.

    Raises:
        RefusedExpressionError: If the text could be more than an expression over columns.
        polars.exceptions.PolarsError: If polars cannot parse it.
    """
    if (objection := objection_to(sql)) is not None:
        raise RefusedExpressionError(objection.message)
    return pl.sql_expr(sql)


def columns_of(sql: str) -> list[str] | None:
    """Return the columns of an expression in the order of use, or None if it cannot be parsed."""
    try:
        return parse_expression(sql).meta.root_names()
    except PARSE_ERRORS:
        return None
