"""A `record:` mapping compiled against a source and a record schema: a tree of shapes over numbered leaves.

It does not evaluate anything. Problems are collected, not raised, so that a person sees all of them at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import polars as pl

from lading.core.mapping import Array, Each, Expression, Literal, Node, Object
from lading.core.record_schema import Format, Kind, Rule
from lading.data.expressions import parse, problem
from lading.errors import Problem, SpecError

#: The rule of a value that no schema speaks of: it keeps its own type.
FREE = Rule(kind=Kind.SCALAR)
#: What a literal must be in Python for a kind.
_LITERALS: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One expression of the record: where it stands, and the rule that its value must keep."""

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
    """The same value in each record: as JSON, and as plain text for CSV."""

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
class Items:
    """A list with a fixed number of places."""

    path: str
    shapes: tuple[Shape, ...]
    rule: Rule


@dataclass(frozen=True, slots=True)
class Repeated:
    """A list with one item for each source row of the record."""

    path: str
    index: int
    item: Shape
    rule: Rule


Shape = Value | Constant | Members | Items | Repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A compiled mapping."""

    root: Members
    leaves: tuple[Leaf, ...]
    repeats: tuple[Repeated, ...]


@dataclass(slots=True)
class Compiler:
    """Collects leaves, repeats and problems while it walks a mapping."""

    schema: dict[str, pl.DataType]
    leaves: list[Leaf] = field(default_factory=list)
    repeats: list[Repeated] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    repeat: int | None = None

    def shape(self, node: Node, rule: Rule, path: str) -> Shape:
        """Return the shape of one node."""
        match node:
            case Expression():
                return self._leaf(node, rule, path)
            case Literal():
                return self._constant(node, rule, path)
            case Object():
                pairs = tuple(
                    (name, self.shape(one, member(rule, name), _dot(path, name))) for name, one in node.members
                )
                return Members(path, pairs, rule)
            case Array(items=(Each() as each,)):
                return self._repeated(each, rule, path)
            case Array():
                inner = rule.items or FREE
                return Items(
                    path, tuple(self.shape(one, inner, f"{path}[{i}]") for i, one in enumerate(node.items)), rule
                )
            case Each():
                self.problems.append(
                    problem("each_outside_list", f"{path}: each: is the only item of a list", node.place)
                )
                return Constant(path, "null", "", rule)

    def _leaf(self, node: Expression, rule: Rule, path: str) -> Shape:
        """Return a leaf, or a placeholder where the expression is wrong."""
        parsed = parse(node, self.schema)
        if isinstance(parsed, Problem):
            self.problems.append(parsed)
            return Constant(path, "null", "", rule)
        expr, kind = parsed
        if not fits(kind, rule.kind):
            message = f"{path} must be {rule.kind.value}, and {node.sql!r} gives {str(kind).lower()}"
            self.problems.append(problem("expression_kind", message, node.place, _kind_hint(rule.kind)))
        leaf = Leaf(len(self.leaves), path, expr, kind, rule, self.repeat)
        self.leaves.append(leaf)
        return Value(leaf)

    def _constant(self, node: Literal, rule: Rule, path: str) -> Constant:
        """Return a literal in the kind that the rule wants."""
        value = node.value
        text = value if isinstance(value, str) else json.dumps(value)
        if rule.kind is Kind.STRING and not isinstance(value, str):
            value = text
        wanted = _LITERALS.get(rule.kind)
        wrong_bool = isinstance(value, bool) and rule.kind in (Kind.INTEGER, Kind.NUMBER)
        if (wanted and not isinstance(value, wanted)) or wrong_bool or rule.kind in (Kind.OBJECT, Kind.ARRAY):
            message = f"{path} must be {rule.kind.value}, and the literal is {type(value).__name__}"
            self.problems.append(problem("literal_kind", message, node.place, "Begin with = for an expression."))
        return Constant(path, json.dumps(value, ensure_ascii=False), text, rule)

    def _repeated(self, node: Each, rule: Rule, path: str) -> Shape:
        """Return the list of an `each:`."""
        if self.repeat is not None:
            self.problems.append(problem("each_in_each", f"{path}: an each: may not stand inside another", node.place))
            return Constant(path, "null", "", rule)
        index = len(self.repeats)
        self.repeat = index
        item = self.shape(node.item, rule.items or FREE, f"{path}[]")
        self.repeat = None
        found = Repeated(path, index, item, rule)
        self.repeats.append(found)
        return found


def member(rule: Rule, name: str) -> Rule:
    """Return the rule of a member: named, else that of extension attributes, else none."""
    found = rule.field(name)
    if found is not None:
        return found
    return Rule(kind=rule.extra.kind) if rule.extra else FREE


def fits(kind: pl.DataType, wanted: Kind) -> bool:
    """Whether a result of this type can ever be brought to the wanted kind."""
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


def _dot(path: str, name: str) -> str:
    """Return the path of a member."""
    return f"{path}.{name}" if path else name


def compile_record(record: Object, rule: Rule | None, schema: dict[str, pl.DataType]) -> tuple[Record, list[Problem]]:
    """Return the compiled mapping and everything that is wrong with it."""
    compiler = Compiler(schema)
    root = compiler.shape(record, rule or Rule(kind=Kind.OBJECT), "")
    if not isinstance(root, Members):
        raise SpecError((problem("record", "a record is an object", record.place),))
    return Record(root=root, leaves=tuple(compiler.leaves), repeats=tuple(compiler.repeats)), compiler.problems


def date_format(rule: Rule, *, day: bool) -> str:
    """Return how a moment is written for a rule; a day without a rule stays a day."""
    if rule.format in (Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES):
        return "%Y-%m-%dT%H:%MZ"
    if day and rule.format is not Format.DATETIME:
        return "%Y-%m-%d"
    return "%Y-%m-%dT%H:%M:%S%.3fZ"
