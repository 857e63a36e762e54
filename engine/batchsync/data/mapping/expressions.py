"""An expression of jobs.yaml is parsed once and judged against the source's columns before a row is read.

It does not know which member of the record an expression fills. The language is the SQL of the columnar library.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import polars as pl

from lading.core.expression_text import objection_to
from lading.data.casts import bad_cast
from lading.data.words import closest, nearest
from lading.errors import Problem
from lading.polars_sql import WRONG, columns_of, parse_expression

if TYPE_CHECKING:
    from lading.core.mapping import Expression, Place

_GATHERING = frozenset(
    {"Agg", "Explode", "Filter", "Gather", "Over", "Rolling", "Slice", "Sort", "SortBy", "SubPlan", "Window"}
)
_TEXTS = frozenset({"String", "Column"})
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_READS_TIMES = re.compile(r"\b(date|datetime|timestamp|time)\s*\(", re.IGNORECASE)
_CLOCK = re.compile(r"\b(current_(date|time|timestamp)|now|today|localtime(stamp)?)\b(?!\.)", re.IGNORECASE)


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
    try:
        return _parsed(expression, schema)
    except RecursionError:
        hint = "Divide it, or take the values from a joined file (source.join)."
        return problem("expression_depth", "the expression is nested too deeply", expression.place, hint)


def _parsed(expression: Expression, schema: dict[str, pl.DataType]) -> tuple[pl.Expr, pl.DataType] | Problem:
    """Do the work of `parse`."""
    sql, place = expression.sql, expression.place
    if (objection := objection_to(sql)) is not None:
        return problem(
            "expression_refused", objection.message, place, _bare(sql, tuple(schema)) or objection.suggestion
        )
    try:
        found = parse_expression(sql)
    except WRONG as error:
        hint = "Column names with spaces or signs stand in double quotes, texts in single quotes."
        said = f"cannot read the expression {sql!r}: {_first_line(error)}"
        return problem("expression_syntax", said, place, _bare(sql, tuple(schema)) or hint)
    if (unfit := _unfit(found, expression, schema)) is not None:
        return unfit
    try:
        if (refused := bad_cast(found, schema)) is not None:
            return problem("expression_cast", f"{sql!r}: {refused.message}", place, refused.suggestion)
        kind = pl.LazyFrame(schema=schema).select(found.alias("result")).collect_schema()["result"]
        # What a function makes of a type, the library says only when it is called: here for no row.
        pl.DataFrame(schema={name: schema[name] for name in found.meta.root_names()}).select(found)
    except WRONG as error:
        hint = (
            "Give each function the type that it takes: CAST(x AS VARCHAR) makes text, DATE(x, '%Y-%m-%d') reads a day "
            "and STRPTIME(x, '%Y-%m-%d %H:%M:%S') a moment of a text."
        )
        return problem("expression_type", f"{sql!r} cannot be computed: {_first_line(error)}", place, hint)
    return found, kind


def _unfit(found: pl.Expr, expression: Expression, schema: dict[str, pl.DataType]) -> Problem | None:
    """Return what is wrong with an expression that could be read, as far as its columns and its form tell."""
    sql, place = expression.sql, expression.place
    for name in dict.fromkeys(found.meta.root_names()):
        if name not in schema:
            return problem("unknown_column", f"the source has no column {name!r}", place, _meant(sql, name, schema))
    if sql in schema and found.meta.root_names() != [sql]:
        # A name such as 1st is an expression, too: the number 1 under another name.
        return problem("expression_syntax", f"{sql!r} is not read as the column", place, _bare(sql, tuple(schema)))
    if not _by_row(found):
        hint = "Use expressions of one row; for several rows of one key use each:."
        if _READS_TIMES.search(_QUOTED.sub("", sql)):
            hint = "Without a format it is taken from other rows: write one, as in DATE(x, '%Y-%m-%d')."
        return problem("expression_not_by_row", f"{sql!r} needs more than one row of the source", place, hint)
    if _CLOCK.search(_QUOTED.sub("", sql)):
        hint = "Take the moment from a column; otherwise every record would change with every run."
        return problem("expression_clock", f"{sql!r} reads the clock", place, hint)
    return None


def _meant(sql: str, name: str, schema: dict[str, pl.DataType]) -> str:
    """Return the column that was probably meant, in double quotes where it needs them."""
    known = tuple(schema)
    bare = _bare(sql, tuple(one for one in known if name in one))
    found = nearest(name, known)
    if not bare and found and not is_plain(found):
        return f"Did you mean {in_quotes(found)}, in double quotes?"
    return bare or closest(name, known)


def _bare(sql: str, known: tuple[str, ...]) -> str:
    """Return how to write a column that stands in an expression without the double quotes that it needs; or nothing."""
    if sql in known:
        return f"Write ={in_quotes(sql)}: such a column's name stands in double quotes."
    text = _QUOTED.sub("", sql)
    inside = [one for one in known if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text) and not is_plain(one)]
    longest = max(inside, key=len, default="")
    return f"Write {in_quotes(longest)}: such a column's name stands in double quotes." if longest else ""


def in_quotes(name: str) -> str:
    """Return a column's name as it stands in an expression in any case."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def is_plain(name: str) -> bool:
    """Whether a column's name may stand in an expression as it is."""
    return columns_of(name) == [name]


def _by_row(expr: pl.Expr) -> bool:
    """Whether a row's result depends on that row alone.

    The library's own answer has gaps (an aggregate within arithmetic) and fails for some expressions that are fine, so
    that its form is looked through for whatever gathers or moves rows.
    """
    try:
        if not expr.meta.is_row_separable() or (expr.meta.root_names() and not expr.meta.is_length_preserving()):
            return False
    except WRONG:
        pass
    try:
        return not _gathers(json.loads(expr.meta.serialize(format="json")))
    except WRONG:
        return False


def _gathers(part: object, key: str = "") -> bool:
    """Whether a part of an expression, as the library writes it, looks at other rows."""
    if isinstance(part, dict):
        return any(name in _GATHERING or _gathers(one, name) for name, one in part.items())
    if isinstance(part, list):
        return any(_gathers(one, key) for one in part)
    return part == "Len" and key not in _TEXTS


def _first_line(error: BaseException) -> str:
    """Return the first line of what the library says; before a row is read it holds no value of a row."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
