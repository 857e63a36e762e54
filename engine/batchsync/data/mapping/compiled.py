"""Compile a `record:` mapping against a source and a record schema.

Problems are collected instead of raised, so that all of them are reported at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Array, Each, Expression, Literal, Node, Object
from batchsync.core.record_schema import Format, Kind, Rule
from batchsync.data.mapping.expressions import parse, problem
from batchsync.data.mapping.literals import mistaken_literal
from batchsync.data.mapping.shapes import (
    Combined,
    Constant,
    FixedList,
    Leaf,
    ListValue,
    Members,
    Record,
    RepeatedList,
    Shape,
    Value,
)
from batchsync.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsync.data.sql.reduction import Aggregate

#: Rule of a value that is not in the record schema: it keeps its own type.
FREE = Rule(kind=Kind.SCALAR)
#: Python types of the literals of a kind.
_LITERALS: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
}


@dataclass(slots=True)
class Compiler:
    """Walks a mapping and collects leaves, repeated lists, aggregates and problems.

    `names` are the columns that a literal must not name; literals that were probably meant as expressions are collected
    apart, to be reported last.
    """

    schema: dict[str, pl.DataType]
    names: Collection[str]
    leaves: list[Leaf] = field(default_factory=list)
    repeats: list[RepeatedList] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    literals: list[Problem] = field(default_factory=list)
    aggregates: dict[str, Combined] = field(default_factory=dict)
    combines: bool = True
    repeat: int | None = None
    unsent: int = 0

    def shape(self, node: Node, rule: Rule, path: str) -> Shape:
        """Compile a node.

        Args:
            node: The node of the mapping.
            rule: Rule of its value.
            path: Path of the member, for messages.

        Returns:
            The shape; a constant null where the node has a problem.
        """
        rule = FREE if rule.kind is Kind.ANY else rule
        match node:
            case Expression():
                return self._leaf(node, rule, path)
            case Literal():
                return self._constant(node, rule, path)
            case Object():
                pairs = tuple(
                    (name, self.shape(item, member(rule, name), f"{path}.{name}" if path else name))
                    for name, item in node.members
                )
                return Members(path, pairs, rule)
            case Array(items=(Each() as each,)):
                return self._repeated(each, rule, path)
            case Array():
                inner = rule.items or FREE
                items = [(item, f"{path}[{number}]") for number, item in enumerate(node.items)]
                return FixedList(path, tuple(self._item(item, inner, here) for item, here in items), rule)
            case Each():
                self.problems.append(
                    problem("each_outside_list", f"{path}: each: must be the only item of a list", node.place)
                )
                return Constant(path, "null", "", rule)

    def _item(self, node: Node, rule: Rule, path: str) -> Shape:
        """Compile an item of a list, which may be an expression whose values are lists."""
        shape = (
            self.shape(node, rule, path)
            if not isinstance(node, Expression)
            else self._leaf(node, rule, path, in_list=True)
        )
        is_list = isinstance(shape, Value) and item_type(shape.leaf.kind) is not None
        return ListValue(shape.leaf) if isinstance(shape, Value) and is_list else shape

    def _leaf(self, node: Expression, rule: Rule, path: str, *, in_list: bool = False) -> Shape:
        """Compile an expression; a constant null if it has a problem. In a list its values may be lists."""
        parsed = parse(node, self.schema, aggregates=self.combines and self.repeat is None)
        if isinstance(parsed, Problem):
            self.problems.append(parsed)
            return Constant(path, "null", "", rule)
        expr, kind = parsed.expr, parsed.kind
        for aggregate in parsed.aggregates:
            self._combine(aggregate, path)
        items = item_type(kind)
        if not is_convertible(items if items is not None and in_list else kind, rule.kind):
            message = f"{path} must be {rule.kind.value}, and {node.sql!r} gives {str(kind).lower()}"
            hint = _kind_hint(rule.kind) if items is None or in_list else "Write a list into a list: [=column]."
            self.problems.append(problem("expression_kind", message, node.place, hint))
        leaf = Leaf(len(self.leaves), path, expr, kind, rule, self.repeat)
        self.leaves.append(leaf)
        return Value(leaf)

    def _constant(self, node: Literal, rule: Rule, path: str) -> Constant:
        """Compile a literal to the kind of the rule."""
        value = node.value
        if (mistaken := mistaken_literal(node, path, self.names)) is not None:
            self.literals.append(mistaken)
        text = value if isinstance(value, str) else json.dumps(value)
        if rule.kind is Kind.STRING and not isinstance(value, str):
            value = text
        python_types = _LITERALS.get(rule.kind)
        wrong_bool = isinstance(value, bool) and rule.kind in (Kind.INTEGER, Kind.NUMBER)
        if (
            (python_types and not isinstance(value, python_types))
            or wrong_bool
            or rule.kind in (Kind.OBJECT, Kind.ARRAY)
        ):
            message = f"{path} must be {rule.kind.value}, and the literal is {type(value).__name__}"
            self.problems.append(problem("literal_kind", message, node.place, "Begin with = for an expression."))
        return Constant(path, json.dumps(value, ensure_ascii=False), text, rule)

    def _repeated(self, node: Each, rule: Rule, path: str) -> Shape:
        """Compile the list of an `each:`."""
        if self.repeat is not None:
            self.problems.append(
                problem("each_in_each", f"{path}: each: cannot be nested in another each:", node.place)
            )
            return Constant(path, "null", "", rule)
        index = len(self.repeats)
        self.repeat = index
        item = self.shape(node.item, rule.items or FREE, f"{path}[]")
        self.repeat = None
        order = tuple(self._order(expression, path, index) for expression in node.order)
        repeated = RepeatedList(path, index, item, rule, tuple(leaf for leaf in order if leaf is not None))
        self.repeats.append(repeated)
        return repeated

    def _order(self, node: Expression, path: str, repeat: int) -> Leaf | None:
        """Compile an expression of `order_by`; None if it has a problem."""
        parsed = parse(node, self.schema)
        if isinstance(parsed, Problem):
            self.problems.append(parsed)
            return None
        kind = parsed.kind
        if not is_convertible(kind, Kind.STRING):
            message = f"{path}: values of order_by {node.sql!r} have no order"
            self.problems.append(problem("unordered", message, node.place, "Use strings, numbers or dates."))
        return self._unsent(path, parsed.expr, kind, repeat)

    def _combine(self, aggregate: Aggregate, path: str) -> None:
        """Add an aggregate, once."""
        if aggregate.column not in self.aggregates:
            inputs = tuple(self._unsent(path, item.expr, item.kind, 0) for item in aggregate.inputs)
            self.aggregates[aggregate.column] = Combined(aggregate, path, inputs)

    def _unsent(self, path: str, expr: pl.Expr, kind: pl.DataType, repeat: int) -> Leaf:
        """Return a leaf that is computed for each source row and is in no record."""
        self.unsent += 1
        return Leaf(-self.unsent, path, expr, kind, FREE, repeat)


def member(rule: Rule, name: str) -> Rule:
    """Return the rule of a member: the named rule, else that of extension attributes, else `FREE`."""
    named = rule.field(name)
    if named is not None:
        return named
    return rule.extra.rule(name) if rule.extra else FREE


def item_type(kind: pl.DataType) -> pl.DataType | None:
    """Return the type of the items of a list type; None for other types."""
    if isinstance(kind, pl.List | pl.Array):
        return kind.inner if isinstance(kind.inner, pl.DataType) else kind.inner()
    return None


def is_convertible(kind: pl.DataType, wanted: Kind) -> bool:
    """Return whether values of a type can be coerced to the wanted kind."""
    if kind == pl.Null:
        return True
    if kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration) or wanted in (Kind.OBJECT, Kind.ARRAY):
        return False
    if wanted in (Kind.STRING, Kind.SCALAR):
        return True
    if wanted is Kind.BOOLEAN:
        return kind in (pl.Boolean, pl.String) or kind.is_integer()
    return kind == pl.String or kind.is_numeric()


def _kind_hint(wanted: Kind) -> str:
    """Return what to write instead."""
    if wanted in (Kind.OBJECT, Kind.ARRAY):
        return "Write an object or a list in the record, with expressions inside."
    if wanted is Kind.BOOLEAN:
        return "Write a condition, as in CASE WHEN ... THEN TRUE ELSE FALSE END."
    return "Cast it: TRY_CAST(... AS DOUBLE)."


def compile_record(
    record: Object,
    rule: Rule | None,
    schema: dict[str, pl.DataType],
    names: Collection[str] = (),
    *,
    combines: bool = True,
) -> tuple[Record, list[Problem]]:
    """Compile a mapping.

    Args:
        record: The mapping.
        rule: Rule of the whole record; None without a record schema.
        schema: Columns that expressions may use.
        names: Columns that a literal must not name, unless it is explicit.
        combines: Whether expressions may combine the rows of a key.

    Returns:
        The compiled mapping and its problems.

    Raises:
        SpecError: If the record is not an object.
    """
    compiler = Compiler(schema, names, combines=combines)
    root = compiler.shape(record, rule or Rule(kind=Kind.OBJECT), "")
    if not isinstance(root, Members):
        raise SpecError((problem("record", "a record must be an object", record.place),))
    compiled = Record(
        root=root,
        leaves=tuple(compiler.leaves),
        repeats=tuple(compiler.repeats),
        aggregates=tuple(compiler.aggregates.values()),
    )
    return compiled, [*compiler.problems, *compiler.literals]


def date_format(rule: Rule, *, day: bool) -> str:
    """Return the strftime format of a timestamp or date for a rule; a date without a rule stays a date."""
    if rule.format in (Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES):
        return "%Y-%m-%dT%H:%MZ"
    if day and rule.format is not Format.DATETIME:
        return "%Y-%m-%d"
    return "%Y-%m-%dT%H:%M:%S%.3fZ"
