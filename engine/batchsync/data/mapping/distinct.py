"""Two members that must not say the same, compared row by row whatever they are made of.

It does not know why they must differ; the vendor's record schema says that they must.
"""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.shapes import Constant, Items, Members, Shape, Value

if TYPE_CHECKING:
    from collections.abc import Iterable


def same(one: Shape | None, other: Shape | None) -> pl.Expr | bool:
    """Return whether two shapes hold the same in a row: the same members or items in the same order, equal as text.

    What is absent is equal to nothing. Lists of as many items as the source has rows are never compared.
    """
    match one, other:
        case Members(), Members():
            mine, its = dict(one.pairs), dict(other.pairs)
            return mine.keys() == its.keys() and _all(same(mine[name], its[name]) for name in mine)
        case Items(), Items():
            shapes = zip(one.shapes, other.shapes, strict=False)
            return len(one.shapes) == len(other.shapes) and _all(same(a, b) for a, b in shapes)
        case ((Value() | Constant()), (Value() | Constant())):
            return (_text(one) == _text(other)).fill_null(value=False)
        case _:
            return False


def _all(tests: Iterable[pl.Expr | bool]) -> pl.Expr | bool:
    """Return whether all tests hold, and there are some."""
    every = list(tests)
    asked = [one for one in every if isinstance(one, pl.Expr)]
    if not asked or not all(one is not False for one in every):
        return False
    return reduce(and_, asked)


def _text(shape: Value | Constant) -> pl.Expr:
    """Return a leaf as text."""
    return pl.lit(shape.text) if isinstance(shape, Constant) else pl.col(names.leaf(shape.leaf.index)).cast(pl.String)
