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


@dataclass(frozen=True, slots=True)
class Lookup:
    """A loaded join: the left columns, the table, and the names of its key columns in the same order."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    table: pl.DataFrame


def joined_schema(source: Source, schema: dict[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the columns of a source with those of its joins behind them.

    Raises:
        SourceError: when a column to join on is missing, or a joined column has the name of one that is there.
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
        table = table.with_columns(pl.col(keys).cast(pl.String)).filter(~pl.any_horizontal(pl.col(keys).is_null()))
        doubled = table.filter(table.select(keys).is_duplicated())
        if doubled.height:
            rows = ", ".join(str(one) for one in doubled[ROW].head(5).to_list())
            message = f"{join.place}: {join.path} has the same {' and '.join(keys)} in more than one row (rows {rows})"
            raise SourceError(message, hint="A joined file needs one row per key; make it unique or drop a row.")
        renamed = {one: f"lading:on{index}" for index, one in enumerate(keys)}
        copies = [pl.col(one).alias(renamed[one]) for one in keys]
        loaded.append(
            Lookup(tuple(left for left, _ in join.on), tuple(renamed.values()), table.drop(ROW).with_columns(copies)),
        )
    return tuple(loaded)


def join_all(frame: pl.DataFrame, lookups: tuple[Lookup, ...]) -> pl.DataFrame:
    """Return the frame with the columns of every lookup; rows and their order are those of the frame."""
    for one in lookups:
        right = one.table.drop([name for name in one.table.columns if name in frame.columns])
        left_on = [pl.col(name).cast(pl.String) for name in one.left]
        frame = frame.join(right, left_on=left_on, right_on=list(one.right), how="left", maintain_order="left")
        frame = frame.drop([name for name in one.right if name in frame.columns])
    return frame
