"""Open Parquet files: checked row counts, and types that hold every value.

A footer states the number of rows several times, and the columnar reader believes one of them. Timestamps of the old
type INT96 (Spark, Hive, Impala) span millions of years, but are read as nanoseconds unless a schema says otherwise:
whatever lies outside of 1677 to 2262 silently becomes 2262-04-11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from lading.data.nested_types import LEVELS_MAX, inner_types
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.data.read import Input

_HINT = "Write the file again; a footer that was edited or belongs to another file is the usual cause."
#: Key of the schema that Arrow stores beside that of Parquet. It names the unit from which Arrow wrote INT96, and the
#: reader follows it.
_ARROW = b"ARROW:schema"


class _UnreadableError(Exception):
    """A type in which the reader does not take INT96 as microseconds."""


def schema_of(path: Path) -> dict[str, pl.DataType]:
    """Return the columns and types of a file: microseconds for INT96, which hold all years that can be written.

    Raises:
        SourceError: when the footer contradicts itself, a column is nested too deeply, or a map holds INT96.
    """
    try:
        footer = pq.read_metadata(path)
    except OSError as error:
        if "deeply nested" not in str(error):
            raise
        hint = "Export it flatter, or leave the column out."
        raise SourceError(f"{path}: a column is nested more than {LEVELS_MAX} levels deep", hint=hint) from None
    _count(path, footer)
    _check_columns(path, footer)
    schema = dict(pl.scan_parquet(path, glob=False).collect_schema())
    stored = [footer.schema.column(one) for one in range(len(footer.schema))]
    if _ARROW in (footer.metadata or {}) or all(one.physical_type != "INT96" for one in stored):
        return schema
    is_int96 = iter([one.physical_type == "INT96" for one in stored])
    try:
        return {name: _in_microseconds(kind, is_int96) for name, kind in schema.items()}
    except _UnreadableError:
        hint = "Leave the column out, or write timestamps as INT64 (Spark: outputTimestampType TIMESTAMP_MICROS)."
        raise SourceError(f"{path}: a map holds INT96 timestamps, which cannot be read", hint=hint) from None


def rows_of(path: Path) -> int:
    """Return the number of rows of a file.

    Raises:
        SourceError: when the footer contradicts itself.
    """
    return _count(path, pq.read_metadata(path))


def scan(given: Input, path: Path, *, row_index: str | None = None) -> pl.LazyFrame:
    """Return the lazy rows of one file of a source, with the types that were found when it was opened."""
    return pl.scan_parquet(path, row_index_name=row_index, glob=False, schema=given.stored)


def _count(path: Path, footer: pq.FileMetaData) -> int:
    """Return the number of rows; refuse a footer that says two of them."""
    found: int = sum(footer.row_group(one).num_rows for one in range(footer.num_row_groups))
    if footer.num_rows != found:
        what = f"the footer says {footer.num_rows} rows, its row groups hold {found}"
        raise SourceError(f"{path}: {what}", hint=_HINT)
    return found


def _check_columns(path: Path, footer: pq.FileMetaData) -> None:
    """Refuse a row group in which a column has more or fewer values than there are rows."""
    # Within lists a row has any number of values.
    columns = [one for one in range(footer.num_columns) if not footer.schema.column(one).max_repetition_level]
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for one in columns:
            found = group.column(one).num_values
            if found != group.num_rows:
                where = f"row group {number}, column {footer.schema.column(one).path!r}"
                raise SourceError(f"{path}: {where}: {found} values for {group.num_rows} rows", hint=_HINT)


def _in_microseconds(kind: pl.DataType, is_int96: Iterator[bool]) -> pl.DataType:
    """Return a type with microseconds wherever the next stored column is INT96.

    Raises:
        _UnreadableError: for a map of INT96, whose values the reader takes as nanoseconds whatever the schema says.
    """
    inner = [_in_microseconds(one, is_int96) for one in inner_types(kind)]
    match kind:
        case pl.Struct():
            return pl.Struct({field.name: one for field, one in zip(kind.fields, inner, strict=True)})
        case pl.Map():
            if inner != [kind.key, kind.value]:
                raise _UnreadableError
            return kind
        case pl.List():
            return pl.List(inner[0])
        case pl.Array():
            return pl.Array(inner[0], kind.shape[0])
        case _:
            return pl.Datetime("us", kind.time_zone) if next(is_int96) and isinstance(kind, pl.Datetime) else kind
