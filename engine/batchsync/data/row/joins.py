"""Many-to-one joins of lookup rows, in files or landed: row count and row order of the source do not change.

Joined rows are loaded into memory. Keys are compared as text.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.columns import ROW
from batchsync.data.row.file_state import require_unchanged
from batchsync.data.row.open_source import open_join
from batchsync.data.row.partitions import frames
from batchsync.data.row.unmatched import matches_of
from batchsync.errors import SourceError
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsync.core.job import Join, Source
    from batchsync.data.row.row_reader import SourceFiles
    from batchsync.data.row.unmatched import JoinMatches


#: Types whose text form rarely equals a text column: most exports write 1.0 as 1, and 1.50 equals 1.5.
_AMBIGUOUS = frozenset({"float", "decimal"})


@dataclass(frozen=True, slots=True)
class Lookup:
    """A loaded join.

    Attributes:
        left: Key columns of the source.
        right: Key columns of the table, as text, in the same order.
        table: The joined file with its key columns and copies of them as text.
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    table: pl.DataFrame


def joined_schema(
    source: Source, schema: dict[str, pl.DataType], used: Collection[str] | None = None
) -> dict[str, pl.DataType]:
    """Return the columns of a source followed by those of its joins.

    Args:
        source: The source.
        schema: Its columns and types.
        used: Columns to which joined files are reduced, where their format allows it; None for all.

    Returns:
        The columns and types.

    Raises:
        SourceError: If a key column is missing, the types of two key columns are never equal, or a joined column has
            the name of an existing column.
    """
    found = dict(schema)
    for join in source.joins:
        other = _opened(source, join, used).schema
        _check_key_columns(join, found, other)
        keys = {right for _, right in join.on}
        duplicates = [name for name in other if name not in keys and name in found]
        if duplicates:
            message = f"{join.place}: {join.path} has columns that the source already has: {', '.join(duplicates[:5])}"
            raise SourceError(message, hint="Rename the columns on one of the sides.")
        found |= {name: kind for name, kind in other.items() if name not in keys}
        found |= {right: other[right] for left, right in join.on if right not in found}
    return found


def unreadable_columns(source: Source) -> dict[str, str]:
    """Return the columns of joined files that cannot be read, each with the reason."""
    return {name: reason for join in source.joins for name, reason in open_join(source, join).unreadable.items()}


def _opened(source: Source, join: Join, used: Collection[str] | None) -> SourceFiles:
    """Return the opened file of a join, reduced to the used columns and its keys."""
    files = open_join(source, join)
    return files if used is None else files.used({*used, *(right for _, right in join.on)})


def _check_key_columns(join: Join, left: dict[str, pl.DataType], right: dict[str, pl.DataType]) -> None:
    """Raise an error if a key column is missing or the types of a pair are never equal."""
    for left_name, right_name in join.on:
        for name, columns, side in ((left_name, left, "the source"), (right_name, right, join.path)):
            if name not in columns:
                raise SourceError(f"{join.place}: {side} has no column {name!r}", hint=closest(name, tuple(columns)))
        if not _is_comparable(left[left_name], right[right_name]):
            sides = f"{left_name!r} is {left[left_name]} in the source"
            sides += f" and {right_name!r} is {right[right_name]} in {join.path}"
            hint = "Write both as text or as whole numbers; whole numbers with nulls are often exported as 1.0."
            raise SourceError(f"{join.place}: {sides}, so no row can match", hint=hint)


def _is_comparable(left: pl.DataType, right: pl.DataType) -> bool:
    """Return whether equal values of two types have the same text form, which a join compares."""
    if left.is_nested() or right.is_nested():
        return False
    forms = _text_form(left), _text_form(right)
    return forms[0] == forms[1] or None in forms or ("text" in forms and not {*forms} & _AMBIGUOUS)


def _text_form(dtype: pl.DataType) -> str | None:
    """Return a name for the text form of a type's values; None for a column without values."""
    if dtype == pl.Null:
        return None
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    if dtype.is_float():
        return "float"
    if isinstance(dtype, pl.Decimal):
        return "decimal" if dtype.scale else "whole"
    return "whole" if dtype.is_integer() else str(dtype)


def load(source: Source, work: Path, used: Collection[str] | None = None) -> tuple[Lookup, ...]:
    """Read the joined files of a source into memory.

    Args:
        source: The source with its joins.
        work: Existing folder for temporary copies.
        used: Columns to which joined files are reduced, where their format allows it; None for all.

    Returns:
        The loaded joins in the order of `source.joins`.

    Raises:
        SourceError: If a joined file cannot be read, is changed meanwhile, or contains a key more than once.
    """
    loaded = []
    for join in source.joins:
        files = _opened(source, join, used)
        with tempfile.TemporaryDirectory(dir=work) as folder:
            parts = list(frames(files, Path(folder), fresh=True))
        require_unchanged(files.states)
        table = pl.concat(parts) if parts else pl.DataFrame(schema={ROW: pl.Int64, **files.schema})
        keys = [right for _, right in join.on]
        copies = tuple(f"batchsync:on{index}" for index in range(len(keys)))
        table = table.filter(~pl.any_horizontal(pl.col(keys).is_null()))
        as_text = [pl.col(key).cast(pl.String).alias(copy) for key, copy in zip(keys, copies, strict=True)]
        table = table.with_columns(as_text)
        duplicates = table.filter(table.select(copies).is_duplicated())
        if duplicates.height:
            rows = ", ".join(str(row) for row in duplicates[ROW].head(5).to_list())
            message = f"{join.place}: {join.path} has the same {' and '.join(keys)} in more than one row (rows {rows})"
            raise SourceError(message, hint="Joined rows need one row per key; make it unique or drop a row.")
        loaded.append(Lookup(tuple(left for left, _ in join.on), copies, table.drop(ROW)))
    return tuple(loaded)


def join_all(
    frame: pl.DataFrame, lookups: tuple[Lookup, ...], matches: list[JoinMatches] | None = None
) -> pl.DataFrame:
    """Return a frame with the columns of all lookups added; its rows and their order do not change.

    Args:
        frame: The frame.
        lookups: The loaded joins.
        matches: Receives how often each join found a row; None: not counted.
    """
    for lookup in lookups:
        right = lookup.table.drop([name for name in lookup.table.columns if name in frame.columns])
        keys, left_on = list(lookup.right), [pl.col(name).cast(pl.String) for name in lookup.left]
        frame = frame.join(right, left_on=left_on, right_on=keys, how="left", maintain_order="left", coalesce=False)
        if matches is not None:
            matches.append(matches_of(frame, left_on, keys[0]))
        frame = frame.drop(keys)
    return frame
