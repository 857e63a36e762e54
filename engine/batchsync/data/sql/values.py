"""Typed parts of an expression, and what decides their types: promotion of numbers, untyped constants, laziness.

A string in quotes and NULL have no type of their own: they take that of the other operand, as in PostgreSQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Precision of every computed decimal; more digits make the row invalid.
PRECISION = 38
#: Digits after the point of a quotient of decimals, and of a decimal without a declared scale.
QUOTIENT_SCALE, FREE_SCALE = 16, 18
TEXT, INTEGER, DOUBLE, BOOLEAN = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()
DATE, TIME, TIMESTAMP, TIMESTAMPTZ = pl.Date(), pl.Time(), pl.Datetime("us"), pl.Datetime("us", "UTC")
#: Type of a strict cast that fails for any text that is no number.
_FAILS = pl.Int64()
#: Maximum number of conditions on which casts and divisions depend, added up: 60 branches of a CASE with a cast each.
_TESTS_MAX = 4000
#: Characters of a refused number that its message shows.
_SHOWN = 40
#: Beginning of the reason of a failure, in the messages of polars.
_MARK = "batchsync: "
_REASON = re.compile(rf'\["{_MARK}([\w ]+)"')
_NAMES: dict[type[pl.DataType], str] = {
    pl.String: "text",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Time: "time",
    pl.Duration: "interval",
    pl.Null: "null",
    pl.Binary: "bytes",
}


class Refusal(Exception):  # noqa: N818 - a decision about an expression, which becomes a Problem
    """Expression that cannot be compiled.

    Attributes:
        code: Code of the problem below `data.`.
        message: What is wrong.
        hint: What would be right.
    """

    def __init__(self, message: str, hint: str = "", code: str = "expression_type") -> None:
        """Keep the parts of the problem."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


@dataclass(frozen=True, slots=True)
class Typed:
    """A compiled part.

    Attributes:
        expr: The polars expression.
        kind: Type of its values.
        constant: Value of a constant; None for NULL and for everything else.
        untyped: Whether it is a string in quotes or NULL, whose type depends on its use.
    """

    expr: pl.Expr
    kind: pl.DataType
    constant: str | int | Decimal | None = None
    untyped: bool = False

    @property
    def is_text(self) -> bool:
        """Whether the values are strings."""
        return self.kind.base_type() in (pl.String, pl.Categorical, pl.Enum)

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers."""
        return self.kind.is_integer()

    @property
    def is_decimal(self) -> bool:
        """Whether the values are decimals."""
        return isinstance(self.kind, pl.Decimal)

    @property
    def scale(self) -> int:
        """Digits after the point; 0 for integers."""
        return self.kind.scale or 0 if isinstance(self.kind, pl.Decimal) else 0


@dataclass(slots=True)
class Budget:
    """How much of an expression is computed for some rows only: polars takes a time that grows faster than that."""

    used: int = 0

    def spend(self, tests: int) -> None:
        """Count an operation that depends on some tests.

        Raises:
            Refusal: If the operations depend on too many tests.
        """
        self.used += tests
        if self.used > _TESTS_MAX:
            hint = "Cast the result of CASE instead of its values, or take the values from a joined file (source.join)."
            raise Refusal("too many casts or divisions depend on too many conditions", hint, "expression_depth")


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a part stands.

    Attributes:
        active: Whether the part is computed in a row, as in a branch of CASE; None if it always is.
        tests: Number of conditions in `active`.
        budget: Shared by all scopes of an expression.
        strict: Whether a value that cannot be computed fails; otherwise it is null, as in TRY_CAST.
    """

    active: pl.Expr | None = None
    strict: bool = True
    tests: int = 0
    budget: Budget = field(default_factory=Budget)

    def trying(self) -> Scope:
        """Return the scope of a cast or parse that gives null instead of failing."""
        return replace(self, strict=False)

    def probing(self) -> Scope:
        """Return the scope of a test that only decides where other parts are computed: it never fails."""
        return replace(self, active=None, tests=0, strict=False)

    def within(self, condition: pl.Expr, tests: int = 1) -> Scope:
        """Return the scope of a branch that is computed only where a condition, of a number of tests, holds.

        The condition is that of a `probing` scope: with conditions that depend on those before them, the expression
        would double in size with each.
        """
        if not self.strict:
            return self
        active = condition if self.active is None else self.active & condition
        return replace(self, active=active, tests=self.tests + tests)

    def mask(self, expr: pl.Expr) -> pl.Expr:
        """Return an input that is null where the part is not computed, so that it cannot fail there."""
        if self.active is None or not self.strict:
            return expr
        self.budget.spend(self.tests)
        return pl.when(self.active).then(expr)

    def fail(self, condition: pl.Expr, reason: str, value: Typed) -> Typed:
        """Return a value that fails in the rows where a condition holds.

        Args:
            condition: The rows that fail; null counts as false.
            reason: Text for the row's error, which `failure_of` finds; no value of a row.
            value: The value in other rows.

        Returns:
            The value.
        """
        if self.strict:
            self.budget.spend(self.tests)
        failing = condition if self.active is None else condition & self.active
        if not self.strict:
            return Typed(pl.when(failing.fill_null(value=False).not_()).then(value.expr), value.kind)
        # The cast fails in any row in which its input is not null. It stands next to the other test instead of in a
        # branch of the same condition, where polars computes it for a frame of one row even if that does not hold.
        failure = pl.when(failing).then(pl.lit(_MARK + reason)).cast(_FAILS)
        computable = failure.is_null() & failing.fill_null(value=False).not_()
        return Typed(pl.when(computable).then(value.expr), value.kind)


