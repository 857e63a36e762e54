"""Find casts in an expression that cannot be computed, or that give something else than they say.

The types of the operands are inferred over the source's columns; no row is read.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A literal null as polars writes it.
_NULL = {"Literal": {"Scalar": {"Null": "Null"}}}
_FAILS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_DAY = "Write DATE(x, '%Y-%m-%d') for texts as in 2025-01-31, DATE(x, '%d/%m/%Y') for 31/01/2025."
_MOMENT = "Write STRPTIME(x, '%Y-%m-%d %H:%M:%S') for texts as in 2025-01-31 14:30:00."
_TRUTH = "Write CASE WHEN x IN ('true', 'yes') THEN TRUE WHEN x IN ('false', 'no') THEN FALSE END."
_TIME = "Write TIME(x, '%H:%M:%S') for texts as in 14:30:00."
_ZONED = (
    "Write {0}(STRFTIME(x, '{1}'), '{1}') for the {2} in the column's own zone, "
    "or CAST(CAST(x AS TIMESTAMP) AS {0}) for UTC."
)
_ZONED_FORMS = {"date": "%Y-%m-%d", "time": "%H:%M:%S"}


@dataclass(frozen=True, slots=True)
class BadCast:
    """A cast that is refused: what is wrong with it, and what works."""

    message: str
    suggestion: str


def bad_cast(expr: pl.Expr, schema: dict[str, pl.DataType]) -> BadCast | None:
    """Return the first cast of an expression that is refused, or None.

    Args:
        expr: An expression that is computed from one row.
        schema: The source's columns; those of the expression are among them.

    Raises:
        RecursionError: If the expression is nested too deeply.
    """
    text = expr.meta.serialize(format="json")
    if '"Cast"' not in text:
        return None
    frame = pl.LazyFrame(schema=schema)
    for node in _casts(json.loads(text)):
        # The type that is cast to, without the operand: polars computes casts of literals at once.
        source, target = _type(node["expr"], frame), _type({"Cast": node | {"expr": _NULL}}, frame)
        if source is not None and target is not None and (found := _judged(source, target)):
            return found
    return None


def _casts(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield the casts of an expression as polars writes it in JSON, outer ones first."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += reversed(part)
        elif isinstance(part, dict):
            cast = part.get("Cast")
            if isinstance(cast, dict) and "expr" in cast:
                yield cast
            waiting += reversed(part.values())


def _type(tree: Any, frame: pl.LazyFrame) -> pl.DataType | None:
    """Return the type of a part of an expression; None when it cannot be told from the part alone."""
    try:
        part = pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")
        return frame.select(part.alias("part")).collect_schema()["part"]
    except (*_FAILS, ValueError, TypeError):
        return None


def _judged(source: pl.DataType, target: pl.DataType) -> BadCast | None:
    """Return why a cast between two types is refused, or None."""
    named = _named(target)
    if source.base_type() in (pl.String, pl.Categorical, pl.Enum):
        advice = {pl.Date: _DAY, pl.Datetime: _MOMENT, pl.Boolean: _TRUTH, pl.Time: _TIME}.get(target.base_type())
        if advice:
            return BadCast(f"a cast of text to {named} cannot be computed", advice)
    if isinstance(source, pl.Datetime) and source.time_zone is not None and named in _ZONED_FORMS:
        said = f"a cast of a timestamp with a zone ({source.time_zone}) to {named} takes the {named} in UTC"
        return BadCast(said, _ZONED.format(named.upper(), _ZONED_FORMS[named], named))
    if not _possible(source, target):
        return BadCast(f"a cast of {_named(source)} to {named} cannot be computed", "")
    return None


def _possible(source: pl.DataType, target: pl.DataType) -> bool:
    """Whether polars casts between two types at all; without a row to cast it does not say."""
    if source.is_nested() or source == pl.Null:
        return target.is_nested() or isinstance(source, pl.Struct) or source == pl.Null
    try:
        value = pl.Series([0], dtype=pl.Int64).cast(pl.String if source == pl.Binary else source).cast(source)
    except _FAILS:
        return True
    try:
        value.cast(target, strict=False)
    except _FAILS:
        return False
    return True


def _named(kind: pl.DataType) -> str:
    """Return the name of a type in SQL where it has one."""
    names = {pl.Date: "date", pl.Datetime: "timestamp", pl.Boolean: "boolean", pl.Time: "time", pl.String: "text"}
    return names.get(kind.base_type(), str(kind).lower())
