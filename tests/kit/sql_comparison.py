"""Compares the values of an expression in batchsync with those of PostgreSQL, row by row."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Expression
from batchsync.data.mapping.evaluate import EXPRESSION_ERRORS, failing_rows
from batchsync.data.mapping.expressions import parse
from batchsync.data.sql.casts import to_text
from batchsync.data.sql.values import Typed, failure_of
from batchsync.errors import Problem
from kit.expressions import for_batchsync

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.postgresql import Value

_ISO = "ISO form only"
_YEARS = "dates beyond the years 1 to 9999 make the row invalid"
_DIGITS = "a result that does not fit 64 bits, or 38 digits, makes the row invalid"
#: What batchsync refuses, or makes invalid, although PostgreSQL computes it: part of the message, and the sentence of
#: docs/expressions.md that says so.
STRICTER = {
    **dict.fromkeys(("is no ISO date", "is no ISO time", "is no date", "is no time"), _ISO),
    "a date outside of the years 1 to 9999": _YEARS,
    "more digits than a decimal keeps": "more than 18 digits after the point make the row invalid",
    **dict.fromkeys(("digits after the point, more than 38", "to `decimal[", "to `i64` failed"), _DIGITS),
}
#: Errors of PostgreSQL where batchsync has a value, and the sentence of docs/expressions.md that says so.
LENIENT = {
    "integer out of range": "`INTEGER` arithmetic has 64 bits",
    "value out of range: overflow": "double precision beyond its range is `Infinity`, or 0",
    "value out of range: underflow": "double precision beyond its range is `Infinity`, or 0",
}
#: A CASE whose last branches have the same value: their test decides nothing.
_SAME_BRANCHES = re.compile(r"THEN (.+) ELSE \1 END")
_UNDECIDED = "parts that do not decide are not computed"
#: Functions that keep whole numbers, which PostgreSQL makes double precision: the greatest are out of its range.
_KEEP_WHOLE = re.compile(r"\b(?:ceil|floor|round|trunc|sign|div|power)\(")
_WHOLE = "of whole numbers and of whole parts are integers"
#: The sentences of all.
DOCUMENTED = (*STRICTER.values(), *LENIENT.values(), _UNDECIDED, _WHOLE)
#: Relative difference of numbers that were divided, or computed by a function of the C library.
_TOLERANCE = 1e-12
_INEXACT = re.compile(r"/|\^|\b(?:power|exp|ln|log10|sqrt)\b|DOUBLE|NUMERIC\(20")


@dataclass(frozen=True, slots=True)
class Difference:
    """A row in which the results differ.

    Attributes:
        what: How they differ.
        ours: The result of batchsync.
        theirs: The result of PostgreSQL.
        row: Values of the columns that the expression uses.
    """

    what: str
    ours: str | None
    theirs: Value
    row: dict[str, object]


def differences(sql: str, frame: pl.DataFrame, theirs: Sequence[Value]) -> list[Difference]:
    """Compare the values of an expression, as `expressions` draws it, in each row of a frame."""
    words = set(re.findall(r"\w+", sql))
    rows = [{name: value for name, value in row.items() if name in words} for row in frame.iter_rows(named=True)]
    parsed = parse(Expression(for_batchsync(sql)), dict(frame.schema))
    if isinstance(parsed, Problem):
        computed = [value for value in theirs if not value.failed]
        if not computed or any(part in parsed.message for part in STRICTER):
            return []
        return [Difference("refused", parsed.message, computed[0], rows[0])]
    values, failing = values_of(parsed[0], parsed[1], frame)
    found = []
    for index, (ours, failed, other) in enumerate(zip(values, failing, theirs, strict=True)):
        if failed != other.failed:
            reason = reason_of(parsed[0], frame[index : index + 1]) if failed else other.message
            undecided = not failed and (
                _SAME_BRANCHES.search(sql) or ("bigint out of range" in reason and _KEEP_WHOLE.search(sql))
            )
            if not undecided and not any(part in reason for part in (STRICTER if failed else LENIENT)):
                found.append(Difference(f"{'batchsync' if failed else 'PostgreSQL'} fails", reason, other, rows[index]))
        elif not failed and not equal(ours, other, exact=not _INEXACT.search(sql)):
            found.append(Difference("other value", ours, other, rows[index]))
    return found


def values_of(expr: pl.Expr, kind: pl.DataType, frame: pl.DataFrame) -> tuple[list[str | None], list[bool]]:
    """Return the values of an expression as text, and in which rows it fails."""
    text = to_text(Typed(pl.col("result"), kind)).expr
    failing = [False] * frame.height
    computable = frame
    try:
        values = frame.with_columns(expr.alias("result"))
    except EXPRESSION_ERRORS:
        failing = failing_rows(frame, expr).to_list()
        computable = frame.filter(~pl.Series(failing, dtype=pl.Boolean))
        values = computable.with_columns(expr.alias("result")) if computable.height else pl.DataFrame({"result": []})
    texts = iter(values.select(text.alias("result"))["result"].to_list() if computable.height else [])
    return [None if failed else next(texts) for failed in failing], failing


def reason_of(expr: pl.Expr, row: pl.DataFrame) -> str:
    """Return why an expression fails in a row."""
    try:
        row.with_columns(expr.alias("result"))
    except EXPRESSION_ERRORS as error:
        return failure_of(error) or str(error)
    return "it computes alone"


def equal(ours: str | None, theirs: Value, *, exact: bool) -> bool:
    """Return whether two values are the same: numbers by value, others by text."""
    if ours is None or theirs.text is None:
        return ours is None and theirs.text is None
    if ours == theirs.text:
        return True
    if theirs.kind == "numeric":
        left, right = Decimal(ours), Decimal(theirs.text)
        return left == right or (not exact and math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=1e-15))
    if theirs.kind == "double precision":
        return float(ours) == float(theirs.text) or (
            not exact and math.isclose(float(ours), float(theirs.text), rel_tol=_TOLERANCE)
        )
    return False
