"""An expression of jobs.yaml is parsed once and judged against the source's columns before a row is read.

It does not know which member of the record an expression fills. The language is the SQL of the columnar library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.data.words import closest
from lading.errors import Problem

if TYPE_CHECKING:
    from lading.core.mapping import Expression, Place

#: What polars raises for a query that is wrong, rather than for a row.
WRONG = (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError)


def problem(code: str, message: str, place: Place, suggestion: str = "") -> Problem:
    """Return a problem of the data path, with the place where it was written."""
    return Problem(
        code=f"data.{code}",
        message=message,
        file=place.file,
        line=place.line,
        column=place.column,
        suggestion=suggestion,
    )


def parse(expression: Expression, schema: dict[str, pl.DataType]) -> tuple[pl.Expr, pl.DataType] | Problem:
    """Return the expression and the type of its result, or what is wrong with it."""
    sql, place = expression.sql, expression.place
    try:
        found = pl.sql_expr(sql)
    except WRONG as error:
        hint = "Column names with spaces or signs stand in double quotes, texts in single quotes."
        return problem("expression_syntax", f"cannot read the expression {sql!r}: {_first_line(error)}", place, hint)
    for name in dict.fromkeys(found.meta.root_names()):
        if name not in schema:
            return problem("unknown_column", f"the source has no column {name!r}", place, closest(name, tuple(schema)))
    if not found.meta.is_row_separable():
        hint = "Use expressions of one row; for several rows of one key use each:."
        return problem("expression_not_by_row", f"{sql!r} needs more than one row of the source", place, hint)
    try:
        kind = pl.LazyFrame(schema=schema).select(found.alias("result")).collect_schema()["result"]
    except WRONG as error:
        return problem("expression_type", f"{sql!r} cannot be computed: {_first_line(error)}", place)
    return found, kind


def _first_line(error: BaseException) -> str:
    """Return the first line of what the library says; before a row is read it holds no value of a row."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
