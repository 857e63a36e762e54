"""Row-wise equality of two members, for record schemas that require them to differ."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns
from batchsync.data.mapping.shapes import Constant, FixedList, Members, Shape, Value

if TYPE_CHECKING:
    from collections.abc import Iterable


def is_same(first: Shape | None, second: Shape | None) -> pl.Expr | bool:
    """Return whether two shapes hold equal values in a row: equal members or items in the same order, compared as text.

    Null equals nothing. Lists of `each:` are never compared.

    Args:
        first: Shape of a member, if the record has it.
        second: Shape of another member, if the record has it.

    Returns:
        A boolean expression; False if the shapes are never equal.
    """
    match first, second:
        case Members(), Members():
            first_members, second_members = dict(first.pairs), dict(second.pairs)
            return first_members.keys() == second_members.keys() and _all(
                is_same(first_members[name], second_members[name]) for name in first_members
            )
        case FixedList(), FixedList():
            shapes = zip(first.shapes, second.shapes, strict=False)
            return len(first.shapes) == len(second.shapes) and _all(is_same(a, b) for a, b in shapes)
        case ((Value() | Constant()), (Value() | Constant())):
            return (_text(first) == _text(second)).fill_null(value=False)
        case _:
            return False


def _all(tests: Iterable[pl.Expr | bool]) -> pl.Expr | bool:
    """Return whether all tests hold; False if there are none."""
    results = list(tests)
    exprs = [item for item in results if isinstance(item, pl.Expr)]
    if not exprs or not all(item is not False for item in results):
        return False
    return reduce(and_, exprs)


def _text(shape: Value | Constant) -> pl.Expr:
    """Return a leaf as text."""
    return (
        pl.lit(shape.text)
        if isinstance(shape, Constant)
        else pl.col(columns.leaf_column(shape.leaf.index)).cast(pl.String)
    )