def once(scope: Scope, parts: list[Typed], build: Callable[[Scope, list[Typed]], Typed]) -> Typed:
    """Return an operation that may use its operands several times, but computes them once.

    polars repeats an expression wherever it is used: without this, the work would multiply with each operation around
    another. Operands are null where the operation is not computed, so that it needs no conditions of its own.

    Args:
        scope: Where the operation stands.
        parts: The operands.
        build: Compiles the operation in a scope from its operands.

    Returns:
        The operation.
    """
    names = {index: f"operand {index}" for index, part in enumerate(parts) if not part.expr.meta.is_literal()}
    if all(parts[index].expr.meta.is_column() for index in names):
        return build(scope, parts)
    operands = [scope.mask(parts[index].expr).alias(name) for index, name in names.items()]
    stored = [
        replace(part, expr=pl.field(names[index])) if index in names else part for index, part in enumerate(parts)
    ]
    built = build(replace(scope, active=None, tests=0), stored)
    return Typed(pl.struct(operands).struct.with_fields(result=built.expr).struct.field("result"), built.kind)


def in_years(scope: Scope, number: Typed, kind: pl.DataType) -> Typed:
    """Return dates or timestamps from days or microseconds since 1970; years that ISO text does not have fail."""
    first, last = (day.toordinal() - date(1970, 1, 1).toordinal() for day in (date.min, date.max))
    unit = 1 if kind == DATE else 86_400_000_000

    def build(inner: Scope, parts: list[Typed]) -> Typed:
        expr = parts[0].expr
        outside = (expr < first * unit) | (expr >= (last + 1) * unit)
        physical = expr.cast(pl.Int32 if kind == DATE else pl.Int64, strict=scope.strict)
        return inner.fail(outside, "a date outside of the years 1 to 9999", Typed(physical.cast(kind), kind))

    return once(scope, [number], build)


def broadcast(part: Typed) -> Typed:
    """Return a part that has a value per row also if it has no column.

    polars repeats a constant for all rows only as long as no function was applied to it.
    """
    is_computed = not part.expr.meta.is_literal() and not part.expr.meta.root_names()
    return replace(part, expr=part.expr.first()) if is_computed else part


def failure_of(error: BaseException) -> str:
    """Return the reason of `Scope.fail` for which polars failed, if it is one."""
    found = _REASON.search(str(error))
    return found[1] if found else ""


def failure(reason: str) -> pl.exceptions.ComputeError:
    """Return the error of a row for a reason, which `failure_of` finds; no value of a row."""
    return pl.exceptions.ComputeError(f'["{_MARK}{reason}"')


def name_of(kind: pl.DataType) -> str:
    """Return the name of a type in SQL, for messages."""
    if kind.is_integer():
        return "integer"
    if kind.is_float():
        return "double precision"
    if isinstance(kind, pl.Decimal):
        return "numeric"
    if isinstance(kind, pl.Datetime):
        return f"timestamp with a zone ({kind.time_zone})" if kind.time_zone else "timestamp"
    if kind.base_type() in (pl.Categorical, pl.Enum):
        return "text"
    return "list" if isinstance(kind, pl.List) else _NAMES.get(kind.base_type(), str(kind).lower())


def text(expr: pl.Expr) -> Typed:
    """Return a part whose values are strings."""
    return Typed(expr, TEXT)


