"""Parse expressions of jobs.yaml and check them against the source's columns before rows are read.

The language is the SQL of polars. Casts that cannot be computed, or whose result differs from what they express, are
refused; the types of their operands are inferred from the columns.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.expression_text import objection_to
from batchsync.errors import Problem
from batchsync.util.polars_sql import PARSE_ERRORS, columns_of, parse_expression
from batchsync.util.suggestions import closest, nearest

if TYPE_CHECKING:
    from batchsync.core.mapping import Expression, Place

_MULTI_ROW_NODES = frozenset(
    {"Agg", "Explode", "Filter", "Gather", "Over", "Rolling", "Slice", "Sort", "SortBy", "SubPlan", "Window"}
)
_STRING_NODES = frozenset({"String", "Column"})
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_DATETIME_CALL = re.compile(r"\b(date|datetime|timestamp|time)\s*\(", re.IGNORECASE)
_CLOCK = re.compile(r"\b(current_(date|time|timestamp)|now|today|localtime(stamp)?)\b(?!\.)", re.IGNORECASE)
#: A literal null in the JSON form of polars.
_NULL = {"Literal": {"Scalar": {"Null": "Null"}}}
_CAST_HINTS: dict[type[pl.DataType], str] = {
    pl.Date: "Write DATE(x, '%Y-%m-%d') for strings such as 2025-01-31, DATE(x, '%d/%m/%Y') for 31/01/2025.",
    pl.Datetime: "Write STRPTIME(x, '%Y-%m-%d %H:%M:%S') for strings such as 2025-01-31 14:30:00.",
    pl.Boolean: "Write CASE WHEN x IN ('true', 'yes') THEN TRUE WHEN x IN ('false', 'no') THEN FALSE END.",
    pl.Time: "Write TIME(x, '%H:%M:%S') for strings such as 14:30:00.",
}
_ZONE_HINT = (
    "Write {0}(STRFTIME(x, '{1}'), '{1}') for the {2} in the column's own zone, "
    "or CAST(CAST(x AS TIMESTAMP) AS {0}) for UTC."
)
_ZONE_FORMATS = {"date": "%Y-%m-%d", "time": "%H:%M:%S"}
_SQL_TYPES = {pl.Date: "date", pl.Datetime: "timestamp", pl.Boolean: "boolean", pl.Time: "time", pl.String: "text"}


def problem(code: str, message: str, place: Place, suggestion: str = "") -> Problem:
    """Return a problem of the data engine at a place of jobs.yaml.

    Args:
        code: Code below `data.`.
        message: The problem.
        place: Where it was written.
        suggestion: What would be right.

    Returns:
        The problem.
    """
    return Problem(
        code=f"data.{code}",
        message=message,
        file=place.file,
        line=place.line,
        column=place.column,
        suggestion=suggestion,
    )


def parse(expression: Expression, schema: dict[str, pl.DataType]) -> tuple[pl.Expr, pl.DataType] | Problem:
    """Parse an expression and infer the type of its result.

    Args:
        expression: The expression.
        schema: The source's columns.

    Returns:
        The polars expression and the type of its result, or the problem of the expression.
    """
    found = _parse(expression, tuple(schema.items()))
    if isinstance(found, Problem):
        place = expression.place
        return replace(found, file=place.file, line=place.line, column=place.column)
    return found


@lru_cache(maxsize=1024)
def _parse(
    expression: Expression, columns: tuple[tuple[str, pl.DataType], ...]
) -> tuple[pl.Expr, pl.DataType] | Problem:
    """Parse once for all passes over a source and all jobs; a problem may have the place of an equal expression."""
    sql, place, schema = expression.sql, expression.place, dict(columns)
    if (objection := objection_to(sql)) is not None:
        return problem(
            "expression_refused", objection.message, place, _suggest_quotes(sql, tuple(schema)) or objection.suggestion
        )
    try:
        expr = parse_expression(sql)
    except PARSE_ERRORS as error:
        hint = "Write column names with spaces or signs in double quotes, strings in single quotes."
        message = f"cannot parse the expression {sql!r}: {_first_line(error)}"
        return problem("expression_syntax", message, place, _suggest_quotes(sql, tuple(schema)) or hint)
    try:
        found = _check_columns_and_form(expr, expression, schema) or _check_casts(expr, expression, schema)
        if found is not None:
            return found
        kind = pl.LazyFrame(schema=schema).select(expr.alias("result")).collect_schema()["result"]
        # Functions check the types of their arguments only when they are called; an empty frame suffices.
        pl.DataFrame(schema={name: schema[name] for name in expr.meta.root_names()}).select(expr)
    except RecursionError:
        hint = "Split it, or take the values from a joined file (source.join)."
        return problem("expression_depth", "the expression is nested too deeply", place, hint)
    except PARSE_ERRORS as error:
        hint = (
            "Pass each function the type that it takes: CAST(x AS VARCHAR) returns a string, "
            "DATE(x, '%Y-%m-%d') parses a date, STRPTIME(x, '%Y-%m-%d %H:%M:%S') a timestamp."
        )
        return problem("expression_type", f"{sql!r} cannot be computed: {_first_line(error)}", place, hint)
    return expr, kind


def _check_columns_and_form(expr: pl.Expr, expression: Expression, schema: dict[str, pl.DataType]) -> Problem | None:
    """Return the problem of a parsed expression: an unknown column, an aggregate, a clock; None if it has none."""
    sql, place = expression.sql, expression.place
    for name in dict.fromkeys(expr.meta.root_names()):
        if name not in schema:
            return problem(
                "unknown_column", f"the source has no column {name!r}", place, _suggest_column(sql, name, schema)
            )
    if sql in schema and expr.meta.root_names() != [sql]:
        # A name such as 1st is also an expression: the number 1 with the alias st.
        return problem(
            "expression_syntax", f"{sql!r} is not parsed as a column", place, _suggest_quotes(sql, tuple(schema))
        )
    if not _is_row_wise(expr):
        hint = "Use expressions of one row; for several rows of one key use each:."
        if _DATETIME_CALL.search(_QUOTED.sub("", sql)):
            hint = "Without a format it is inferred from other rows: write one, as in DATE(x, '%Y-%m-%d')."
        return problem("expression_not_by_row", f"{sql!r} needs more than one row of the source", place, hint)
    if _CLOCK.search(_QUOTED.sub("", sql)):
        hint = "Take the time from a column; otherwise every record would change with every run."
        return problem("expression_clock", f"{sql!r} reads the clock", place, hint)
    return None


def _suggest_column(sql: str, name: str, schema: dict[str, pl.DataType]) -> str:
    """Return the similar column, in double quotes if it needs them."""
    known = tuple(schema)
    quoted = _suggest_quotes(sql, tuple(item for item in known if name in item))
    similar = nearest(name, known)
    if not quoted and similar and not needs_no_quotes(similar):
        return f"Did you mean {quote_name(similar)}, in double quotes?"
    return quoted or closest(name, known)


def _suggest_quotes(sql: str, known: tuple[str, ...]) -> str:
    """Return how to quote a column that an expression names without the double quotes that it needs; else nothing."""
    if sql in known:
        return f"Write ={quote_name(sql)}: this column name needs double quotes."
    text = _QUOTED.sub("", sql)
    contained = [
        item for item in known if re.search(rf"(?<!\w){re.escape(item)}(?!\w)", text) and not needs_no_quotes(item)
    ]
    longest = max(contained, key=len, default="")
    return f"Write {quote_name(longest)}: this column name needs double quotes." if longest else ""


def quote_name(name: str) -> str:
    """Return a column name in double quotes."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def needs_no_quotes(name: str) -> bool:
    """Return whether a column name is valid in an expression without quotes."""
    return columns_of(name) == [name]


