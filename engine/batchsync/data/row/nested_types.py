"""Walk through nested types, of which more than a hundred levels are refused.

A column of 500 lists within each other, of one row, takes the columnar library half a minute and gigabytes, and its
Python side recurses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from polars.datatypes import DataTypeClass

#: Lists and objects within each other that are read.
LEVELS_MAX = 100


def inner_types(kind: pl.DataType) -> list[pl.DataType]:
    """Return the types within a nested type, in the order in which Parquet stores them; none for a plain one."""
    found: list[DataTypeClass | pl.DataType] = []
    match kind:
        case pl.Struct():
            found += [one.dtype for one in kind.fields]
        case pl.Map():
            found += [kind.key, kind.value]
        case pl.List() | pl.Array():
            found.append(kind.inner)
        case _:
            pass
    return [one if isinstance(one, pl.DataType) else one() for one in found]


def is_too_deep(kind: pl.DataType) -> bool:
    """Whether a type has more levels than are read. Does not recurse."""
    within, levels = inner_types(kind), 0
    while within and levels <= LEVELS_MAX:
        within = [one for outer in within for one in inner_types(outer)]
        levels += 1
    return levels > LEVELS_MAX


def repeats_a_name(kind: pl.DataType) -> bool:
    """Whether an object within a type has two members of one name; no frame can hold it. The type is not too deep."""
    names = [one.name for one in kind.fields] if isinstance(kind, pl.Struct) else []
    return len(set(names)) < len(names) or any(map(repeats_a_name, inner_types(kind)))
