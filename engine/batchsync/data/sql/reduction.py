"""An aggregate as data: what it needs of each row of a record, and how the rows make one value."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Input:
    """A value that an aggregate needs of each row.

    Attributes:
        column: Name of its column.
        expr: Its expression over the columns of the source.
        kind: Type of its values.
        is_ordered: Whether the values are texts whose order, which is not that of numbers in them, has an effect.
    """

    column: str
    expr: pl.Expr
    kind: pl.DataType
    is_ordered: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the rows of a record.

    Attributes:
        column: Name of the column with the values.
        descending: Whether greater values come first.
        nulls_last: Whether rows without a value come last.
    """

    column: str
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Reduction:
    """How the values of the rows of a record make one.

    Attributes:
        result: The result for the rows that count, in their order, over the columns of the inputs.
        kind: Type of the result.
        order: What the rows are ordered by; without any, their order has no effect.
        keeps_nulls: Whether rows count whose value is null.
        empty: Result for a record without rows that count.
        overflow: Whether the result has too many digits, if that can be.
    """

    result: pl.Expr
    kind: pl.DataType
    order: tuple[Order, ...] = ()
    keeps_nulls: bool = False
    empty: int | None = None
    overflow: pl.Expr | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate of an expression.

    Attributes:
        column: Name of the column of its results.
        written: The call, for messages.
        inputs: What it needs of each row; the first is the value.
        where: Name of the column that says which rows count; None if all do.
        is_distinct: Whether equal values count once.
        reduction: How the values make one.
    """

    column: str
    written: str
    inputs: tuple[Input, ...]
    where: str | None
    is_distinct: bool
    reduction: Reduction

    @property
    def kind(self) -> pl.DataType:
        """Type of its results."""
        return self.reduction.kind

    def combine(self, rows: pl.DataFrame, record: str, overflow: str) -> pl.DataFrame:
        """Combine the rows of each record.

        Args:
            rows: Rows with the columns of the inputs.
            record: Name of the column that is equal in the rows of a record.
            overflow: Name for the column that says whether a result has too many digits.

        Returns:
            The columns `record`, that of the results, and `overflow`; records without rows that count are missing.
        """
        value, reduction = self.inputs[0].column, self.reduction
        # Rows are filtered and sorted before they are grouped: within groups, polars 1 gives wrong texts for that.
        if self.where is not None:
            rows = rows.filter(self.where)
        if not reduction.keeps_nulls:
            rows = rows.filter(pl.col(value).is_not_null())
        if self.is_distinct:
            rows = rows.unique([record, value])
        if reduction.order:
            rows = rows.sort(
                [record, *(item.column for item in reduction.order), value],
                descending=[False, *(item.descending for item in reduction.order), False],
                nulls_last=[True, *(item.nulls_last for item in reduction.order), True],
            )
        too_long = pl.lit(value=False).first() if reduction.overflow is None else reduction.overflow
        return rows.group_by(record, maintain_order=True).agg(
            reduction.result.cast(reduction.kind).alias(self.column), too_long.alias(overflow)
        )
