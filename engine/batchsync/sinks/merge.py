"""Old rows and new answers become one table: each key once, old order first, nothing lost.

It does not know files or formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable


def merged(held: pl.LazyFrame, fresh: pl.LazyFrame, key: tuple[str, ...]) -> pl.LazyFrame:
    """Return the rows of `held`, replaced where `fresh` has their key, then the other rows of `fresh`.

    Only the columns of `fresh` are replaced. A column of two types takes the type that holds both.

    Raises:
        polars.exceptions.SchemaError: two columns of one name have no type in common.
    """
    columns = dict(common_schema(held, fresh))
    return shaped(held, columns).update(
        _cast(fresh, columns), on=list(key), how="full", include_nulls=True, maintain_order="left_right"
    )


def common_schema(held: pl.LazyFrame, fresh: pl.LazyFrame) -> pl.Schema:
    """Return the columns of both, those of `held` first, each with a type that holds the values of both.

    Raises:
        polars.exceptions.SchemaError: there is no such type.
    """
    both = [frame.collect_schema() for frame in (held, fresh)]
    common = pl.concat([pl.DataFrame(schema=schema) for schema in both], how="diagonal_relaxed").schema
    for name, kind in common.items():
        # An object or a list can be cast to text, but the names and quotes in it would be lost.
        if not kind.is_nested() and any(schema.get(name, kind).is_nested() for schema in both):
            raise pl.exceptions.SchemaError(f"{name} is once a list or an object and once neither")
    return common


def shaped(frame: pl.LazyFrame, columns: dict[str, pl.DataType]) -> pl.LazyFrame:
    """Return the frame with exactly these columns; those it lacks are null."""
    own = frame.collect_schema().names()
    return frame.select(
        pl.col(name).cast(kind) if name in own else pl.lit(None, kind).alias(name) for name, kind in columns.items()
    )


def repeated_keys(held: pl.LazyFrame, key: tuple[str, ...]) -> int:
    """Return how many keys stand in the rows more than once; an empty key is no key."""
    whole = held.select(key).drop_nulls()
    return int(whole.group_by(key).len().filter(pl.col("len") > 1).select(pl.len()).collect(engine="streaming").item())


def as_text(frame: pl.LazyFrame, keep: Callable[[pl.DataType], bool] = lambda _: False) -> pl.LazyFrame:
    """Return the frame with its columns as text: text unchanged, lists and objects as JSON, bytes as base64.

    Columns of a type that `keep` wants stay as they are.
    """
    kinds = frame.collect_schema()
    return frame.with_columns(_text(name, kind) for name, kind in kinds.items() if kind != pl.String and not keep(kind))


def _cast(frame: pl.LazyFrame, columns: dict[str, pl.DataType]) -> pl.LazyFrame:
    return frame.select(pl.col(name).cast(columns[name]) for name in frame.collect_schema().names())


def _text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Binary):
        return column.bin.encode("base64")
    if kind.is_nested():
        # Only objects can be encoded, so the value travels as the only member of one and is then cut out of it.
        boxed = pl.struct(column.alias("v")).struct.json_encode()
        return pl.when(column.is_not_null()).then(boxed.str.slice(5).str.head(-1)).alias(name)
    return column.cast(pl.String)
