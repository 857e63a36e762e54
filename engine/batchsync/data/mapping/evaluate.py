"""Compute the values of a mapping for the rows of a frame.

Where an expression cannot be computed, exactly the rows that cause it are marked invalid.

A frame that computes as a whole is not inspected row by row. Otherwise a lenient variant of the expression narrows the
candidates, equal inputs are tried once, and bisection finds the failing rows.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.mapping.coerce import coerce, cut_off
from batchsync.data.mapping.compiled import item_type
from batchsync.data.mapping.list_values import list_columns
from batchsync.data.sql.values import failure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.data.mapping.shapes import Leaf

#: Errors that an expression raises because of its input values.
EXPRESSION_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
#: Minimum length at which the first and last characters are shown.
_SHORT = 6
_CONVERSION_FAILED = re.compile(r"conversion from `[^`]*` to `[^`]*` failed")


@dataclass(frozen=True, slots=True)
class InvalidValues:
    """Rows in which a leaf has no usable value.

    Attributes:
        leaf: The leaf.
        code: Code of the rule: expression or kind.
        message: The sentence, without the path.
        column: Boolean column of the frame that marks the rows.
        masked: Column of the frame with the masked input value.
    """

    leaf: Leaf
    code: str
    message: str
    column: str
    masked: str


def evaluate(
    frame: pl.DataFrame, leaves: Sequence[Leaf], warnings: dict[str, int] | None = None
) -> tuple[pl.DataFrame, list[InvalidValues]]:
    """Compute and coerce the leaves of a frame.

    Args:
        frame: Columns of the source, `ROW` and `KEY`.
        leaves: The leaves.
        warnings: Receives the number of values that are sent with less than the source has, by description.

    Returns:
        The frame with a column per leaf (`leaf_column`) and two columns per `InvalidValues`, and those values.
    """
    computed: dict[int, tuple[pl.Series, tuple[str, pl.Series] | None]]
    try:
        whole = frame.with_columns([leaf.expr.alias(names.leaf_column(leaf.index)) for leaf in leaves])
        computed = {leaf.index: (whole[names.leaf_column(leaf.index)], None) for leaf in leaves}
    except EXPRESSION_ERRORS:
        computed = {leaf.index: compute_leaf(frame, leaf) for leaf in leaves}
    columns: list[pl.Series] = []
    invalid_values: list[InvalidValues] = []
    for leaf in leaves:
        values, failed = computed[leaf.index]
        failed_coercion = None
        if item_type(leaf.kind) is not None:
            listed = list_columns(values, leaf)
            columns += [listed.text, listed.items]
            failed_coercion = listed.failed if listed.failed.any() else None
        else:
            coerced = coerce(values, leaf.rule).alias(names.leaf_column(leaf.index))
            columns.append(coerced)
            if warnings is not None and (lost := cut_off(values, leaf.rule)):
                warnings[f"timestamps of {leaf.path}, sent in {lost[1]}; what they have beyond is cut off"] = lost[0]
            if coerced.null_count() > values.null_count():
                failed_coercion = values.is_not_null() & coerced.is_null()
        if failed is not None:
            reason, rows = failed
            masked = masked_input(frame, leaf)
            invalid_values.append(invalid_value(leaf, "expression", reason))
            columns += [rows.alias(invalid_values[-1].column), masked.alias(invalid_values[-1].masked)]
        if failed_coercion is not None:
            message = f"must be {leaf.rule.kind.value}"
            invalid_values.append(invalid_value(leaf, "kind", message))
            columns += [
                failed_coercion.alias(invalid_values[-1].column),
                mask(values).alias(invalid_values[-1].masked),
            ]
    return frame.with_columns(columns), invalid_values


def invalid_value(leaf: Leaf, code: str, message: str) -> InvalidValues:
    """Return invalid values with column names of their own."""
    number = leaf.index * 2 + (code == "kind")
    return InvalidValues(leaf, code, message, names.error_column(number), names.masked_column(number))


def mask(values: pl.Series) -> pl.Series:
    """Return values as masked strings; nulls for nested values."""
    if values.dtype.is_nested():
        return pl.Series([None] * values.len(), dtype=pl.String)
    return values.to_frame("x").select(masked_value(pl.col("x")).alias("x"))["x"]


def masked_input(frame: pl.DataFrame, leaf: Leaf) -> pl.Series:
    """Return the masked input of an expression of one column; else nulls."""
    roots = list(dict.fromkeys(leaf.expr.meta.root_names()))
    if len(roots) != 1 or frame[roots[0]].dtype.is_nested():
        return pl.Series([None] * frame.height, dtype=pl.String)
    return mask(frame[roots[0]])


def compute_leaf(frame: pl.DataFrame, leaf: Leaf) -> tuple[pl.Series, tuple[str, pl.Series] | None]:
    """Return the values of one leaf; after a failure, also the reason and a boolean per row that failed."""
    try:
        return _values(frame, leaf.expr), None
    except EXPRESSION_ERRORS as error:
        reason = _reason(error)
    failing = failing_rows(frame, leaf.expr)
    if failing.all():
        return pl.Series([None] * frame.height, dtype=leaf.kind), (reason, failing)
    numbered = frame.with_row_index("batchsync:i")
    computable = numbered.filter(~failing)
    values = computable.select("batchsync:i").with_columns(_values(computable, leaf.expr).alias("batchsync:x"))
    aligned = numbered.select("batchsync:i").join(values, on="batchsync:i", how="left", maintain_order="left")
    return aligned["batchsync:x"], (reason, failing)


def _reason(error: BaseException) -> str:
    """Return why an expression failed, without the values that the message of polars may contain."""
    if known := failure_of(error):
        return f"the expression failed: {known}"
    found = _CONVERSION_FAILED.search(str(error))
    return f"the expression failed: {found.group().replace('`', '')}" if found else "the expression failed"


def _values(frame: pl.DataFrame, expr: pl.Expr) -> pl.Series:
    """Return the values of an expression, one per row even if it is constant."""
    return frame.with_columns(expr.alias("batchsync:x"))["batchsync:x"]


def failing_rows(frame: pl.DataFrame, expr: pl.Expr) -> pl.Series:
    """Return the rows for which an expression raises, as a boolean per row.

    Costs one lenient pass over the frame, then about two evaluations per distinct failing input.
    """
    roots = list(dict.fromkeys(expr.meta.root_names()))
    if not roots:
        return pl.Series([True] * frame.height, dtype=pl.Boolean)
    rows = frame.select(roots).with_row_index("batchsync:i")
    candidates = _candidates(rows, expr)
    distinct = candidates.unique(roots, keep="first", maintain_order=True) if _is_hashable(frame, roots) else candidates
    failing_numbers = _bisect(distinct, expr)
    inputs = rows.filter(pl.col("batchsync:i").is_in(failing_numbers))
    if distinct.height == candidates.height:
        found = inputs["batchsync:i"]
    else:
        found = candidates.join(inputs.select(roots), on=roots, how="semi", nulls_equal=True)["batchsync:i"]
    return rows.select(pl.col("batchsync:i").is_in(found.implode()).alias("bad"))["bad"]


def _is_hashable(frame: pl.DataFrame, roots: list[str]) -> bool:
    """Return whether equal inputs can be grouped, which excludes nested values."""
    return not any(frame[root].dtype.is_nested() for root in roots)


def _candidates(rows: pl.DataFrame, expr: pl.Expr) -> pl.DataFrame:
    """Return the rows that may fail: those where the lenient variant gives null, if all others compute."""
    lenient = _lenient(expr)
    if lenient is None:
        return rows
    try:
        empty = _values(rows, lenient).is_null()
        _values(rows.filter(~empty), expr)
    except EXPRESSION_ERRORS:
        return rows
    return rows.filter(empty)


def _lenient(expr: pl.Expr) -> pl.Expr | None:
    """Return the expression with casts and parses that give null instead of raising, or None.

    Edits the JSON form of polars; quotes within literals are escaped there and cannot match. The text that is read back
    was written here: polars expressions are never read from a file.
    """
    try:
        text = expr.meta.serialize(format="json")
        lenient = text.replace('"options":"Strict"', '"options":"NonStrict"').replace('"strict":true', '"strict":false')
        return pl.Expr.deserialize(io.StringIO(lenient), format="json") if lenient != text else None
    except (*EXPRESSION_ERRORS, ValueError, TypeError):
        return None


def _bisect(rows: pl.DataFrame, expr: pl.Expr) -> list[int]:
    """Return the numbers of the rows that fail, by trying ever smaller halves."""
    failing_numbers: list[int] = []
    pending = [rows]
    while pending:
        part = pending.pop()
        if part.height == 0:
            continue
        try:
            _values(part, expr)
        except EXPRESSION_ERRORS:
            if part.height == 1:
                failing_numbers.append(part["batchsync:i"][0])
                continue
            middle = part.height // 2
            pending += [part[:middle], part[middle:]]
    return failing_numbers


def masked_value(value: pl.Expr) -> pl.Expr:
    """Return the first and last character and the length of values of any type, as in `j***m (17 characters)`."""
    text = value.cast(pl.String, strict=False)
    length = text.str.len_chars()
    count = length.cast(pl.String)
    # A question mark stands for a character that a terminal could interpret.
    first, last = (
        pl.when(character.str.contains(r"^[\p{L}\p{N}\p{P}\p{S} ]$")).then(character).otherwise(pl.lit("?"))
        for character in (text.str.head(1), text.str.tail(1))
    )
    long = pl.concat_str([first, pl.lit("***"), last, pl.lit(" ("), count, pl.lit(" characters)")])
    plural = pl.when(length == 1).then(pl.lit(" character)")).otherwise(pl.lit(" characters)"))
    return pl.when(length >= _SHORT).then(long).otherwise(pl.concat_str([pl.lit("*** ("), count, plural]))
