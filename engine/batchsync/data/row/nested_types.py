"""Inspection of nested polars types, limited to 100 levels.

A column of 500 nested lists with one row takes polars half a minute and gigabytes, and its Python side recurses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from polars.datatypes import DataTypeClass

#: Maximum number of nested lists and objects.
LEVELS_MAX = 100


def inner_types(kind: pl.DataType) -> list[pl.DataType]:
    """Return the inner types of a nested type in the order in which Parquet stores them; none for a flat type."""
    found: list[DataTypeClass | pl.DataType] = []
    match kind:
        case pl.Struct():
            found += [field.dtype for field in kind.fields]
        case pl.Map():
            found += [kind.key, kind.value]
        case pl.List() | pl.Array():
            found.append(kind.inner)
        case _:
            pass
    return [dtype if isinstance(dtype, pl.DataType) else dtype() for dtype in found]


def is_too_deep(kind: pl.DataType) -> bool:
    """Return whether a type has more than `LEVELS_MAX` levels. Does not recurse."""
    inner, levels = inner_types(kind), 0
    while inner and levels <= LEVELS_MAX:
        inner = [dtype for outer in inner for dtype in inner_types(outer)]
        levels += 1
    return levels > LEVELS_MAX


def has_duplicate_fields(kind: pl.DataType) -> bool:
    """Return whether a struct in a type has two fields of the same name, which no frame allows. Recurses."""
    names = [field.name for field in kind.fields] if isinstance(kind, pl.Struct) else []
    return len(set(names)) < len(names) or any(map(has_duplicate_fields, inner_types(kind)))
