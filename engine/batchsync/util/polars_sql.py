"""Parse SQL expressions with polars: the only module that hands text to its SQL parser.

polars reads tables, files and URLs while it parses, so that a text is checked before, by its tokens.
"""

from __future__ import annotations

import polars as pl

from lading.core.expression_text import objection_to


class RefusedExpressionError(ValueError):
    """The text must not be given to polars."""


#: What is raised for a text that is wrong, rather than for a row.
WRONG: tuple[type[BaseException], ...] = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    TypeError,
    ValueError,
)


def parse_expression(sql: str) -> pl.Expr:
    """Return a text as an expression of polars.

    Raises:
        RefusedExpressionError: If the text could be more than an expression over columns.
        polars.exceptions.PolarsError: If polars cannot read it.
    """
    if (objection := objection_to(sql)) is not None:
        raise RefusedExpressionError(objection.message)
    return pl.sql_expr(sql)


def columns_of(sql: str) -> list[str] | None:
    """Return the columns that an expression uses, in the order of use, or None when it cannot be read."""
    try:
        return parse_expression(sql).meta.root_names()
    except WRONG:
        return None
