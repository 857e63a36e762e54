"""What the aggregates of a record need of each of its rows, and the records for which they have no result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.frame import ordering
from batchsync.data.mapping.evaluate import InvalidValues, compute_leaf, invalid_value, masked_input

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.data.mapping.shapes import Combined

_TOO_LONG = "the expression failed: {} has more than 38 digits"
_UNORDERED = (
    "the expression failed: {} compares numbers or dates as text, which may give another order: cast them, as in "
    "CAST(x AS NUMERIC), or write CAST(x AS TEXT) if the order of text is meant"
)


def with_inputs(aggregates: Iterable[Combined], rows: pl.DataFrame) -> tuple[pl.DataFrame, list[InvalidValues]]:
    """Add what aggregates need of each row.

    Args:
        aggregates: The aggregates.
        rows: Source rows of whole records, with `HEAD`.

    Returns:
        The rows with a column per input, and the values that cannot be computed or compared.
    """
    invalid_values: list[InvalidValues] = []
    for combined in aggregates:
        for leaf, item in zip(combined.inputs, combined.aggregate.inputs, strict=True):
            values, failed = compute_leaf(rows, leaf)
            rows = rows.with_columns(values.alias(item.column))
            if failed is not None:
                found = invalid_value(leaf, "expression", failed[0])
                invalid_values.append(found)
                rows = rows.with_columns(failed[1].alias(found.column), masked_input(rows, leaf).alias(found.masked))
            if item.is_ordered:
                found = invalid_value(leaf, "kind", _UNORDERED.format(combined.aggregate.written))
                found = replace(found, code="unordered")
                doubtful = _doubtful_records(rows.select(names.HEAD, item.column), item.column)
                if doubtful.len():
                    invalid_values.append(found)
                    rows = rows.with_columns(
                        pl.col(names.HEAD).is_in(doubtful.implode()).alias(found.column),
                        pl.lit(None, dtype=pl.String).alias(found.masked),
                    )
    return rows, invalid_values


def _doubtful_records(rows: pl.DataFrame, column: str) -> pl.Series:
    """Return the records whose texts are numbers in another order than as text, or may be dates of any form."""
    distinct = rows.drop_nulls().unique()
    several = distinct.filter(pl.len().over(names.HEAD) > 1)
    if not several.height:
        return pl.Series(names.HEAD, [], dtype=pl.Int64)
    key = ordering.sort_key(pl.col(column))
    sorted_texts = several.with_columns(key.alias("key"), kind=key.str.head(1)).sort(names.HEAD, "kind", column)
    follows = (pl.col(names.HEAD) == pl.col(names.HEAD).shift()) & (pl.col("kind") == pl.col("kind").shift())
    is_number = pl.col("kind") == ordering.NUMBER
    is_doubtful = (pl.col("kind") == ordering.AMBIGUOUS) | (
        is_number & follows & (pl.col("key") < pl.col("key").shift())
    )
    return sorted_texts.filter(is_doubtful)[names.HEAD].unique()


def combine(
    aggregates: Iterable[Combined], rows: pl.DataFrame, heads: pl.DataFrame
) -> tuple[pl.DataFrame, list[InvalidValues]]:
    """Add the results of aggregates to the records.

    Args:
        aggregates: The aggregates.
        rows: Source rows of whole records, with `HEAD` and the columns of `with_inputs`.
        heads: The first row of each record, with `HEAD`.

    Returns:
        The records with a column per aggregate, and the results that have too many digits.
    """
    invalid_values: list[InvalidValues] = []
    for combined in aggregates:
        aggregate = combined.aggregate
        leaf = replace(combined.inputs[0], repeat=None)
        too_long = invalid_value(leaf, "kind", _TOO_LONG.format(aggregate.written))
        inputs = [item.column for item in aggregate.inputs]
        results = aggregate.combine(rows.select(names.HEAD, *inputs), names.HEAD, too_long.column)
        heads = heads.join(results, on=names.HEAD, how="left", maintain_order="left")
        if aggregate.reduction.empty is not None:
            heads = heads.with_columns(pl.col(aggregate.column).fill_null(aggregate.reduction.empty))
        if aggregate.reduction.overflow is not None:
            heads = heads.with_columns(pl.lit(None, dtype=pl.String).alias(too_long.masked))
            invalid_values.append(replace(too_long, code="expression"))
    return heads, invalid_values
