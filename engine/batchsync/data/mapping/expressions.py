"""Parse expressions of jobs.yaml and check them against the source's columns before rows are read.

The language is a subset of PostgreSQL's SQL, compiled by `data.sql`; here its refusals become problems with a place.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from batchsync.core.expression_text import objection_to
from batchsync.data.sql.values import Refusal
from batchsync.errors import Problem
from batchsync.util.suggestions import closest, nearest

if TYPE_CHECKING:
    from batchsync.core.mapping import Expression, Place
    from batchsync.data.sql.reduction import Aggregate

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
#: Names that are parsed as a column without double quotes, and need no parser for it.
_SIMPLE_NAME = re.compile(r"[^\W\d]\w*")
#: Words that are not parsed as a column, or not always.
_KEYWORDS_TEXT = """
all and any array as asc between both case cast collate cross current_catalog current_date current_role
current_schema current_time current_timestamp current_user default desc distinct div else end escape except
exists extract false fetch filter for from full group having ilike in inner intersect interval into is
isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on or
order outer over overlaps position right row select session_user similar some substring symmetric then to
trailing trim true try_cast union unique unknown using values when where window with xor
"""
_KEYWORDS = frozenset(_KEYWORDS_TEXT.split())
#: Characters of an expression that a message shows.
_SHOWN = 80
_SYNTAX_HINT = "Write column names with spaces or signs in double quotes, strings in single quotes."
_DEPTH_HINT = "Split it, or take the values from a joined file (source.join)."


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


class Parsed(NamedTuple):
    """A parsed expression.

    Attributes:
        expr: The polars expression, over the columns of the source and those of the aggregates.
        kind: Type of its result.
        aggregates: The aggregates over the rows of a key that it uses.
    """

    expr: pl.Expr
    kind: pl.DataType
    aggregates: tuple[Aggregate, ...] = ()


def parse(expression: Expression, schema: dict[str, pl.DataType], *, aggregates: bool = False) -> Parsed | Problem:
    """Parse an expression and infer the type of its result.

    Args:
        expression: The expression.
        schema: The source's columns.
        aggregates: Whether the expression may contain aggregates over the rows of a key.

    Returns:
        The parsed expression, or its problem.
    """
    found = _parse(expression, tuple(schema.items()), aggregates=aggregates)
    if isinstance(found, Problem):
        place = expression.place
        return replace(found, file=place.file, line=place.line, column=place.column)
    return found


@lru_cache(maxsize=1024)
def _parse(
    expression: Expression, columns: tuple[tuple[str, pl.DataType], ...], *, aggregates: bool
) -> Parsed | Problem:
    """Parse once for all passes over a source and all jobs; a problem may have the place of an equal expression."""
    sql, place, schema = expression.sql, expression.place, dict(columns)
    if sql in schema and needs_no_quotes(sql):
        return Parsed(pl.col(sql), schema[sql])
    if (objection := objection_to(sql)) is not None:
        hint = _suggest_quotes(sql, tuple(schema)) or objection.suggestion
        return problem(
            "expression_depth" if objection.is_deep else "expression_refused", objection.message, place, hint
        )
    # Only such expressions need the parser, whose import takes longer than many commands.
    from batchsync.data.sql.entry import compile_sql  # noqa: PLC0415 - see above

    try:
        found = compile_sql(sql, schema, aggregates=aggregates)
    except Refusal as refusal:
        return _refused(refusal, sql, place, schema)
    except RecursionError:
        return problem("expression_depth", "the expression is nested too deeply", place, _DEPTH_HINT)
    return Parsed(found.expr, found.kind, found.aggregates)


def _refused(refusal: Refusal, sql: str, place: Place, schema: dict[str, pl.DataType]) -> Problem:
    """Return the problem of an expression that was not compiled."""
    known, hint = tuple(schema), refusal.hint
    if refusal.code == "unknown_column":
        if hint:
            return problem(refusal.code, refusal.message, place, hint)
        message = f"the source has no column {refusal.message!r}"
        return problem(refusal.code, message, place, _suggest_column(sql, refusal.message, schema))
    shown = sql if len(sql) <= _SHOWN else sql[: _SHOWN - 3] + "..."
    if refusal.code == "expression_syntax":
        hint = _suggest_quotes(sql, known) or hint or _SYNTAX_HINT
        return problem(refusal.code, f"cannot parse the expression {shown!r}: {refusal.message}", place, hint)
    if refusal.code == "expression_depth":
        hint = hint or _DEPTH_HINT
    return problem(refusal.code, f"{shown!r}: {refusal.message}", place, hint)


def columns_of(sql: str) -> list[str]:
    """Return the columns of an expression; none if it cannot be parsed, which is reported elsewhere."""
    if needs_no_quotes(sql):
        return [sql]
    from batchsync.util.sql_parser import columns_of as parsed_columns  # noqa: PLC0415 - as in _parse

    return parsed_columns(sql) or []


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
    return _SIMPLE_NAME.fullmatch(name) is not None and name.lower() not in _KEYWORDS
