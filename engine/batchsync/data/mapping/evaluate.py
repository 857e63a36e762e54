"""Mapped values of a frame: what an expression cannot compute becomes a flaw of exactly the rows that caused it.

It does not judge values. When a whole frame computes, nothing here looks at single rows; when it does not, a lenient
variant narrows the suspects, equal inputs are tried once, and halving finds the rest.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.coerce import coerce
from lading.data.masks import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.data.shapes import Leaf

#: What an expression raises because of the values it meets.
FAILS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_KNOWN = re.compile(r"conversion from `[^`]*` to `[^`]*` failed")


@dataclass(frozen=True, slots=True)
class Flaw:
    """Rows in which one leaf has no usable value, as a boolean column of the frame, with a column to show masked."""

    leaf: Leaf
    code: str
    message: str
    column: str
    shown: str


def evaluate(frame: pl.DataFrame, leaves: Sequence[Leaf]) -> tuple[pl.DataFrame, list[Flaw]]:
    """Return the frame with a coerced column for each leaf, a column for each flaw found, and the flaws."""
    raw = _compute(frame, leaves)
    columns: list[pl.Series] = []
    flaws: list[Flaw] = []
    for leaf in leaves:
        values, failed = raw[leaf.index]
        fitted = coerce(values, leaf.rule).alias(names.leaf(leaf.index))
        columns.append(fitted)
        if failed is not None:
            reason, rows = failed
            shown = _shown_root(frame, leaf)
            flaws.append(_flaw(leaf, "expression", reason))
            columns += [rows.alias(flaws[-1].column), shown.alias(flaws[-1].shown)]
        if fitted.null_count() > values.null_count():
            lost = values.is_not_null() & fitted.is_null()
            message = f"must be {leaf.rule.kind.value}"
            flaws.append(_flaw(leaf, "kind", message))
            columns += [lost.alias(flaws[-1].column), _masked(values).alias(flaws[-1].shown)]
    return frame.with_columns(columns), flaws


def _flaw(leaf: Leaf, code: str, message: str) -> Flaw:
    """Return a flaw with column names of its own."""
    number = leaf.index * 2 + (code == "kind")
    return Flaw(leaf, code, message, names.flaw(number), names.shown(number))


def _masked(values: pl.Series) -> pl.Series:
    """Return values as masked text."""
    return values.to_frame("x").select(masked(pl.col("x")).alias("x"))["x"]


def _shown_root(frame: pl.DataFrame, leaf: Leaf) -> pl.Series:
    """Return the masked input of an expression that has one input column; else nulls."""
    roots = list(dict.fromkeys(leaf.expr.meta.root_names()))
    if len(roots) != 1 or frame[roots[0]].dtype.is_nested():
        return pl.Series([None] * frame.height, dtype=pl.String)
    return _masked(frame[roots[0]])


_Computed = dict[int, tuple[pl.Series, tuple[str, pl.Series] | None]]


def _compute(frame: pl.DataFrame, leaves: Sequence[Leaf]) -> _Computed:
    """Return the values of each leaf, and where there are any, the rows that it failed for and why."""
    if not leaves:
        return {}
    try:
        whole = frame.with_columns([leaf.expr.alias(names.leaf(leaf.index)) for leaf in leaves])
    except FAILS:
        return {leaf.index: _one(frame, leaf) for leaf in leaves}
    return {leaf.index: (whole[names.leaf(leaf.index)], None) for leaf in leaves}


def _one(frame: pl.DataFrame, leaf: Leaf) -> tuple[pl.Series, tuple[str, pl.Series] | None]:
    """Compute one leaf alone; on failure, for the rows that let it."""
    try:
        return _values(frame, leaf.expr), None
    except FAILS as error:
        found = _KNOWN.search(str(error))
        reason = f"the expression failed: {found.group().replace('`', '')}" if found else "the expression failed"
    bad = failing_rows(frame, leaf.expr)
    if bad.all():
        return pl.Series([None] * frame.height, dtype=leaf.kind), (reason, bad)
    numbered = frame.with_row_index("lading:i")
    good = numbered.filter(~bad)
    values = good.select("lading:i").with_columns(_values(good, leaf.expr).alias("lading:x"))
    placed = numbered.select("lading:i").join(values, on="lading:i", how="left", maintain_order="left")
    return placed["lading:x"], (reason, bad)


def _values(frame: pl.DataFrame, expr: pl.Expr) -> pl.Series:
    """Return the values of an expression, one for each row even when it is constant."""
    return frame.with_columns(expr.alias("lading:x"))["lading:x"]


def failing_rows(frame: pl.DataFrame, expr: pl.Expr) -> pl.Series:
    """Return the rows of a frame for which an expression raises, as a boolean for each row.

    Cost: one lenient pass over the frame, then about two tries for each distinct failing input.
    """
    roots = list(dict.fromkeys(expr.meta.root_names()))
    if not roots:
        return pl.Series([True] * frame.height, dtype=pl.Boolean)
    rows = frame.select(roots).with_row_index("lading:i")
    suspects = _suspects(rows, expr)
    firsts = suspects.unique(roots, keep="first", maintain_order=True) if _hashable(frame, roots) else suspects
    guilty = _halve(firsts, expr)
    inputs = rows.filter(pl.col("lading:i").is_in(guilty))
    if firsts.height == suspects.height:
        found = inputs["lading:i"]
    else:
        found = suspects.join(inputs.select(roots), on=roots, how="semi", nulls_equal=True)["lading:i"]
    return rows.select(pl.col("lading:i").is_in(found.implode()).alias("bad"))["bad"]


def _hashable(frame: pl.DataFrame, roots: list[str]) -> bool:
    """Whether equal inputs can be told without looking inside nested values."""
    return not any(frame[one].dtype.is_nested() for one in roots)


def _suspects(rows: pl.DataFrame, expr: pl.Expr) -> pl.DataFrame:
    """Return the rows that may fail: those where the lenient variant gives null, when the others all compute."""
    lenient = _lenient(expr)
    if lenient is None:
        return rows
    try:
        empty = _values(rows, lenient).is_null()
        _values(rows.filter(~empty), expr)
    except FAILS:
        return rows
    return rows.filter(empty)


def _lenient(expr: pl.Expr) -> pl.Expr | None:
    """Return the expression with casts and parses that give null instead of raising, or None.

    It works on the library's own JSON form; quotes inside literals are escaped there and cannot be mistaken.
    """
    try:
        text = expr.meta.serialize(format="json")
        soft = text.replace('"options":"Strict"', '"options":"NonStrict"').replace('"strict":true', '"strict":false')
        return pl.Expr.deserialize(io.StringIO(soft), format="json") if soft != text else None
    except (*FAILS, ValueError, TypeError):
        return None


def _halve(rows: pl.DataFrame, expr: pl.Expr) -> list[int]:
    """Return the numbers of the rows that fail, by trying ever smaller halves."""
    guilty: list[int] = []
    pending = [rows]
    while pending:
        part = pending.pop()
        if part.height == 0:
            continue
        try:
            _values(part, expr)
        except FAILS:
            if part.height == 1:
                guilty.append(part["lading:i"][0])
                continue
            middle = part.height // 2
            pending += [part[:middle], part[middle:]]
    return guilty
