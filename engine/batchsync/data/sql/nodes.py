"""What the compiler needs to know of single nodes of a syntax tree: types, members, paths, and why one is refused."""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlglot import exp

from batchsync.data.sql import time_functions
from batchsync.data.sql.casts import TYPES, Target, cast, common, to_text
from batchsync.data.sql.catalog import clock
from batchsync.data.sql.text_functions import concatenated
from batchsync.data.sql.values import (
    BOOLEAN,
    PRECISION,
    TEXT,
    Refusal,
    Scope,
    Typed,
    boolean,
    common_kind,
    name_of,
    null,
    text,
)
from batchsync.util.suggestions import closest, nearest

CALCULATIONS: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "is not distinct",
    exp.NullSafeNEQ: "is distinct",
}
CHAINS = (*CALCULATIONS, exp.DPipe, exp.And, exp.Or)
#: What PostgreSQL and other readers bind differently within a comparison, unless it stands in parentheses.
LOOSE = (
    *COMPARISONS,
    *(exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.Escape, exp.RegexpLike, exp.RegexpILike, exp.Not),
)
#: Digits of a second that timestamps have.
_MICROSECONDS = 6
#: Maximum length to which a text is filled.
_PADDED_MAX = 1000
#: Characters of a part that a message shows.
_SHOWN = 60
_CLOCKS = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp, exp.CurrentUser)
_OTHER_ROWS = (exp.Window, exp.Filter, exp.WithinGroup, exp.AggFunc)
#: Functions that parse text with a format. In a COALESCE of them the formats are tried one after the other.
_PARSES = frozenset({"strptime", "date", "time", "timestamp", "datetime"})


def condition(value: Typed) -> pl.Expr:
    """Return a truth value.

    Raises:
        Refusal: If the part is of another type.
    """
    if value.kind == pl.Null:
        return pl.lit(None, dtype=BOOLEAN)
    if value.kind != BOOLEAN:
        raise Refusal(
            f"a condition must be true or false, not {name_of(value.kind)}",
            "Compare it, as in x = 'Y' or x <> 0, or cast it: CAST(x AS BOOLEAN).",
        )
    return value.expr


def joined(scope: Scope, operator: exp.Expr, run: list[Typed]) -> Typed:
    """Return the result of a chain of the same operator.

    Raises:
        Refusal: If that is not supported.
    """
    if isinstance(operator, exp.DPipe):
        if any(isinstance(part.kind, pl.List) for part in run):
            raise Refusal("|| joins text, not lists", "Write array_to_string(x, ',').")
        return text(concatenated(scope, [to_text(part).expr for part in run]))
    tests = [condition(part) for part in run]
    return boolean(pl.all_horizontal(tests) if isinstance(operator, exp.And) else any_of(tests))


def any_of(tests: list[pl.Expr]) -> pl.Expr:
    """Return whether any test is true; null if none is and one is null."""
    return pl.any_horizontal(tests)


def chosen(scope: Scope, tests: list[pl.Expr], values: list[Typed], use: str) -> Typed:
    """Return the value of the first test that is true; the last value where none is."""
    kind = common_kind(values, use)
    exprs = [part.expr for part in common(scope, values, use, kind)]
    branches: Any = pl
    for test, value in zip(tests, exprs[:-1], strict=True):
        branches = branches.when(test).then(value)
    return Typed(branches.otherwise(exprs[-1]), kind)


def number_of_branch(tests: list[pl.Expr]) -> pl.Expr:
    """Return the number of the branch of a CASE that is taken, from 0; the number of tests for ELSE."""
    # A flat list: branches within branches take polars a time that grows with the square of their number.
    numbers = [pl.when(test).then(pl.lit(index, dtype=pl.Int32)) for index, test in enumerate(tests)]
    return pl.coalesce(*numbers, pl.lit(len(tests), dtype=pl.Int32))


def like_parts(node: exp.Expr) -> tuple[exp.Binary, str, str]:
    """Return the node of LIKE or ILIKE below one with ESCAPE, the pattern, and the escape character.

    Raises:
        Refusal: If the pattern is no constant.
    """
    escape, inner = "\\", node
    if isinstance(node, exp.Escape):
        inner, sign = node.this, node.expression
        if not (isinstance(sign, exp.Literal) and sign.is_string and len(sign.this) <= 1):
            raise Refusal("ESCAPE takes one character in single quotes")
        escape = sign.this
    pattern = inner.expression
    if not isinstance(inner, exp.Like | exp.ILike) or not (isinstance(pattern, exp.Literal) and pattern.is_string):
        hint = "Write contains(x, y) or starts_with(x, y) for columns."
        raise Refusal("LIKE takes a pattern in single quotes", hint)
    return inner, str(pattern.this), escape


def constant_cast(value: Typed, target: Target) -> Typed:
    """Cast a string in quotes, and refuse one that is no value of the type.

    Returns:
        Cast a string in quotes, and refuse one that is no value of the type.

    Raises:
        Refusal: If that is not supported.
    """
    found = cast(Scope(), value, target)
    try:
        pl.select(found.expr)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        hint = "Write dates as '2025-01-31'." if target.kind.is_temporal() else "Write a constant of the type."
        raise Refusal(f"{value.constant!r} is no {name_of(target.kind)}", hint, "expression_cast") from None
    return found


