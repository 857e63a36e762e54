"""Arithmetic with the results of PostgreSQL: exact for integers and decimals, or the row is invalid.

polars wraps integers at 64 bits and keeps the larger scale of two decimals; both are avoided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.sql.casts import coerce, common
from batchsync.data.sql.values import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    PRECISION,
    QUOTIENT_SCALE,
    Refusal,
    Scope,
    Typed,
    boolean,
    common_kind,
    double,
    in_years,
    name_of,
    once,
    utc_kind,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Digits after the point of a product of decimals, at most: 14 digits remain before it.
_PRODUCT_SCALE = 24
#: Integer types whose sums, differences and products always fit 64 bits.
_SHORT = frozenset({pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32})
_WIDE = pl.Int128()
_OPERATIONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
}


def calculate(scope: Scope, operator: str, left: Typed, right: Typed) -> Typed:
    """Compute `+`, `-`, `*`, `/` or `%`.

    Args:
        scope: Where the operation stands.
        operator: The sign.
        left: Left operand.
        right: Right operand.

    Returns:
        The result.

    Raises:
        Refusal: If the operands are not numbers, or a decimal would lose digits.
    """
    if moved := _dates(scope, operator, left, right):
        return moved
    kind = common_kind([left, right], f"{operator}")
    if not (kind.is_numeric() or kind == pl.Null):
        raise Refusal(
            f"{operator} takes numbers, not {name_of(kind)}", "Cast text to a number, as in CAST(x AS NUMERIC)."
        )
    if kind == pl.Null:
        return Typed(pl.lit(None, dtype=INTEGER), INTEGER)
    if kind.is_float():
        return _computed(scope, operator, common(scope, [left, right], operator, DOUBLE), _floats)
    free = kind if isinstance(kind, pl.Decimal) else INTEGER
    parts = [coerce(scope, part, free) if part.untyped else part for part in (left, right)]
    return _computed(scope, operator, parts, _decimals if isinstance(kind, pl.Decimal) else _integers)


def _computed(
    scope: Scope, operator: str, parts: list[Typed], compute: Callable[[Scope, str, Typed, Typed], Typed]
) -> Typed:
    """Compute with numbers; quotients and remainders use their operands several times."""
    if operator in _OPERATIONS:
        return compute(scope, operator, *parts)
    return once(scope, parts, lambda inner, operands: compute(inner, operator, *operands))


def _integers(scope: Scope, operator: str, left: Typed, right: Typed) -> Typed:
    """Compute with integers, in 128 bits where 64 may not suffice."""
    short = all(part.kind.base_type() in _SHORT for part in (left, right))
    wide = INTEGER if short else _WIDE
    first, second = (scope.mask(part.expr.cast(wide)) for part in (left, right))
    if operator in _OPERATIONS:
        return Typed(_OPERATIONS[operator](first, second).cast(INTEGER, strict=scope.strict), INTEGER)
    # polars rounds quotients down; PostgreSQL rounds them towards zero.
    quotient = first.abs() // second.abs()
    quotient = pl.when((first < 0) == (second < 0)).then(quotient).otherwise(_minus(quotient))
    result = quotient if operator == "/" else first - quotient * second
    return _divided(scope, (left, right), Typed(result.cast(INTEGER, strict=scope.strict), INTEGER))


def _minus(expr: pl.Expr) -> pl.Expr:
    """Return integers of 128 bits or decimals with the other sign, which polars does not negate."""
    return pl.lit(0) - expr


def _divided(scope: Scope, operands: tuple[Typed, Typed], value: Typed) -> Typed:
    """Let rows with a divisor of zero fail, unless the dividend is null."""
    dividend, divisor = operands
    if isinstance(divisor.constant, int) and divisor.constant:
        return value
    return scope.fail((divisor.expr == 0) & dividend.expr.is_not_null(), "division by zero", value)


def _floats(scope: Scope, operator: str, left: Typed, right: Typed) -> Typed:
    if operator in _OPERATIONS:
        return double(_OPERATIONS[operator](left.expr, right.expr))
    if operator == "%":
        raise Refusal("% takes integers or decimals, not double precision", "Write CAST(x AS NUMERIC) % y.")
    return _divided(scope, (left, right), double(left.expr / right.expr))


def _decimals(scope: Scope, operator: str, left: Typed, right: Typed) -> Typed:
    """Compute with decimals at a scale that keeps every digit of sums, differences and products."""
    scale = max(left.scale, right.scale)
    if operator == "*":
        if left.scale + right.scale > _PRODUCT_SCALE:
            return once(scope, [left, right], lambda inner, factors: _long_product(inner, *factors))
        scale = left.scale + right.scale
    elif operator == "/":
        scale = max(scale, QUOTIENT_SCALE)
    kind = pl.Decimal(PRECISION, scale)
    first, second = (scope.mask(part.expr.cast(kind, strict=scope.strict)) for part in (left, right))
    if operator in _OPERATIONS:
        return Typed(_OPERATIONS[operator](first, second).cast(kind), kind)
    divisor = pl.when(second != 0).then(second)
    if operator == "/":
        return _divided(scope, (left, right), Typed((first / divisor).cast(kind), kind))
    # polars takes the sign of the divisor, PostgreSQL that of the dividend.
    remainder = first.abs() % divisor.abs()
    return _divided(
        scope, (left, right), Typed(pl.when(first < 0).then(_minus(remainder)).otherwise(remainder).cast(kind), kind)
    )


def _long_product(scope: Scope, left: Typed, right: Typed) -> Typed:
    """Multiply decimals whose scales leave few digits before the point, without the zeros at the end of the factors."""
    kind = pl.Decimal(PRECISION, _PRODUCT_SCALE)
    half = _PRODUCT_SCALE // 2
    scales = {(half, half), (min(left.scale, _PRODUCT_SCALE), max(_PRODUCT_SCALE - left.scale, 0))}
    scales.add((max(_PRODUCT_SCALE - right.scale, 0), min(right.scale, _PRODUCT_SCALE)))
    products = []
    for first_scale, second_scale in sorted(scales, reverse=True):
        first, first_is_exact = _at_scale(scope, left, first_scale)
        second, second_is_exact = _at_scale(scope, right, second_scale)
        products.append(pl.when(first_is_exact & second_is_exact).then(first * second).cast(kind, strict=False))
    product = pl.coalesce(products)
    failing = product.is_null() & left.expr.is_not_null() & right.expr.is_not_null()
    return scope.fail(failing, "the factors of a product have too many digits", Typed(product, kind))


def _at_scale(scope: Scope, value: Typed, scale: int) -> tuple[pl.Expr, pl.Expr]:
    """Return decimals at another scale, and whether they keep their digits."""
    kind = pl.Decimal(PRECISION, scale)
    found = scope.mask(value.expr).cast(kind, strict=False)
    return found, found.cast(pl.Decimal(PRECISION, max(value.scale, scale)), strict=False) == value.expr


def _dates(scope: Scope, operator: str, left: Typed, right: Typed) -> Typed | None:
    """Compute with dates and timestamps: days to and from a date, and the days between two dates."""
    if operator not in ("+", "-"):
        return None
    if operator == "+" and right.kind == DATE and left.is_integer:
        left, right = right, left
    if left.kind == DATE and (right.is_integer or right.kind == DATE):
        if right.kind == DATE:
            return _days(operator, left, right)
        days = scope.mask(right.expr.cast(INTEGER))
        # Dates are days since 1970 in 32 bits.
        number = left.expr.to_physical().cast(INTEGER) + (days if operator == "+" else -days)
        return in_years(scope, Typed(number, INTEGER), DATE)
    if left.kind == DATE and right.untyped and isinstance(right.constant, str) and operator == "-":
        return _days(operator, left, coerce(scope, right, DATE))
    if isinstance(left.kind, pl.Datetime | pl.Date) and isinstance(right.kind, pl.Datetime | pl.Date):
        raise Refusal(
            f"{name_of(left.kind)} {operator} {name_of(right.kind)} gives an interval, which cannot be sent",
            "Write CAST(a AS DATE) - CAST(b AS DATE) for days, "
            "EXTRACT(epoch FROM a) - EXTRACT(epoch FROM b) for seconds.",
        )
    return None


def _days(operator: str, left: Typed, right: Typed) -> Typed:
    if operator == "+":
        raise Refusal("two dates cannot be added", "Write a - b for the days between them, a + 7 for a later day.")
    first, second = (part.expr.to_physical().cast(INTEGER) for part in (left, right))
    return Typed(first - second, INTEGER)


def shift(scope: Scope, value: Typed, offset: str) -> Typed:
    """Add an interval to a date or timestamp; the result is a timestamp.

    Args:
        scope: Where the operation stands.
        value: Date or timestamp.
        offset: The interval in the notation of polars, such as `-1mo`.

    Returns:
        The timestamp.

    Raises:
        Refusal: If the value is neither a date nor a timestamp.
    """
    if not isinstance(value.kind, pl.Datetime | pl.Date):
        raise Refusal(f"an interval cannot be added to {name_of(value.kind)}", "Cast text first: CAST(x AS DATE).")
    kind = utc_kind(value.kind)
    return Typed(scope.mask(value.expr).cast(kind).dt.offset_by(offset), kind)


def negate(scope: Scope, value: Typed) -> Typed:
    """Return a number with the other sign."""
    zero = Typed(pl.lit(0, dtype=INTEGER), INTEGER, constant=0)
    return calculate(scope, "-", zero, value)


def compare(scope: Scope, operator: str, left: Typed, right: Typed) -> Typed:
    """Compare two parts, brought to one type.

    Raises:
        Refusal: If their types do not fit each other.

    Returns:
        Compare two parts, brought to one type.
    """
    kind = common_kind([left, right], operator)
    if kind.is_nested():
        raise Refusal(f"{operator} does not compare {name_of(kind)}", "Compare members or items of it.")
    if kind == pl.Null and operator not in ("is distinct", "is not distinct"):
        return Typed(pl.lit(None, dtype=BOOLEAN), BOOLEAN)
    first, second = (part.expr for part in common(scope, [left, right], operator, kind))
    if not first.meta.root_names():
        # polars computes a constant compared with a CASE whose branches are constants for one row only.
        first, second, operator = second, first, _MIRRORED.get(operator, operator)
    return boolean(_COMPARISONS[operator](first, second))


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


_COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "is distinct": lambda left, right: left.ne_missing(right),
    "is not distinct": lambda left, right: left.eq_missing(right),
}
