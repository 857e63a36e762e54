"""Aggregates over the rows of a key, with the results of PostgreSQL.

The arguments of an aggregate are computed for each row; what they give is combined for each record, into a column that
the rest of the expression reads. No result depends on the order of the source's rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from sqlglot import exp

from batchsync.data.sql.arithmetic import calculate
from batchsync.data.sql.casts import TYPES
from batchsync.data.sql.compiler import Compiler
from batchsync.data.sql.nodes import condition
from batchsync.data.sql.reduction import Aggregate, Input, Order, Reduction
from batchsync.data.sql.values import (
    BOOLEAN,
    DOUBLE,
    INTEGER,
    PRECISION,
    TEXT,
    Refusal,
    Scope,
    Typed,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Integer types whose sums fit 64 bits.
_SHORT = frozenset({pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32})
#: A sum of decimals is exact below this part of the greatest decimal; polars wraps beyond it.
_MARGIN = 0.99
#: Beginning of the name of a column of results, and hexadecimal digits that follow it.
_COLUMN = "batchsync:aggregate:"
_DIGEST = 20
#: Characters of a call that a message shows.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class AggregateFunction:
    """An entry of the reference.

    Attributes:
        usage: Call with names for the arguments.
        summary: What it returns.
        is_ours: Whether PostgreSQL has no such function.
        also: Other names.
    """

    usage: str
    summary: str
    is_ours: bool = False
    also: tuple[str, ...] = ()


FUNCTIONS: dict[str, AggregateFunction] = {
    "sum": AggregateFunction(
        "sum(x)", "The sum of numbers; that of 64-bit integers is a decimal. Null if all values are null."
    ),
    "avg": AggregateFunction("avg(x)", "The average of numbers.", also=("mean",)),
    "min": AggregateFunction("min(x)", "The least value. Text compares by code point."),
    "max": AggregateFunction("max(x)", "The greatest value. Text compares by code point."),
    "count": AggregateFunction(
        "count(*), count(x), count(DISTINCT x)", "The number of rows, of values that are not null, of different values."
    ),
    "bool_and": AggregateFunction("bool_and(condition)", "Whether all conditions hold.", also=("every",)),
    "bool_or": AggregateFunction("bool_or(condition)", "Whether any condition holds."),
    "string_agg": AggregateFunction(
        "string_agg([DISTINCT] x, ',' ORDER BY y)",
        "The texts that are not null, joined in the order of y. Equal values of y are ordered by x.",
    ),
    "first": AggregateFunction(
        "first(x ORDER BY y)",
        "The value of the first row in the order of y, also if it is null. Equal values of y are ordered by x.",
        is_ours=True,
    ),
}
_SYNONYMS = {other: name for name, item in FUNCTIONS.items() for other in item.also}


@dataclass(frozen=True, slots=True)
class _Call:
    """The parts of a call.

    Attributes:
        name: Name of the function in lower case.
        written: The call, for messages.
        arguments: The arguments without DISTINCT and ORDER BY.
        order: What stands behind ORDER BY.
        is_distinct: Whether equal values count once.
    """

    name: str
    written: str
    arguments: tuple[exp.Expr, ...]
    order: tuple[exp.Ordered, ...]
    is_distinct: bool


class AggregatingCompiler(Compiler):
    """Compiles expressions that may contain aggregates.

    Attributes:
        found: The aggregates by the names of their columns.
    """

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        """Keep the columns and their types."""
        super().__init__(schema)
        self.found: dict[str, Aggregate] = {}
        self._of_row = Compiler(schema)
        self._handlers[exp.Filter] = (self._filter, frozenset({"this", "expression"}))

    def _call(self, node: exp.Anonymous, scope: Scope) -> Typed:
        name = _name_of(node)
        return self._aggregate(node, None, scope) if name in FUNCTIONS else super()._call(node, scope)

    def _filter(self, node: exp.Filter, scope: Scope) -> Typed:
        """Compile an aggregate with FILTER (WHERE condition)."""
        call, where = node.this, node.expression
        if not (isinstance(call, exp.Anonymous) and _name_of(call) in FUNCTIONS and isinstance(where, exp.Where)):
            raise Refusal("FILTER belongs to an aggregate", "Write sum(x) FILTER (WHERE y = 'A').")
        return self._aggregate(call, where.this, scope)

    def _aggregate(self, node: exp.Anonymous, where: exp.Expr | None, scope: Scope) -> Typed:
        call = _parts_of(node)
        text = node.sql(dialect="postgres") + ("" if where is None else f" WHERE {where.sql(dialect='postgres')}")
        column = _COLUMN + hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
        if call.name == "avg":
            return self._average(node, where, scope)
        builder = _Builder(self._of_row, call, where, column)
        found = self.found.setdefault(column, builder.build())
        return Typed(pl.col(column), found.kind)

    def _average(self, node: exp.Anonymous, where: exp.Expr | None, scope: Scope) -> Typed:
        """Compile an average as the quotient of a sum and a count."""
        total, count = node.copy(), node.copy()
        total.set("this", "sum")
        count.set("this", "count")
        dividend, divisor = (self._aggregate(part, where, scope) for part in (total, count))
        if dividend.is_integer:
            kind = pl.Decimal(PRECISION, 0)
            dividend = Typed(dividend.expr.cast(kind), kind)
        return calculate(scope, "/", dividend, Typed(pl.when(divisor.expr > 0).then(divisor.expr), INTEGER))


class _Builder:
    """Builds one aggregate."""

    def __init__(self, rows: Compiler, call: _Call, where: exp.Expr | None, column: str) -> None:
        """Compile what all functions need: the value, and the rows that count."""
        self._rows, self._call, self._column = rows, call, column
        self._inputs: list[Input] = []
        self._scope = Scope()
        self._where = None if where is None else Typed(condition(rows.compile(where, Scope())), BOOLEAN)
        if where is not None:
            # The arguments are computed in rows that count only.
            self._scope = Scope().within(condition(rows.compile(where, Scope().probing())))

    def build(self) -> Aggregate:
        """Return the aggregate.

        Raises:
            Refusal: If its arguments do not fit.
        """
        call = self._call
        if call.order and call.name not in ("string_agg", "first"):
            raise Refusal(f"{call.written} does not depend on an order", f"Write {call.name}(x).")
        methods: dict[str, Callable[[], Reduction]] = {
            "sum": self._sum,
            "min": self._extreme,
            "max": self._extreme,
            "count": self._count,
            "bool_and": self._all_or_any,
            "bool_or": self._all_or_any,
            "string_agg": self._string_agg,
            "first": self._first,
        }
        reduction = methods[call.name]()
        where = None if self._where is None else self._input(self._where)
        return Aggregate(self._column, call.written, tuple(self._inputs), where, call.is_distinct, reduction)

    def _argument(self, count: int = 1) -> Typed:
        """Compile the first argument, and check how many there are."""
        call = self._call
        if len(call.arguments) != count or isinstance(call.arguments[0], exp.Star):
            raise Refusal(f"{call.written} has other arguments", f"Write {FUNCTIONS[call.name].usage}.")
        value = self._rows.compile(call.arguments[0], self._scope)
        if value.kind.is_nested():
            raise Refusal(f"{call.written} does not take {name_of(value.kind)}", "Name a member or an item of it.")
        return value

    def _input(self, value: Typed, *, is_ordered: bool = False) -> str:
        """Add a value of each row; return the name of its column."""
        column = f"{self._column}:{len(self._inputs)}"
        self._inputs.append(Input(column, value.expr, value.kind, is_ordered and value.is_text))
        return column

    def _require(self, value: Typed, *, fits: bool, wanted: str, cast: str) -> None:
        if not fits and value.kind != pl.Null:
            hint = f"Cast it: {self._call.name}(CAST(x AS {cast}))."
            raise Refusal(f"{self._call.written} takes {wanted}, not {name_of(value.kind)}", hint)

    def _sum(self) -> Reduction:
        value = self._argument()
        self._require(value, fits=value.kind.is_numeric(), wanted="numbers", cast="NUMERIC(12, 2)")
        column = self._input(value)
        if value.kind.is_float():
            # The last digits of a sum of floating-point numbers depend on the order of these.
            order = (Order(column, descending=False, nulls_last=True),)
            return Reduction(pl.col(column).cast(DOUBLE).sum(), DOUBLE, order)
        if value.kind.base_type() in _SHORT or value.kind == pl.Null:
            return Reduction(pl.col(column).cast(INTEGER).sum(), INTEGER)
        kind = pl.Decimal(PRECISION, value.scale)
        limit = _MARGIN * 10.0 ** (PRECISION - value.scale)
        overflow = pl.col(column).cast(DOUBLE).abs().sum() > limit
        return Reduction(pl.col(column).cast(kind).sum(), kind, overflow=overflow)

    def _extreme(self) -> Reduction:
        value = self._argument()
        fits = value.kind.is_numeric() or value.kind.is_temporal() or value.is_text
        self._require(value, fits=fits, wanted="numbers, text or dates", cast="TEXT")
        kind = TEXT if value.is_text else value.kind
        column = self._input(
            Typed(value.expr.cast(kind), kind), is_ordered=not _is_cast_to_text(self._call.arguments[0])
        )
        # In this order NaN is the greatest number, as in PostgreSQL.
        order = (Order(column, descending=False, nulls_last=True),)
        return Reduction(pl.col(column).first() if self._call.name == "min" else pl.col(column).last(), kind, order)

    def _count(self) -> Reduction:
        call = self._call
        if len(call.arguments) == 1 and isinstance(call.arguments[0], exp.Star):
            if call.is_distinct:
                raise Refusal("count(DISTINCT *) is not supported", "Write count(DISTINCT x).")
            value = Typed(pl.lit(value=True), BOOLEAN)
        else:
            value = self._argument()
        column = self._input(value)
        return Reduction(pl.col(column).count(), INTEGER, empty=0)

    def _all_or_any(self) -> Reduction:
        value = self._argument()
        self._require(value, fits=value.kind == BOOLEAN, wanted="conditions", cast="BOOLEAN")
        column = self._input(Typed(condition(value), BOOLEAN))
        return Reduction(pl.col(column).all() if self._call.name == "bool_and" else pl.col(column).any(), BOOLEAN)

    def _string_agg(self) -> Reduction:
        value = self._argument(2)
        self._require(value, fits=value.is_text, wanted="text", cast="TEXT")
        separator = self._call.arguments[1]
        if not (isinstance(separator, exp.Literal) and separator.is_string):
            raise Refusal("string_agg takes a separator in single quotes", "Write string_agg(x, ', ' ORDER BY x).")
        column = self._input(Typed(value.expr.cast(TEXT), TEXT))
        order = self._order_of_distinct(column) if self._call.is_distinct else self._order()
        return Reduction(pl.col(column).str.join(str(separator.this)), TEXT, order)

    def _first(self) -> Reduction:
        if self._call.is_distinct:
            raise Refusal("first does not take DISTINCT", "Write first(x ORDER BY y).")
        value = self._argument()
        column = self._input(value)
        return Reduction(pl.col(column).first(), value.kind, self._order(), keeps_nulls=True)

    def _order_of_distinct(self, column: str) -> tuple[Order, ...]:
        """Return the order of different values; they can only be ordered by themselves."""
        descending = False
        if self._call.order:
            [first, *others] = self._call.order
            if others or first.this != self._call.arguments[0]:
                hint = "Write string_agg(DISTINCT x, ',' ORDER BY x)."
                raise Refusal("with DISTINCT, ORDER BY takes the same expression", hint)
            descending = bool(first.args.get("desc"))
        return (Order(column, descending, nulls_last=True),)

    def _order(self) -> tuple[Order, ...]:
        """Return the order that is written."""
        call = self._call
        if not call.order:
            hint = f"Write {FUNCTIONS[call.name].usage}: the order of the source's rows does not count."
            raise Refusal(f"{call.written} needs ORDER BY", hint)
        found = []
        for item in call.order:
            value = self._rows.compile(item.this, self._scope)
            if value.kind.is_nested():
                raise Refusal(f"ORDER BY does not order {name_of(value.kind)}", "Name a member or an item of it.")
            is_meant = item.this == call.arguments[0] or _is_cast_to_text(item.this)
            column = self._input(value, is_ordered=not is_meant)
            found.append(Order(column, bool(item.args.get("desc")), not item.args.get("nulls_first")))
        return tuple(found)


def _is_cast_to_text(node: exp.Expr) -> bool:
    """Return whether a cast says that the order of text is meant."""
    return isinstance(node, exp.Cast) and TYPES.get(node.args["to"].this.name) == TEXT


def _name_of(node: exp.Anonymous) -> str:
    name = str(node.this).lower()
    return _SYNONYMS.get(name, name)


def _parts_of(node: exp.Anonymous) -> _Call:
    """Take a call apart."""
    written = node.sql(dialect="postgres", normalize_functions="lower")
    nodes = list(node.expressions)
    order: tuple[exp.Ordered, ...] = ()
    if nodes and isinstance(nodes[-1], exp.Order):
        order = tuple(nodes[-1].expressions)
        nodes[-1] = nodes[-1].this
    is_distinct = len(nodes) == 1 and isinstance(nodes[0], exp.Distinct)
    if is_distinct:
        if nodes[0].args.get("on") is not None:
            raise Refusal("DISTINCT ON is not supported", "Write DISTINCT x.")
        nodes = list(nodes[0].expressions)
    shown = written if len(written) <= _SHOWN else f"{str(node.this).lower()}(...)"
    return _Call(_name_of(node), shown, tuple(nodes), order, is_distinct)
