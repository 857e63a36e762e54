"""Find casts in an expression that cannot be computed, or whose result differs from what the cast expresses.

The types of the operands are inferred from the source's columns; no row is read.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A literal null in the JSON form of polars.
_NULL = {"Literal": {"Scalar": {"Null": "Null"}}}
_POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_DATE_HINT = "Write DATE(x, '%Y-%m-%d') for strings such as 2025-01-31, DATE(x, '%d/%m/%Y') for 31/01/2025."
_TIMESTAMP_HINT = "Write STRPTIME(x, '%Y-%m-%d %H:%M:%S') for strings such as 2025-01-31 14:30:00."
_BOOLEAN_HINT = "Write CASE WHEN x IN ('true', 'yes') THEN TRUE WHEN x IN ('false', 'no') THEN FALSE END."
_TIME_HINT = "Write TIME(x, '%H:%M:%S') for strings such as 14:30:00."
_ZONE_HINT = (
    "Write {0}(STRFTIME(x, '{1}'), '{1}') for the {2} in the column's own zone, "
    "or CAST(CAST(x AS TIMESTAMP) AS {0}) for UTC."
)
_ZONE_FORMATS = {"date": "%Y-%m-%d", "time": "%H:%M:%S"}


@dataclass(frozen=True, slots=True)
class BadCast:
    """A refused cast: the problem, and an alternative."""

    message: str
    suggestion: str


def bad_cast(expr: pl.Expr, schema: dict[str, pl.DataType]) -> BadCast | None:
    """Return the first refused cast of an expression, or None.

    Args:
        expr: An expression that is computed from one row.
        schema: The source's columns; those of the expression are among them.

    Returns:
        The refused cast.

    Raises:
        RecursionError: If the expression is nested too deeply.
    """
    text = expr.meta.serialize(format="json")
    if '"Cast"' not in text:
        return None
    frame = pl.LazyFrame(schema=schema)
    for node in _casts(json.loads(text)):
        # The target type is inferred from a cast of null, because polars evaluates casts of literals at once.
        source, target = _type(node["expr"], frame), _type({"Cast": node | {"expr": _NULL}}, frame)
        if source is not None and target is not None and (found := _check_cast(source, target)):
            return found
    return None


def _casts(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield the casts in the JSON form of an expression, outer ones first."""
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += reversed(part)
        elif isinstance(part, dict):
            cast = part.get("Cast")
            if isinstance(cast, dict) and "expr" in cast:
                yield cast
            pending += reversed(part.values())


def _type(tree: Any, frame: pl.LazyFrame) -> pl.DataType | None:
    """Return the type of a part of an expression; None if it cannot be inferred from the part alone."""
    try:
        part = pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")
        return frame.select(part.alias("part")).collect_schema()["part"]
    except (*_POLARS_ERRORS, ValueError, TypeError):
        return None


def _check_cast(source: pl.DataType, target: pl.DataType) -> BadCast | None:
    """Return why a cast between two types is refused, or None."""
    target_name = _sql_name(target)
    if source.base_type() in (pl.String, pl.Categorical, pl.Enum):
        hint = {pl.Date: _DATE_HINT, pl.Datetime: _TIMESTAMP_HINT, pl.Boolean: _BOOLEAN_HINT, pl.Time: _TIME_HINT}.get(
            target.base_type()
        )
        if hint:
            return BadCast(f"a cast of text to {target_name} cannot be computed", hint)
    if isinstance(source, pl.Datetime) and source.time_zone is not None and target_name in _ZONE_FORMATS:
        message = (
            f"a cast of a timestamp with a zone ({source.time_zone}) to {target_name} takes the {target_name} in UTC"
        )
        return BadCast(message, _ZONE_HINT.format(target_name.upper(), _ZONE_FORMATS[target_name], target_name))
    if not _is_castable(source, target):
        return BadCast(f"a cast of {_sql_name(source)} to {target_name} cannot be computed", "")
    return None


def _is_castable(source: pl.DataType, target: pl.DataType) -> bool:
    """Return whether polars casts between two types at all, by casting one value."""
    if source.is_nested() or source == pl.Null:
        return target.is_nested() or isinstance(source, pl.Struct) or source == pl.Null
    try:
        value = pl.Series([0], dtype=pl.Int64).cast(pl.String if source == pl.Binary else source).cast(source)
    except _POLARS_ERRORS:
        return True
    try:
        value.cast(target, strict=False)
    except _POLARS_ERRORS:
        return False
    return True


def _sql_name(kind: pl.DataType) -> str:
    """Return the SQL name of a type, if it has one."""
    names = {pl.Date: "date", pl.Datetime: "timestamp", pl.Boolean: "boolean", pl.Time: "time", pl.String: "text"}
    return names.get(kind.base_type(), str(kind).lower())