def _is_row_wise(expr: pl.Expr) -> bool:
    """Return whether the result of a row depends on that row alone.

    `is_row_separable` misses an aggregate within arithmetic and fails for some valid expressions, so the JSON form is
    searched for nodes that read other rows.
    """
    try:
        if not expr.meta.is_row_separable() or (expr.meta.root_names() and not expr.meta.is_length_preserving()):
            return False
    except PARSE_ERRORS:
        pass
    try:
        return not _reads_other_rows(json.loads(expr.meta.serialize(format="json")))
    except PARSE_ERRORS:
        return False


def _reads_other_rows(node: object, key: str = "") -> bool:
    """Return whether a node of the JSON form of an expression reads other rows."""
    if isinstance(node, dict):
        return any(name in _MULTI_ROW_NODES or _reads_other_rows(item, name) for name, item in node.items())
    if isinstance(node, list):
        return any(_reads_other_rows(item, key) for item in node)
    return node == "Len" and key not in _STRING_NODES


def _check_casts(expr: pl.Expr, expression: Expression, schema: dict[str, pl.DataType]) -> Problem | None:
    """Return the problem of the first refused cast of a row-wise expression; None if it has none."""
    text = expr.meta.serialize(format="json")
    if '"Cast"' not in text:
        return None
    frame = pl.LazyFrame(schema=schema)
    pending = [json.loads(text)]
    while pending:
        node = pending.pop()
        children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
        pending += reversed(children)  # outer casts come before inner ones
        cast = node.get("Cast") if isinstance(node, dict) else None
        if isinstance(cast, dict) and "expr" in cast:
            # The target type is inferred from a cast of null, because polars evaluates casts of literals at once.
            source, target = _type(cast["expr"], frame), _type({"Cast": cast | {"expr": _NULL}}, frame)
            if source is not None and target is not None and (refused := _refusal(source, target)):
                return problem("expression_cast", f"{expression.sql!r}: {refused[0]}", expression.place, refused[1])
    return None


