"""A joined column is looked up many-to-one: no source row is lost, doubled or moved by a join.

It does not know where the rows come from. The joined file is held in memory; it is a lookup table.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from lading.data.names import ROW
from lading.data.read import frames, open_join
from lading.data.words import closest
from lading.errors import SourceError

if TYPE_CHECKING:
    from lading.core.job import Join, Source


#: Spellings that a text hardly has: 1.0 is written 1 by most, and 1.50 stands for 1.5.
_OWN = frozenset({"float", "decimal"})


@dataclass(frozen=True, slots=True)
class Lookup:
    """A loaded join: the left columns, the table, and the names of its key columns in the same order."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    table: pl.DataFrame


def joined_schema(source: Source, schema: dict[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the columns of a source with those of its joins behind them.

    Raises:
        SourceError: when a column to join on is missing or has a type that cannot be equal to the other's, or when a
            joined column has the name of one that is there.
    """
    found = dict(schema)
    for join in source.joins:
        other = open_join(source, join).schema
        _columns_exist(join, found, other)
        keys = {right for _, right in join.on}
        doubled = [one for one in other if one not in keys and one in found]
        if doubled:
            message = f"{join.place}: {join.path} brings columns that are already there: {', '.join(doubled[:5])}"
            raise SourceError(message, hint="Rename the columns in one of the files.")
        found |= {name: kind for name, kind in other.items() if name not in keys}
        found |= {right: other[right] for left, right in join.on if right not in found}
    return found


def _columns_exist(join: Join, left: dict[str, pl.DataType], right: dict[str, pl.DataType]) -> None:
    """Refuse a join on columns that are not there, or whose types cannot be equal."""
    for one, other in join.on:
        for name, columns, where in ((one, left, "the source"), (other, right, join.path)):
            if name not in columns:
                raise SourceError(f"{join.place}: {where} has no column {name!r}", hint=closest(name, tuple(columns)))
        if not _comparable(left[one], right[other]):
            kinds = f"{one!r} is {left[one]} in the source and {other!r} is {right[other]} in {join.path}"
            hint = "Write both as text or as whole numbers; whole numbers with a gap are often exported as 1.0."
            raise SourceError(f"{join.place}: {kinds}, so that no row could match", hint=hint)


def _comparable(one: pl.DataType, other: pl.DataType) -> bool:
    """Whether equal values of two types are written with the same text, which is what a join compares."""
    if one.is_nested() or other.is_nested():
        return False
    first, second = _spelling(one), _spelling(other)
    return first == second or None in (first, second) or ("text" in (first, second) and not {first, second} & _OWN)


def _spelling(kind: pl.DataType) -> str | None:
    """Return how values of a type are written; None for a column without values."""
    if kind == pl.Null:
        return None
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    if kind.is_float():
        return "float"
    if isinstance(kind, pl.Decimal):
        return "decimal" if kind.scale else "whole"
    return "whole" if kind.is_integer() else str(kind)


def load(source: Source, work: Path) -> tuple[Lookup, ...]:
    """Read the joined files into memory.

    Raises:
        SourceError: when a key stands twice in a joined file.
    """
    loaded = []
    for join in source.joins:
        given = open_join(source, join)
        with tempfile.TemporaryDirectory(dir=work) as folder:
            parts = list(frames(given, Path(folder), fresh=True))
        table = pl.concat(parts) if parts else pl.DataFrame(schema={ROW: pl.Int64, **given.schema})
        keys = [right for _, right in join.on]
        copies = tuple(f"lading:on{index}" for index in range(len(keys)))
        table = table.filter(~pl.any_horizontal(pl.col(keys).is_null()))
        as_text = [pl.col(one).cast(pl.String).alias(copy) for one, copy in zip(keys, copies, strict=True)]
        table = table.with_columns(as_text)
        doubled = table.filter(table.select(copies).is_duplicated())
        if doubled.height:
            rows = ", ".join(str(one) for one in doubled[ROW].head(5).to_list())
            message = f"{join.place}: {join.path} has the same {' and '.join(keys)} in more than one row (rows {rows})"
            raise SourceError(message, hint="A joined file needs one row per key; make it unique or drop a row.")
        loaded.append(Lookup(tuple(left for left, _ in join.on), copies, table.drop(ROW)))
    return tuple(loaded)


def join_all(frame: pl.DataFrame, lookups: tuple[Lookup, ...]) -> pl.DataFrame:
    """Return the frame with the columns of every lookup; rows and their order are those of the frame."""
    for one in lookups:
        right = one.table.drop([name for name in one.table.columns if name in frame.columns])
        left_on = [pl.col(name).cast(pl.String) for name in one.left]
        frame = frame.join(right, left_on=left_on, right_on=list(one.right), how="left", maintain_order="left")
        frame = frame.drop([name for name in one.right if name in frame.columns])
    return frame