def target_of(node: exp.DataType) -> Target:
    """Return the type of a cast.

    Raises:
        Refusal: If that is not supported.
    """
    # Types such as regclass are no types of the parser, which has their name as text.
    name = getattr(node.this, "name", "")
    kind = TYPES.get(name)
    sizes = [item.this for item in node.expressions]
    if kind is None or not all(isinstance(item, exp.Literal) and str(item.this).isdecimal() for item in sizes):
        written = node.sql(dialect="postgres").lower()
        raise Refusal(f"a cast to {written} is not supported", _types_hint(written), "expression_cast")
    numbers = [int(item.this) for item in sizes]
    if isinstance(kind, pl.Decimal) and numbers:
        precision, scale = (*numbers, 0)[:2]
        if not 0 <= scale <= precision <= PRECISION or not precision:
            raise Refusal(f"a decimal has at most {PRECISION} digits", "Write NUMERIC(12, 2).", "expression_cast")
        return Target(pl.Decimal(precision, scale))
    if kind == TEXT:
        padded = name in ("CHAR", "NCHAR", "BPCHAR")
        length = numbers[0] if numbers else 1 if padded and name != "BPCHAR" else None
        if padded and length is not None and length > _PADDED_MAX:
            raise Refusal(f"CHAR({length}) would fill up to that length", "Write TEXT.", "expression_cast")
        return Target(kind, length, padded, name in ("JSON", "JSONB"))
    if (numbers and name not in ("TIMESTAMP", "TIMESTAMPTZ", "TIME")) or any(item != _MICROSECONDS for item in numbers):
        raise Refusal(f"{name}({numbers[0]}) is not supported", f"Write {name} without a size.", "expression_cast")
    return Target(kind, is_free=isinstance(kind, pl.Decimal))


def _types_hint(written: str) -> str:
    known = "text varchar(n) smallint integer bigint numeric(p,s) real double boolean date time timestamp timestamptz"
    near = nearest(written, [item.partition("(")[0] for item in known.split()])
    return f"{f'Did you mean {near}? ' if near else ''}The types are: {', '.join(known.split())}."


def member_of(value: Typed, name: str) -> Typed:
    """Return a member of an object.

    Raises:
        Refusal: If that is not supported.
    """
    if value.kind == pl.Null:
        return null()
    if not isinstance(value.kind, pl.Struct):
        raise Refusal(
            f"{name!r} is no member: the value before the point is {name_of(value.kind)}", code="expression_type"
        )
    kinds = {field.name: field.dtype for field in value.kind.fields}
    if name not in kinds:
        raise Refusal(f"the object has no member {name!r}", closest(name, tuple(kinds)), "unknown_column")
    kind = kinds[name]
    return Typed(value.expr.struct.field(name), kind() if isinstance(kind, type) else kind)


def offset_of(node: exp.Interval, *, negative: bool) -> str:
    """Return an interval in the notation of polars.

    Raises:
        Refusal: If that is not supported.
    """
    value, unit = node.this, node.args.get("unit")
    if not (isinstance(value, exp.Literal) and (unit is None or isinstance(unit, exp.Var))):
        raise Refusal("INTERVAL takes text in single quotes", "Write INTERVAL '7 days'.")
    return time_functions.interval_offset(f"{value.this} {unit.name if unit else ''}", negative=negative)


def path_names(path: exp.Expr) -> list[str]:
    """Return the names of a step into a JSON text.

    Raises:
        Refusal: If that is not supported.
    """
    if isinstance(path, exp.Literal):
        return [item.strip().strip('"') for item in str(path.this).strip("{}").split(",")]
    names = []
    for part in path.expressions if isinstance(path, exp.JSONPath) else [path]:
        if isinstance(part, exp.JSONPathKey | exp.JSONPathSubscript):
            names.append(str(part.this))
        elif not isinstance(part, exp.JSONPathRoot):
            raise Refusal("-> and ->> take the name of a member in single quotes", "Write x::json ->> 'name'.")
    return names


def is_parse(node: exp.Expr) -> bool:
    """Return whether a node is a call that parses text with a format."""
    return isinstance(node, exp.Anonymous) and str(node.this).lower() in _PARSES and len(node.expressions) > 1


def is_hash(node: exp.Expr) -> bool:
    """Return whether a node is a call of a hash that is bytes in PostgreSQL."""
    return isinstance(node, exp.Anonymous) and str(node.this).lower() in ("sha224", "sha256", "sha384", "sha512")


def parentheses(node: exp.Expr) -> Refusal:
    """Return the refusal of operators that readers bind differently."""
    return Refusal(
        f"{_written(node)} can be read in two ways", "Put the inner part in parentheses.", "expression_syntax"
    )


def not_allowed(node: exp.Expr) -> Refusal:
    """Return the refusal of a node that is not in the allow-list."""
    if isinstance(node, _CLOCKS):
        return clock(_written(node))
    if isinstance(node, _OTHER_ROWS):
        hint = "Use sum, count and the like without OVER, in members of the record outside each:."
        return Refusal(f"{_written(node)} needs more than one row of the source", hint, "expression_not_by_row")
    if isinstance(node, exp.JSONExtract | exp.JSONBExtract):
        return Refusal("-> gives JSON, which cannot be sent", "Write ->> for the value as text.")
    return Refusal(f"{_written(node)} is not supported in an expression", code="expression_refused")


def _written(node: exp.Expr) -> str:
    """Return the start of a part of an expression, for messages."""
    written = node.sql(dialect="postgres")
    return written if len(written) <= _SHOWN else written[: _SHOWN - 3] + "..."
