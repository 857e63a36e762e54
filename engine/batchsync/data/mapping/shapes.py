"""A compiled mapping: a tree of shapes over numbered leaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns

if TYPE_CHECKING:
    from batchsync.core.record_schema import Rule
    from batchsync.data.sql.reduction import Aggregate


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

    @property
    def columns(self) -> list[str]:
        """The columns of the source that the value of a row depends on, without those of aggregates."""
        return [name for name in self.expr.meta.root_names() if not name.startswith(columns.PREFIX)]


@dataclass(frozen=True, slots=True)
class Combined:
    """An aggregate over the rows of a record.

    Attributes:
        aggregate: The aggregate.
        path: Path of the first member that it is used in, for messages.
        inputs: What it needs of each row: leaves with a negative index, which are in no record.
    """

    aggregate: Aggregate
    path: str
    inputs: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A leaf as a member or item."""

    leaf: Leaf


@dataclass(frozen=True, slots=True)
class ListValue:
    """A leaf whose values are lists, as part of a list: each gives as many items as it has."""

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
    """A list with a fixed number of items, and the items of values that are lists."""

    path: str
    shapes: tuple[Shape, ...]
    rule: Rule


@dataclass(frozen=True, slots=True)
class RepeatedList:
    """A list with one item per source row of the record (`each:`).

    `order` are the values that the items are ordered by: leaves with a negative index, which are in no record.
    """

    path: str
    index: int
    item: Shape
    rule: Rule
    order: tuple[Leaf, ...] = ()

    @property
    def order_columns(self) -> list[pl.Expr]:
        """The columns that the items are ordered by; none if they are in source order."""
        return [pl.col(columns.leaf_column(leaf.index)) for leaf in self.order]


Shape = Value | ListValue | Constant | Members | FixedList | RepeatedList


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A compiled mapping.

    Attributes:
        root: The record.
        leaves: Its expressions.
        repeats: Its lists with an item per source row.
        aggregates: What its expressions combine over the source rows of a record.
    """

    root: Members
    leaves: tuple[Leaf, ...]
    repeats: tuple[RepeatedList, ...]
    aggregates: tuple[Combined, ...] = ()

    @property
    def grouped(self) -> bool:
        """Whether several source rows make one record."""
        return bool(self.repeats or self.aggregates)

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the source that the record depends on."""
        order = [leaf for repeat in self.repeats for leaf in repeat.order]
        inputs = [leaf for combined in self.aggregates for leaf in combined.inputs]
        return frozenset(name for leaf in (*self.leaves, *order, *inputs) for name in leaf.columns)


def presence(shape: Shape) -> pl.Expr | bool:
    """Return whether a shape has a value in a row; a constant where that is known beforehand."""
    match shape:
        case Constant():
            return True
        case Value(leaf) | ListValue(leaf):
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
