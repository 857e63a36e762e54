"""Encode records as lines of CSV with standard quoting (RFC 4180), in the columns of the vendor's template.

Values are not protected against spreadsheet formulas: the vendor receives exactly what the job maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.mapping.expressions import problem
from batchsync.data.mapping.shapes import Constant, Record, Value
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.errors import Problem


def header_names(job: Job, record: Record, template: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[Problem]]:
    """Return the columns of the file and problems of the record.

    Args:
        job: The job.
        record: Its compiled record.
        template: Columns of the vendor's template, if it has one.

    Returns:
        The template's columns, else the record's members; and the members that do not fit.
    """
    problems = [
        problem("nested", f"{name}: an object or a list cannot be written to a CSV file", job.record.place)
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
    return (",".join(frame.select(_quote_field(pl.col("x")).alias("x"))["x"].to_list()) + "\n").encode()


def fields(record: Record, columns: tuple[str, ...]) -> list[pl.Expr]:
    """Return the text of each column as sent, unquoted; null where the record has no value."""
    shapes = dict(record.root.pairs)
    result = []
    for name in columns:
        match shapes.get(name):
            case Value(leaf):
                text = pl.col(names.leaf_column(leaf.index)).cast(pl.String)
            case Constant(text=constant):
                text = pl.lit(constant)
            case _:
                text = pl.lit(None, dtype=pl.String)
        result.append(text.alias(name))
    return result


def encode_rows(frame: pl.DataFrame, record: Record, columns: tuple[str, ...]) -> pl.Series:
    """Return each record as a line with its line end.

    Args:
        frame: The columns of `MappedRecords.heads`.
        record: Compiled record without lists or objects.
        columns: Columns of the file.

    Returns:
        The lines (String), in the order of the frame.
    """
    empty = '""' if len(columns) == 1 else ""
    parts = [_quote_field(field).fill_null(empty) for field in fields(record, columns)]
    line = pl.concat_str([pl.concat_str(parts, separator=","), pl.lit("\n")])
    return frame.with_columns(line.alias("batchsync:text"))["batchsync:text"]


def _quote_field(text: pl.Expr) -> pl.Expr:
    """Quote a field if it contains a comma, a quote or a line end, or begins or ends with a space."""
    quoted = pl.concat_str([pl.lit('"'), text.str.replace_all('"', '""', literal=True), pl.lit('"')])
    return pl.when(text.str.contains('[",\r\n]|^ | $')).then(quoted).otherwise(text)
