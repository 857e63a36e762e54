"""Columns of a source of several files: their common types, and the columns that are named in the paths of files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.row.row_reader import engine_errors
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchsync.data.row.row_reader import RowReader

_Schema = dict[str, pl.DataType]
#: Characters in a path that are written as bytes, as in `%3A`.
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
#: Value of a column in a path that stands for null, as Hive and Spark write it.
_NULL_IN_PATH = "__HIVE_DEFAULT_PARTITION__"
#: Maximum number of digits of a decimal.
_DIGITS_MAX = 38
#: Integers of fewer bits, which every 64-bit float represents exactly.
_SMALL_INTEGERS = frozenset({pl.Int8(), pl.Int16(), pl.Int32(), pl.UInt8(), pl.UInt16(), pl.UInt32()})


def common_schema(
    schemas: Mapping[Path, _Schema], reader: RowReader, names: Mapping[Path, str]
) -> tuple[_Schema, dict[str, str]]:
    """Return the columns and types of all files.

    Args:
        schemas: Columns and types of each file; at least one.
        reader: Reader of the files; decides in what files may differ.
        names: What messages call files, if not by their path.

    Returns:
        The common schema, and the columns whose types have nothing in common, each with the reason.

    Raises:
        SourceError: If files of a reader that allows no differences differ.
    """
    (first_path, first), *others = schemas.items()
    common, conflicts = dict(first), dict[str, str]()
    first_name = names.get(first_path, first_path.name)
    for path, schema in others:
        name_of_file = names.get(path, str(path))
        if not reader.declares_columns or reader.merges_types:
            merge = _merged_type if reader.merges_types else _inferred_type
            for name, dtype in schema.items():
                found = merge(common[name], dtype) if name in common else dtype
                if found is None:
                    conflicts.setdefault(
                        name, f"{_described(dtype)} in {name_of_file}, {_described(common[name])} before"
                    )
                else:
                    common[name] = found
        elif set(schema) != set(first):
            other = ", ".join(sorted(set(schema) ^ set(first))[:5])
            hint = "Files of one glob need the same columns; split the job or fix the export."
            raise SourceError(f"{name_of_file} and {first_name} differ in columns: {other}", hint=hint)
        elif schema != first:
            other = ", ".join(name for name in first if schema[name] != first[name])
            hint = "Write the files with the same types."
            raise SourceError(f"{name_of_file} and {first_name} differ in the types of: {other}", hint=hint)
    return common | dict.fromkeys(conflicts, pl.Null()), conflicts


def _described(dtype: pl.DataType) -> str:
    """Return a type for messages."""
    return "nested" if dtype.is_nested() else str(dtype)


def _inferred_type(first: pl.DataType, second: pl.DataType) -> pl.DataType | None:
    """Return the type that polars would infer for values of two types, or None."""
    try:
        empty = [pl.DataFrame(schema={"x": dtype}) for dtype in (first, second)]
        return pl.concat(empty, how="diagonal_relaxed")["x"].dtype
    except engine_errors():
        return None


def _merged_type(first: pl.DataType, second: pl.DataType) -> pl.DataType | None:
    """Return the type that holds all values of two types exactly, or None."""
    if second in (first, pl.Null):
        return first
    match first, second:
        case pl.Null(), _:
            return second
        case pl.List(), pl.List():
            inner = _merged_type(_inner(first), _inner(second))
            return inner and pl.List(inner)
        case pl.Decimal(), pl.Decimal():
            scale = max(first.scale, second.scale)
            digits = scale + max(kind.precision - kind.scale for kind in (first, second))
            return pl.Decimal(digits, scale) if digits <= _DIGITS_MAX else None
        case pl.Datetime(), pl.Datetime():
            is_near = first.time_zone == second.time_zone and "ns" not in (first.time_unit, second.time_unit)
            return pl.Datetime("us", first.time_zone) if is_near else None
        case _:
            return _merged_number(first, second)


def _merged_number(first: pl.DataType, second: pl.DataType) -> pl.DataType | None:
    """Return the type that holds all numbers, or all texts, of two types exactly, or None."""
    kinds = {first, second}
    if first.is_integer() and second.is_integer():
        found = _inferred_type(first, second)
        return found if found is not None and found.is_integer() else None
    if pl.Float64() in kinds and kinds & _SMALL_INTEGERS:
        return pl.Float64()
    is_text = all(kind in (pl.String, pl.Categorical, pl.Enum) for kind in kinds)
    return pl.String() if is_text else None


def _inner(kind: pl.List) -> pl.DataType:
    """Return the type of the items of a list."""
    return kind.inner if isinstance(kind.inner, pl.DataType) else kind.inner()


def columns_in_paths(files: Mapping[Path, Path], schema: _Schema) -> dict[Path, dict[str, str | None]]:
    """Return the columns that folders of a path name, as in `month=2026-01/a.parquet`, with their texts.

    Args:
        files: The files, with the part of each path that may name columns.
        schema: Columns of the files, which take precedence.

    Returns:
        For each file the values by column.
    """
    found: dict[Path, dict[str, str | None]] = {}
    for path, inside in files.items():
        pairs = [part.split("=", 1) for part in inside.parts[:-1] if "=" in part]
        values = {_unquoted(name): _unquoted(value) for name, value in pairs}
        found[path] = {
            name: None if value == _NULL_IN_PATH else value
            for name, value in values.items()
            if name and name not in schema
        }
    return found


def _unquoted(text: str) -> str:
    """Return a part of a path with its `%3A` replaced by characters."""
    return _PERCENT.sub(lambda found: bytes.fromhex(found[0].replace("%", "")).decode(errors="replace"), text)
