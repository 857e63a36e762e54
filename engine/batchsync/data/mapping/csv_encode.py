"""A record becomes one line of CSV with standard quoting, in the columns of the vendor's template.

It does not validate, and does not guard against formulas: what the vendor gets is what the job says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.expressions import problem
from lading.data.shapes import Constant, Record, Value
from lading.data.words import closest

if TYPE_CHECKING:
    from lading.core.job import Job
    from lading.errors import Problem


def header_names(job: Job, record: Record, template: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[Problem]]:
    """Return the columns of the file: the vendor's template, else the record's members; and what does not fit."""
    problems = [
        problem("nested", f"{name}: a CSV file has no place for an object or a list", job.record.place)
        for name, shape in record.root.pairs
        if not isinstance(shape, (Value, Constant))
    ]
    members = tuple(name for name, _ in record.root.pairs)
    if template is None:
        return members, problems
    for name in members:
        if name not in template:
            hint = closest(name, template)
            problems.append(
                problem("not_in_template", f"the vendor's template has no column {name!r}", job.record.place, hint)
            )
    return template, problems


def header_line(columns: tuple[str, ...]) -> bytes:
    """Return the header with its line end."""
    frame = pl.DataFrame({"x": list(columns)}, schema={"x": pl.String})
    return (",".join(frame.select(_field(pl.col("x")).alias("x"))["x"].to_list()) + "\n").encode()


def fields(record: Record, columns: tuple[str, ...]) -> list[pl.Expr]:
    """Return the text of each column as sent, unquoted; null where the record has no value."""
    shapes = dict(record.root.pairs)
    found = []
    for name in columns:
        match shapes.get(name):
            case Value(leaf):
                text = pl.col(names.leaf(leaf.index)).cast(pl.String)
            case Constant(text=constant):
                text = pl.lit(constant)
            case _:
                text = pl.lit(None, dtype=pl.String)
        found.append(text.alias(name))
    return found


def lines(frame: pl.DataFrame, record: Record, columns: tuple[str, ...]) -> pl.Series:
    """Return each record as a line with its line end."""
    empty = '""' if len(columns) == 1 else ""
    parts = [_field(one).fill_null(empty) for one in fields(record, columns)]
    line = pl.concat_str([pl.concat_str(parts, separator=","), pl.lit("\n")])
    return frame.with_columns(line.alias("lading:text"))["lading:text"]


def _field(text: pl.Expr) -> pl.Expr:
    """Return a field, in quotes where it holds a comma, a quote, a line end, or a blank at an edge."""
    quoted = pl.concat_str([pl.lit('"'), text.str.replace_all('"', '""', literal=True), pl.lit('"')])
    return pl.when(text.str.contains('[",\r\n]|^ | $')).then(quoted).otherwise(text)
