"""A `record:` mapping compiled against a source and a record schema: a tree of shapes over numbered leaves.

Problems are collected instead of raised, so that all of them are reported at once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Array, Each, Expression, Literal, Node, Object
from batchsync.core.record_schema import Format, Kind, Rule
from batchsync.data.frame import columns
from batchsync.data.mapping.expressions import needs_no_quotes, parse, problem, quote_name
from batchsync.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Collection

#: Rule of a value that is not in the record schema: it keeps its own type.
FREE = Rule(kind=Kind.SCALAR)
_IS_QUOTED = re.compile(r'".*"', re.DOTALL)
#: Python types of the literals of a kind.
_LITERALS: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One expression of the record.

    Attributes:
        index: Number of the leaf, which names its column (`leaf_column`).
        path: Path of the member, for messages.
        expr: The expression.
        kind: Type of its result.
        rule: Rule of the value.
        repeat: Index of the `each:` list that it is in, if any.
    """

    index: int
    path: str
    expr: pl.Expr
    kind: pl.DataType
    rule: Rule
    repeat: int | None


@dataclass(frozen=True, slots=True)
class Value:
    """A leaf as a member or item."""

    leaf: Leaf


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in each record, as JSON, and as text for CSV."""

    path: str
    json: str
    text: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Members:
    """An object."""

    path: str
    pairs: tuple[tuple[str, Shape], ...]
    rule: Rule


@dataclass(frozen=True, slots=True)
class FixedList:
    """A list with a fixed number of items."""

    path: str
    shapes: tuple[Shape, ...]
    rule: Rule


@dataclass(frozen=True, slots=True)
class RepeatedList:
    """A list with one item per source row of the record (`each:`)."""

    path: str
    index: int
    item: Shape
    rule: Rule


Shape = Value | Constant | Members | FixedList | RepeatedList


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A compiled mapping."""

    root: Members
    leaves: tuple[Leaf, ...]
    repeats: tuple[RepeatedList, ...]


@dataclass(slots=True)
class Compiler:
    """Walks a mapping and collects leaves, repeated lists and problems.

    `names` are the columns that a literal must not name; such literals are collected apart, to be reported last.
    """

    schema: dict[str, pl.DataType]
    names: Collection[str]
    leaves: list[Leaf] = field(default_factory=list)
    repeats: list[RepeatedList] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    literals: list[Problem] = field(default_factory=list)
    repeat: int | None = None

    def shape(self, node: Node, rule: Rule, path: str) -> Shape:
        """Compile a node.

        Args:
            node: The node of the mapping.
            rule: Rule of its value.
            path: Path of the member, for messages.

        Returns:
            The shape; a constant null where the node has a problem.
        """
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
                return FixedList(
                    path, tuple(self.shape(item, inner, f"{path}[{i}]") for i, item in enumerate(node.items)), rule
                )
            case Each():
                self.problems.append(
                    problem("each_outside_list", f"{path}: each: must be the only item of a list", node.place)
                )
                return Constant(path, "null", "", rule)

    def _leaf(self, node: Expression, rule: Rule, path: str) -> Shape:
        """Compile an expression; a constant null if it has a problem."""
        parsed = parse(node, self.schema)
        if isinstance(parsed, Problem):
            self.problems.append(parsed)
            return Constant(path, "null", "", rule)
        expr, kind = parsed
        if not is_convertible(kind, rule.kind):
            message = f"{path} must be {rule.kind.value}, and {node.sql!r} gives {str(kind).lower()}"
            self.problems.append(problem("expression_kind", message, node.place, _kind_hint(rule.kind)))
        leaf = Leaf(len(self.leaves), path, expr, kind, rule, self.repeat)
        self.leaves.append(leaf)
        return Value(leaf)

    def _constant(self, node: Literal, rule: Rule, path: str) -> Constant:
        """Compile a literal to the kind of the rule."""
        value = node.value
        if isinstance(value, str) and not node.explicit:
            # A literal that is the name of a column, perhaps in double quotes: a leading `=` was probably forgotten.
            unquoted = value[1:-1].replace('""', '"') if _IS_QUOTED.fullmatch(value) else value
            column = next((name for name in (value, unquoted) if name in self.names), None)
            if column is not None:
                self.literals.append(_named_column(node, path, column))
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
        repeated = RepeatedList(path, index, item, rule)
        self.repeats.append(repeated)
        return repeated


def _named_column(literal: Literal, path: str, column: str) -> Problem:
    """Return the problem of a literal that is the name of a column."""
    name = column if needs_no_quotes(column) else quote_name(column)
    message = f"{path}: {literal.value!r} is the name of a column, but is written as a constant string"
    hint = f"Write ={name} for the value of the column, or == {literal.value} for the string."
    return problem("literal_names_column", message, literal.place, hint)


def member(rule: Rule, name: str) -> Rule:
    """Return the rule of a member: the named rule, else that of extension attributes, else `FREE`."""
    named = rule.field(name)
    if named is not None:
        return named
    return Rule(kind=rule.extra.kind) if rule.extra else FREE


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
    record: Object, rule: Rule | None, schema: dict[str, pl.DataType], names: Collection[str] = ()
) -> tuple[Record, list[Problem]]:
    """Compile a mapping.

    Args:
        record: The mapping.
        rule: Rule of the whole record; None without a record schema.
        schema: Columns that expressions may use.
        names: Columns that a literal must not name, unless it is explicit.

    Returns:
        The compiled mapping and its problems.

    Raises:
        SpecError: If the record is not an object.
    """
    compiler = Compiler(schema, names)
    root = compiler.shape(record, rule or Rule(kind=Kind.OBJECT), "")
    if not isinstance(root, Members):
        raise SpecError((problem("record", "a record must be an object", record.place),))
    compiled = Record(root=root, leaves=tuple(compiler.leaves), repeats=tuple(compiler.repeats))
    return compiled, [*compiler.problems, *compiler.literals]


def date_format(rule: Rule, *, day: bool) -> str:
    """Return the strftime format of a timestamp or date for a rule; a date without a rule stays a date."""
    if rule.format in (Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES):
        return "%Y-%m-%dT%H:%MZ"
    if day and rule.format is not Format.DATETIME:
        return "%Y-%m-%d"
    return "%Y-%m-%dT%H:%M:%S%.3fZ"


def presence(shape: Shape) -> pl.Expr | bool:
    """Return whether a shape has a value in a row; a constant where that is known beforehand."""
    match shape:
        case Constant():
            return True
        case Value(leaf):
            return pl.col(columns.leaf_column(leaf.index)).is_not_null()
        case RepeatedList():
            return pl.col(columns.count_column(shape.index)) > 0
        case Members():
            parts = [presence(item) for _, item in shape.pairs]
        case FixedList():
            parts = [presence(item) for item in shape.shapes]
    if any(part is True for part in parts):
        return True
    exprs = [part for part in parts if isinstance(part, pl.Expr)]
    return reduce(or_, exprs) if exprs else False
