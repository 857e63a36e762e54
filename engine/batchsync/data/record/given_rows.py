"""Frames of rows that a test of a mapping gives, with the types that the source of the job has.

The columns of a local source are looked up, and no row of it is read. If it is missing or elsewhere, columns of CSV
files are text, and other columns have the type of the given values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.source_path import UNREAD, format_by_ending
from batchsync.data.mapping.expressions import problem
from batchsync.data.row.joins import joined_schema
from batchsync.data.row.open_source import open_source
from batchsync.errors import BatchsyncError
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from batchsync.core.job import Job, Source
    from batchsync.core.mapping_test import Cell, GivenRow
    from batchsync.errors import Problem

Schema = dict[str, pl.DataType]
#: Types that texts of columns of unknown type are tried with, if the mapping cannot be computed over texts.
TEMPORAL = (pl.Date(), pl.Datetime("us"))
_TEXT_FORMATS = ("csv",)
_ISO: Mapping[type[pl.DataType], Callable[[str], Any]] = {
    pl.Date: date.fromisoformat,
    pl.Datetime: datetime.fromisoformat,
    pl.Time: time.fromisoformat,
}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class KnownColumns:
    """Columns of a source with its joins; `declared` is whether the source has no others."""

    schema: Schema
    declared: bool


def known_columns(job: Job) -> KnownColumns | None:
    """Return the columns of a job's source and its joins; None if the source is missing or elsewhere."""
    source = job.source
    paths = (source.path, *(join.path for join in source.joins))
    if source.job is not None or not source.is_local or any(UNREAD in path for path in paths):
        return None
    try:
        opened = open_source(source)
        return KnownColumns(joined_schema(source, opened.schema), opened.reader.declares_columns)
    except BatchsyncError:
        return None


def given_types(job: Job, rows: Iterable[GivenRow]) -> Schema:
    """Return the types of given columns if those of the source are not known.

    Args:
        job: The job.
        rows: All rows that its tests give.

    Returns:
        Text for columns of CSV files, else the type of the values.
    """
    holds_text = is_text(job.source)
    values: dict[str, list[Any]] = {}
    for row in rows:
        for cell in row.cells:
            values.setdefault(cell.column, []).append(cell.value)
    return {name: pl.String() if holds_text else _type_of(found) for name, found in values.items()}


def is_text(source: Source) -> bool:
    """Return whether a source is a CSV file, as far as its declaration says."""
    elsewhere = source.query is not None or source.job is not None or (source.stored is not None and source.is_table)
    return not elsewhere and (source.format or format_by_ending(source.path)) in _TEXT_FORMATS


def _type_of(values: Sequence[Any]) -> pl.DataType:
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, float, Decimal}:
        return pl.Int64() if kinds == {int} else pl.Float64()
    alone: dict[frozenset[type], pl.DataType] = {
        frozenset({bool}): pl.Boolean(),
        frozenset({date}): pl.Date(),
        frozenset({datetime}): pl.Datetime("us"),
    }
    if found := alone.get(frozenset(kinds)):
        return found
    if kinds and kinds <= {list, dict}:
        try:
            return pl.Series(values, strict=False).dtype
        except (pl.exceptions.PolarsError, TypeError, ValueError):
            return pl.String()
    return pl.String()


def with_temporal_types(schema: Schema, rows: Sequence[GivenRow]) -> Schema:
    """Return a schema in which texts that are all dates, or all timestamps, have the type of these."""
    found = dict(schema)
    for name, kind in schema.items():
        texts = [cell.text for row in rows for cell in row.cells if cell.column == name]
        if kind != pl.String or not texts:
            continue
        found[name] = next((item for item in TEMPORAL if not _parsed(name, texts, item).null_count()), kind)
    return found