def integer(expr: pl.Expr) -> Typed:
    """Return a part whose values are cast to 64-bit integers."""
    return Typed(expr.cast(INTEGER), INTEGER)


def boolean(expr: pl.Expr) -> Typed:
    """Return a part whose values are truth values."""
    return Typed(expr, BOOLEAN)


def double(expr: pl.Expr) -> Typed:
    """Return a part whose values are floating-point numbers."""
    return Typed(expr, DOUBLE)


def string_constant(value: str) -> Typed:
    """Return a string in quotes."""
    return Typed(pl.lit(value, dtype=TEXT), TEXT, constant=value, untyped=True)


def null() -> Typed:
    """Return NULL."""
    return Typed(pl.lit(None), pl.Null(), untyped=True)


def number_constant(value: int | Decimal) -> Typed:
    """Return a number as it is written: an integer, else a decimal with all of its digits.

    Raises:
        Refusal: If it has more digits than a decimal.
    """
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return Typed(pl.lit(value, dtype=INTEGER), INTEGER, constant=value)
    exact = Decimal(value)
    _, digits, exponent = exact.as_tuple()
    scale = max(0, -exponent) if isinstance(exponent, int) else PRECISION + 1
    if max(len(digits) + max(0, exponent if isinstance(exponent, int) else 0), scale) > PRECISION:
        raise Refusal(f"a number has more than {PRECISION} digits", "Write it with fewer digits, or as text in quotes.")
    kind = pl.Decimal(PRECISION, scale)
    plain = exact if scale else Decimal(int(exact))
    return Typed(pl.lit(plain, dtype=kind), kind, constant=plain)


def number_as_written(written: str) -> Typed:
    """Return a number from its text in an expression.

    Raises:
        Refusal: If it is no number, or has more digits than a decimal.
    """
    try:
        exact = Decimal(written)
    except InvalidOperation:
        hint = "Write digits after the E, such as 1E3, or put text in single quotes."
        raise Refusal(f"{written[:_SHOWN]!r} is no number", hint, "expression_syntax") from None
    # Texts of more digits than int() accepts are refused as decimals.
    return number_constant(int(written) if written.isdecimal() and len(written) <= PRECISION else exact)


def common_kind(parts: Sequence[Typed], use: str) -> pl.DataType:
    """Return the type to which several parts are brought, by the rules of PostgreSQL.

    Args:
        parts: The parts; constants without a type take that of the others.
        use: What the parts are for, for the message.

    Returns:
        The type; null if all are NULL.

    Raises:
        Refusal: If the types do not fit each other.
    """
    typed = [part for part in parts if not part.untyped and part.kind != pl.Null]
    if not typed:
        return TEXT if any(part.is_text for part in parts) else pl.Null()
    return reduce(lambda kind, part: _promote(kind, part.kind, use), typed[1:], _plain(typed[0].kind))


def _plain(kind: pl.DataType) -> pl.DataType:
    return TEXT if kind.base_type() in (pl.Categorical, pl.Enum) else kind


def _promote(left: pl.DataType, right: pl.DataType, use: str) -> pl.DataType:
    """Return the type of two types."""
    right = _plain(right)
    if left == right:
        return left
    if left.is_numeric() and right.is_numeric():
        return _promote_numbers(left, right)
    dates = [kind for kind in (left, right) if isinstance(kind, pl.Datetime)]
    if dates and all(isinstance(kind, pl.Datetime | pl.Date) for kind in (left, right)):
        return TIMESTAMPTZ if any(kind.time_zone for kind in dates) else TIMESTAMP
    raise Refusal(
        f"{use}: {name_of(left)} and {name_of(right)} do not fit each other",
        f"Cast one of them, as in CAST(x AS {'TEXT' if TEXT in (left, right) else name_of(left).upper()}).",
    )


def _promote_numbers(left: pl.DataType, right: pl.DataType) -> pl.DataType:
    """Return the type of two types of numbers; that of a decimal and an integer keeps every digit."""
    if left.is_float() or right.is_float():
        return DOUBLE
    scales = [kind.scale or 0 for kind in (left, right) if isinstance(kind, pl.Decimal)]
    if scales:
        return pl.Decimal(PRECISION, max(scales))
    return pl.UInt64() if left == right == pl.UInt64() else pl.Int128() if pl.UInt64() in (left, right) else INTEGER


def utc_kind(kind: pl.DataType) -> pl.DataType:
    """Return the type of timestamps computed from dates or timestamps: of UTC where those have a zone."""
    return TIMESTAMPTZ if isinstance(kind, pl.Datetime) and kind.time_zone else TIMESTAMP
