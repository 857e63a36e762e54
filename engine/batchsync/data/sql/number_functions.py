"""Functions of numbers, with the results of PostgreSQL."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.sql.arithmetic import calculate, negate
from batchsync.data.sql.casts import coerce, common
from batchsync.data.sql.catalog import function, require, whole_constant
from batchsync.data.sql.values import (
    DOUBLE,
    INTEGER,
    PRECISION,
    QUOTIENT_SCALE,
    Refusal,
    Scope,
    Typed,
    common_kind,
    double,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_GROUP = "Numbers"
#: Highest power of a decimal that is multiplied out.
_POWER_MAX = 8
#: Digits that every integer of 64 bits can have.
_DIGITS_MAX = 18


def _number(part: Typed, use: str) -> Typed:
    """Return an argument that must be a number; NULL as one."""
    require(part, part.kind.is_numeric() or part.kind == pl.Null, "a number", use)
    return Typed(part.expr.cast(INTEGER), INTEGER) if part.kind == pl.Null else part


@function(_GROUP, "abs(number)", "Without its sign.", ("abs(-7)", "7"))
def _abs(scope: Scope, args: list[Typed]) -> Typed:
    value = _number(args[0], "abs")
    if value.is_integer:
        # The smallest integer has no positive counterpart.
        return Typed(scope.mask(value.expr.cast(pl.Int128)).abs().cast(INTEGER, strict=scope.strict), INTEGER)
    return Typed(value.expr.abs(), value.kind)


@function(_GROUP, "sign(number)", "-1, 0 or 1.", ("sign(-7.5)", "-1"))
def _sign(_: Scope, args: list[Typed]) -> Typed:
    value = _number(args[0], "sign")
    kind = pl.Decimal(PRECISION, 0) if value.is_decimal else DOUBLE if value.kind.is_float() else INTEGER
    sign = pl.when(value.expr > 0).then(1).when(value.expr < 0).then(-1).when(value.expr == 0).then(0)
    return Typed(sign.cast(kind), kind)


@function(
    _GROUP,
    "round(number[, digits])",
    "Rounded to digits after the point, which are a constant: decimals half away from zero; without digits, double "
    "precision half to even.",
    ("round(2.675, 2)", "2.68"),
)
def _round(scope: Scope, args: list[Typed]) -> Typed:
    value = _number(args[0], "round")
    digits = whole_constant(args[1], "the digits") if len(args) > 1 else 0
    if value.kind.is_float():
        # PostgreSQL rounds double precision to whole numbers only; digits are rounded as they are written.
        expr = value.expr.cast(DOUBLE)
        if digits < 0:
            raise Refusal("double precision is rounded to 0 or more digits", "Write round(CAST(x AS NUMERIC), -2).")
        if len(args) == 1:
            return double(expr.round(0, mode="half_to_even"))
        return double(expr.round(digits, mode="half_away_from_zero"))
    if digits < 0:
        return _round_left(scope, value, -digits)
    if not value.is_decimal or digits >= value.scale:
        return _widened(scope, value, digits)
    kind = pl.Decimal(PRECISION, digits)
    return Typed(scope.mask(value.expr.round(digits, mode="half_away_from_zero")).cast(kind), kind)


def _widened(scope: Scope, value: Typed, digits: int) -> Typed:
    """Return a decimal with zeros up to digits after the point, as its text has them; integers unchanged."""
    if not value.is_decimal or not value.scale < digits < QUOTIENT_SCALE:
        return value
    kind = pl.Decimal(PRECISION, digits)
    return Typed(scope.mask(value.expr).cast(kind, strict=scope.strict), kind)


def _round_left(scope: Scope, value: Typed, digits: int) -> Typed:
    """Round integers and decimals before the point."""
    if digits > _DIGITS_MAX:
        raise Refusal("round takes at most 18 digits before the point")
    unit = 10**digits
    # Half of a power of ten is whole, so that digits after the point do not decide.
    size = scope.mask(value.expr.cast(pl.Decimal(PRECISION, value.scale))).abs().floor().cast(pl.Int128)
    steps = (size + unit // 2) // unit * unit
    signed = pl.when(value.expr < 0).then(pl.lit(0) - steps).otherwise(steps)
    kind = pl.Decimal(PRECISION, 0) if value.is_decimal else INTEGER
    return Typed(signed.cast(kind), kind)


def _to_whole(name: str, away: str, summary: str, sample: tuple[str, str]) -> None:
    """Register a function that gives a whole number."""

    def build(scope: Scope, args: list[Typed]) -> Typed:
        value = _number(args[0], name)
        if value.is_integer:
            return value
        expr = scope.mask(value.expr)
        whole = getattr(expr, away)()
        if value.kind.is_float():
            return double(whole.cast(DOUBLE))
        kind = pl.Decimal(PRECISION, 0)
        return Typed(whole.cast(kind), kind)

    function(_GROUP, f"{name}(number)", summary, sample, also="ceiling" if name == "ceil" else "")(build)


_to_whole("ceil", "ceil", "The next whole number upwards.", ("ceil(2.1)", "3"))
_to_whole("floor", "floor", "The next whole number downwards.", ("floor(-2.1)", "-3"))


@function(
    _GROUP,
    "trunc(number[, digits])",
    "Cut off towards zero, at digits after the point if given.",
    ("trunc(-2.78, 1)", "-2.7"),
)
def _trunc(scope: Scope, args: list[Typed]) -> Typed:
    value = _number(args[0], "trunc")
    digits = whole_constant(args[1], "the digits") if len(args) > 1 else 0
    if digits < 0 or (value.kind.is_float() and digits):
        raise Refusal("trunc takes 0 or more digits, of a decimal", "Write trunc(CAST(x AS NUMERIC), 2).")
    if value.kind.is_float():
        return double(value.expr.cast(DOUBLE).truncate())
    if not value.is_decimal or digits >= value.scale:
        return _widened(scope, value, digits)
    kind = pl.Decimal(PRECISION, digits)
    return Typed(scope.mask(value.expr.truncate(digits)).cast(kind), kind)


@function(_GROUP, "mod(a, b)", "The rest of a division, with the sign of a; also `a % b`.", ("mod(-7, 3)", "-1"))
def _mod(scope: Scope, args: list[Typed]) -> Typed:
    return calculate(scope, "%", args[0], args[1])


@function(_GROUP, "div(a, b)", "The whole part of a quotient.", ("div(7, 2)", "3"))
def _div(scope: Scope, args: list[Typed]) -> Typed:
    left, right = (_number(item, "div") for item in args)
    if left.is_integer and right.is_integer:
        return calculate(scope, "/", left, right)
    if left.kind.is_float() or right.kind.is_float():
        raise Refusal("div takes integers or decimals", "Write div(CAST(a AS NUMERIC), b).")
    rest = calculate(scope, "%", left, right)
    return _trunc(scope, [calculate(scope, "/", calculate(scope, "-", left, rest), right)])


@function(
    _GROUP,
    "power(a, b)",
    "a to the power of b; also `a ^ b`. Exact for decimals and integers to a constant power from 0 to 8.",
    ("power(2.345, 2)", "5.499025"),
    also="pow",
)
def power(scope: Scope, args: list[Typed]) -> Typed:
    """Return a power: of decimals and integers exactly where that is possible, else in double precision."""
    base, exponent = (_number(item, "power") for item in args)
    times = exponent.constant
    if not base.kind.is_float() and isinstance(times, int) and 0 <= times <= _POWER_MAX:
        unit = Typed(pl.lit(1, dtype=INTEGER), INTEGER, constant=1)
        result = unit if times == 0 else base
        for _ in range(times - 1):
            result = calculate(scope, "*", result, base)
        return result if times else Typed(pl.when(base.expr.is_not_null()).then(unit.expr), INTEGER)
    left, right = common(scope, [base, exponent], "power", DOUBLE)
    fractional = (left.expr < 0) & (right.expr != right.expr.floor())
    value = scope.fail(fractional, "a negative number to a fractional power", double(left.expr**right.expr))
    return scope.fail((left.expr == 0) & (right.expr < 0), "zero to a negative power", value)


def _real(
    name: str,
    summary: str,
    sample: tuple[str, str],
    method: Callable[[pl.Expr], pl.Expr],
    least: int | None,
    *,
    open_end: bool,
) -> None:
    """Register a function in double precision that is undefined below a bound."""

    def build(scope: Scope, args: list[Typed]) -> Typed:
        expr = coerce(scope, _number(args[0], name), DOUBLE).expr
        value = double(method(expr))
        if least is None:
            return value
        outside = (expr <= least) if open_end else (expr < least)
        return scope.fail(outside, f"{name} of a number out of its range", value)

    function(_GROUP, f"{name}(number)", summary, sample)(build)


def _log10(expr: pl.Expr) -> pl.Expr:
    """Return the logarithm, exact for powers of ten, where that of polars may differ in the last digit."""
    rounded = expr.log10().round(0)
    return pl.when(pl.lit(10.0) ** rounded == expr).then(rounded).otherwise(expr.log10())


_real("sqrt", "The square root, in double precision.", ("sqrt(9)", "3"), lambda x: x.sqrt(), 0, open_end=False)
_real(
    "exp",
    "e to the power of the number, in double precision.",
    ("exp(0)", "1"),
    lambda x: x.exp(),
    None,
    open_end=False,
)
_real("ln", "The natural logarithm, in double precision.", ("ln(1)", "0"), lambda x: x.log(math.e), 0, open_end=True)
_real(
    "log10",
    "The logarithm to base 10, in double precision.",
    ("log10(100)", "2"),
    _log10,
    0,
    open_end=True,
)


@function(
    _GROUP, "greatest(value, ...)", "The greatest of the values; nulls are left out.", ("greatest(1, NULL, 3)", "3")
)
def _greatest(scope: Scope, args: list[Typed]) -> Typed:
    return _extreme(scope, args, "greatest")


@function(_GROUP, "least(value, ...)", "The least of the values; nulls are left out.", ("least('b', 'a')", "a"))
def _least(scope: Scope, args: list[Typed]) -> Typed:
    return _extreme(scope, args, "least")


def _extreme(scope: Scope, args: list[Typed], name: str) -> Typed:
    kind = common_kind(args, name)
    exprs = [item.expr for item in common(scope, args, name, kind)]
    return Typed(pl.max_horizontal(exprs) if name == "greatest" else pl.min_horizontal(exprs), kind)


def minus(scope: Scope, value: Typed) -> Typed:
    """Return a number with the other sign; a constant stays one."""
    return negate(scope, _number(value, "-"))