def frame_of(rows: Sequence[GivenRow], schema: Schema, nulls: Sequence[str]) -> tuple[pl.DataFrame, list[Problem]]:
    """Return given rows as a frame.

    Args:
        rows: The rows.
        schema: Columns and types; those that a row does not name are null.
        nulls: Texts that are read as null; the empty text of a CSV file is among them.

    Returns:
        The columns of the schema and `batchsync:given`, and a problem for each value that is not of its column's type.
    """
    problems: list[Problem] = []
    by_column: dict[str, list[Cell | None]] = {name: [None] * len(rows) for name in schema}
    for number, row in enumerate(rows):
        for cell in row.cells:
            if cell.column in by_column:
                by_column[cell.column][number] = cell
    columns = [_series(name, cells, schema[name], nulls, problems) for name, cells in by_column.items()]
    return pl.DataFrame([*columns, pl.Series("batchsync:given", [True] * len(rows))]), problems


def _series(
    name: str, cells: Sequence[Cell | None], kind: pl.DataType, nulls: Sequence[str], problems: list[Problem]
) -> pl.Series:
    """Return the values of a column, null where they are not of its type, which is a problem."""
    if kind.is_nested():
        values = [None if cell is None else cell.value for cell in cells]
        series = pl.Series(name, [_nested(value, kind) for value in values], dtype=kind, strict=False)
    elif kind == pl.Boolean:
        truths = [None if cell is None else _BOOLEANS.get(cell.text.casefold()) for cell in cells]
        series = pl.Series(name, truths, dtype=pl.Boolean)
    else:
        holds_text = kind in (pl.String, pl.Categorical, pl.Enum)
        texts = [None if cell is None or (holds_text and cell.text in nulls) else cell.text for cell in cells]
        series = _parsed(name, texts, kind)
        cells = [cell if text is not None else None for cell, text in zip(cells, texts, strict=True)]
    for cell, value in zip(cells, series, strict=True):
        if cell is not None and value is None:
            message = f"column {name!r} holds {str(kind).lower()}, and this value is none"
            problems.append(problem("test_value", message, cell.place, f"Write a value of type {str(kind).lower()}."))
    return series


def _parsed(name: str, texts: Sequence[str | None], kind: pl.DataType) -> pl.Series:
    """Return texts as values of a type; null where a text is none: dates and times are those of ISO 8601."""
    parse = _ISO.get(type(kind))
    if parse is None:
        return pl.Series(name, texts, dtype=pl.String).cast(kind, strict=False)
    values = [None if text is None else _iso(parse, text) for text in texts]
    if isinstance(kind, pl.Datetime):
        moments = [value.astimezone(UTC) if value is not None and value.tzinfo else value for value in values]
        naive = [value.replace(tzinfo=None) if value is not None else None for value in moments]
        plain = pl.Series(name, naive, dtype=pl.Datetime(kind.time_unit))
        return (
            plain if kind.time_zone is None else plain.dt.replace_time_zone("UTC").dt.convert_time_zone(kind.time_zone)
        )
    return pl.Series(name, values, dtype=kind)


def _iso(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None


def _nested(value: Any, kind: pl.DataType) -> Any:
    """Return a value for a nested column; None if its form is another one."""
    fits = isinstance(value, dict) if isinstance(kind, pl.Struct) else isinstance(value, list)
    return value if fits else None


def unknown_columns(
    rows: Iterable[GivenRow], schema: Mapping[str, object], used: Iterable[str], *, owner: str = "the source"
) -> list[Problem]:
    """Return a problem for each given column that the source does not have, or that the job does not use.

    Args:
        rows: The given rows.
        schema: Columns that exist.
        used: Columns that the job uses.
        owner: Owner of the columns for messages.
    """
    used = sorted(used)
    found = []
    for row in rows:
        for cell in row.cells:
            if cell.column not in schema:
                message = f"{owner} has no column {cell.column!r}"
            elif cell.column not in used:
                message = f"the job does not use column {cell.column!r}"
            else:
                continue
            found.append(problem("test_column", message, cell.place, closest(cell.column, used)))
    return found


def null_texts(source: Source) -> tuple[str, ...]:
    """Return the texts of a source that are read as null."""
    return ("", *source.nulls) if is_text(source) else source.nulls
