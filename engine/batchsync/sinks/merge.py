"""Merge of existing rows and new answers: each key once, in the existing order, without losing columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable


def merge_rows(existing: pl.LazyFrame, incoming: pl.LazyFrame, key: tuple[str, ...]) -> pl.LazyFrame:
    """Return the existing rows, replaced where `incoming` has their key, then the other incoming rows.

    Only the columns of `incoming` are replaced. A column of two types takes the type that holds both.

    Args:
        existing: Rows of the file.
        incoming: New answers, each key once.
        key: Names of the key columns, which both frames have.

    Raises:
        polars.exceptions.SchemaError: If two columns of one name have no common type.
    """
    columns = dict(common_schema(existing, incoming))
    return conform_columns(existing, columns).update(
        _cast(incoming, columns), on=list(key), how="full", include_nulls=True, maintain_order="left_right"
    )


def common_schema(existing: pl.LazyFrame, incoming: pl.LazyFrame) -> pl.Schema:
    """Return the columns of both frames, existing ones first, each with a type that holds the values of both.

    Raises:
        polars.exceptions.SchemaError: If two columns of one name have no common type.
    """
    schemas = [frame.collect_schema() for frame in (existing, incoming)]
    common = pl.concat([pl.DataFrame(schema=schema) for schema in schemas], how="diagonal_relaxed").schema
    for name, dtype in common.items():
        # An object or a list can be cast to a string, but the names and quotes in it would be lost.
        if not dtype.is_nested() and any(schema.get(name, dtype).is_nested() for schema in schemas):
            raise pl.exceptions.SchemaError(f"column {name} is a list or an object on one side only")
    return common


def conform_columns(frame: pl.LazyFrame, columns: dict[str, pl.DataType]) -> pl.LazyFrame:
    """Return the frame with exactly these columns; missing ones are null."""
    own = frame.collect_schema().names()
    return frame.select(
        pl.col(name).cast(dtype) if name in own else pl.lit(None, dtype).alias(name) for name, dtype in columns.items()
    )


def repeated_keys(existing: pl.LazyFrame, key: tuple[str, ...]) -> int:
    """Return the number of keys that occur more than once. Keys with a null do not count."""
    keys = existing.select(key).drop_nulls()
    return int(keys.group_by(key).len().filter(pl.col("len") > 1).select(pl.len()).collect(engine="streaming").item())


def as_text(frame: pl.LazyFrame, keep: Callable[[pl.DataType], bool] = lambda _: False) -> pl.LazyFrame:
    """Return the frame with its columns as strings: strings unchanged, lists and objects as JSON, bytes as base64.

    Args:
        frame: Any frame.
        keep: Returns whether columns of a type stay as they are.
    """
    dtypes = frame.collect_schema()
    return frame.with_columns(
        _text(name, dtype) for name, dtype in dtypes.items() if dtype != pl.String and not keep(dtype)
    )


def _cast(frame: pl.LazyFrame, columns: dict[str, pl.DataType]) -> pl.LazyFrame:
    return frame.select(pl.col(name).cast(columns[name]) for name in frame.collect_schema().names())


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Binary):
        return column.bin.encode("base64")
    if dtype.is_nested():
        # Only structs can be encoded, so the value is wrapped in a struct and cut out of its JSON.
        wrapped = pl.struct(column.alias("v")).struct.json_encode()
        return pl.when(column.is_not_null()).then(wrapped.str.slice(5).str.head(-1)).alias(name)
    return column.cast(pl.String)