def _type(tree: Any, frame: pl.LazyFrame) -> pl.DataType | None:
    """Return the type of a part of an expression; None if it cannot be inferred from the part alone."""
    try:
        part = pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")
        return frame.select(part.alias("part")).collect_schema()["part"]
    except PARSE_ERRORS:
        return None


def _refusal(source: pl.DataType, target: pl.DataType) -> tuple[str, str] | None:
    """Return why a cast between two types is refused and what to write instead, or None."""
    source_name, target_name = (_SQL_TYPES.get(kind.base_type(), str(kind).lower()) for kind in (source, target))
    if source.base_type() in (pl.String, pl.Categorical, pl.Enum) and target.base_type() in _CAST_HINTS:
        return f"a cast of text to {target_name} cannot be computed", _CAST_HINTS[target.base_type()]
    if isinstance(source, pl.Datetime) and source.time_zone is not None and target_name in _ZONE_FORMATS:
        message = (
            f"a cast of a timestamp with a zone ({source.time_zone}) to {target_name} takes the {target_name} in UTC"
        )
        return message, _ZONE_HINT.format(target_name.upper(), _ZONE_FORMATS[target_name], target_name)
    if not _is_castable(source, target):
        return f"a cast of {source_name} to {target_name} cannot be computed", ""
    return None


def _is_castable(source: pl.DataType, target: pl.DataType) -> bool:
    """Return whether polars casts between two types at all, by casting one value."""
    if source.is_nested() or source == pl.Null:
        return target.is_nested() or isinstance(source, pl.Struct) or source == pl.Null
    try:
        value = pl.Series([0], dtype=pl.Int64).cast(pl.String if source == pl.Binary else source).cast(source)
    except PARSE_ERRORS:
        return True
    try:
        value.cast(target, strict=False)
    except PARSE_ERRORS:
        return False
    return True


def _first_line(error: BaseException) -> str:
    """Return the first line of a polars error; before rows are read it contains no value of a row."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
