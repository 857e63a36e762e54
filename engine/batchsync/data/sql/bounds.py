"""Bounds of computed texts, so that no expression takes much more memory than the rows that it is computed for.

A text that a function would make too long fails before it is computed: in its row like any other failure, and when the
expression is compiled if all of its parts are constants.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.sql.values import TEXT, failure
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsync.data.sql.values import Scope

    Length = Callable[[Sequence[pl.Series]], pl.Series]

#: Bytes of a computed text, and of the texts of one member in all rows that are computed together.
TEXT_BYTES, FRAME_BYTES = 1 << 20, 512 << 20
#: How much longer than a column a text may be without a check.
_FREE_GROWTH = 4


class TextsTooLargeError(SourceError):
    """The texts of an expression would be too long together. Takes no message: polars adds its own to it."""

    def __init__(self, *_: object) -> None:
        """Store the message."""
        super().__init__(
            f"an expression makes texts of more than {FRAME_BYTES >> 20} MiB in the rows that are computed together",
            hint="Shorten what an expression of this job repeats, replaces or joins.",
        )


def bounded(
    scope: Scope, inputs: Sequence[pl.Expr], length: Length, build: Callable[..., pl.Expr], *, growth: float
) -> pl.Expr:
    """Return a text that is computed only if its length is within the bounds.

    Args:
        scope: Where it stands.
        inputs: What it is computed from. They are computed once, whatever is nested in them.
        length: Return an upper bound of the bytes of each text, for the inputs as series of equal length; picklable.
        build: Return the text, of the inputs as expressions; picklable.
        growth: How many times as long as its inputs the text may be.

    Returns:
        The text. It is not checked if it is little longer than columns of the source.
    """
    if growth <= 1 or (growth <= _FREE_GROWTH and all(item.meta.is_column() or is_constant(item) for item in inputs)):
        return build(*inputs)
    masked = [item if is_constant(item) else scope.mask(item) for item in inputs]
    return pl.map_batches(masked, partial(_compute, length, build, strict=scope.strict), return_dtype=TEXT)


def is_constant(expr: pl.Expr) -> bool:
    """Return whether an expression is a single value."""
    return expr.meta.is_literal()


def _compute(length: Length, build: Callable[..., pl.Expr], inputs: Sequence[pl.Series], *, strict: bool) -> pl.Series:
    """Compute a text of series, of which constants have one value.

    Raises:
        ComputeError: If a text would be too long; if `strict` is not set, it is null.
        TextsTooLargeError: If the texts of all rows would be too long together.
    """
    heights = [series.len() for series in inputs]
    height = 0 if 0 in heights else max(heights)
    series = [item.new_from_index(0, height) if height and item.len() != height else item for item in inputs]
    frame = pl.DataFrame([item.head(height).alias(str(index)) for index, item in enumerate(series)])
    sizes = length(frame.get_columns()).cast(pl.Float64).fill_null(0)
    too_long = sizes > TEXT_BYTES
    if too_long.any():
        if strict:
            raise failure(f"a text of more than {TEXT_BYTES} bytes")
        frame = frame.with_columns(pl.when(~too_long).then(pl.all()))
        sizes = sizes.filter(~too_long)
    if sizes.sum() > FRAME_BYTES:
        raise TextsTooLargeError
    return frame.select(build(*map(pl.col, frame.columns)).alias("text"))["text"]


def scaled_length(times: int, more: int, parts: Sequence[pl.Series]) -> pl.Series:
    """Return the bytes of a text some times, and some more."""
    return parts[0].str.len_bytes().cast(pl.Int64) * times + more
