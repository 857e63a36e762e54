"""Fields that a job names but no line of a JSON source has today: they are treated as null instead of as unknown.

A file that declares its columns, such as a CSV file in its header, gets none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Array, Each, Expression, Object
from batchsync.data.mapping.expressions import columns_of, parse
from batchsync.data.row.open_source import open_join
from batchsync.errors import Problem
from batchsync.util.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.job import Job
    from batchsync.core.mapping import Node
    from batchsync.data.row.row_reader import SourceFiles

#: Types that a column without values is tried with, in this order.
_TYPES = (pl.String(), pl.Int64(), pl.Boolean(), pl.Datetime("us"), pl.List(pl.String()), pl.Null())


def add_missing_fields(job: Job, source_files: SourceFiles) -> SourceFiles:
    """Return the source files with each field that the job names, and a type for each column that has no values.

    A name that is probably misspelled (similar to a column that the job does not use) is not added, so that it is
    reported.

    Args:
        job: The job.
        source_files: Files of the source.

    Returns:
        The files with `schema` and `void` completed.

    Raises:
        SourceError: If a joined file cannot be read.
    """
    schema = dict(source_files.schema)
    if not source_files.reader.declares_columns:
        joined = {name for join in job.source.joins for name in open_join(job.source, join).schema}
        named = dict.fromkeys(name for name in named_columns(job) if name not in joined)
        unused = [name for name in schema if name not in named]
        schema |= {name: pl.Null() for name in named if name not in schema and not _is_misspelled(name, unused)}
    untyped = [name for name, kind in schema.items() if kind == pl.Null]
    if not untyped:
        return source_files
    schema |= dict.fromkeys(untyped, _TYPES[0])
    for expression in _expressions(job):
        columns = [name for name in _columns(expression) if name in untyped]
        if columns:
            schema |= dict.fromkeys(columns, _fitting_type(expression, columns, schema))
    return replace(source_files, schema=schema, void=frozenset(untyped))


def _fitting_type(expression: Expression, columns: list[str], schema: dict[str, pl.DataType]) -> pl.DataType:
    """Return the first type with which the expression can be computed; without one, that of the first column."""
    for kind in _TYPES:
        if not isinstance(parse(expression, schema | dict.fromkeys(columns, kind)), Problem):
            return kind
    return schema[columns[0]]


def named_columns(job: Job) -> Iterator[str]:
    """Yield the columns that a job names."""
    for expression in _expressions(job):
        yield from _columns(expression)
    if not isinstance(job.source.key, Expression):
        yield from job.source.key
    yield from (left for join in job.source.joins for left, _ in join.on)
    if job.send.since:
        yield job.send.since
    if job.source.duplicates.startswith("by:"):
        yield job.source.duplicates.removeprefix("by:")
    if job.source.contract is not None:
        yield from job.source.contract.names
    if job.suppress is not None:
        yield job.suppress.column


def _expressions(job: Job) -> Iterator[Expression]:
    """Yield the expressions of a job's key, condition and record."""
    if isinstance(job.source.key, Expression):
        yield job.source.key
    if job.source.where is not None:
        yield job.source.where
    yield from _expressions_of(job.record)


def _expressions_of(node: Node) -> Iterator[Expression]:
    """Yield the expressions of a node of a record."""
    match node:
        case Expression():
            yield node
        case Object(members):
            for _, member in members:
                yield from _expressions_of(member)
        case Array(items):
            for item in items:
                yield from _expressions_of(item)
        case Each(item, order=order):
            yield from _expressions_of(item)
            yield from order
        case _:
            return


def _columns(expression: Expression) -> list[str]:
    """Return the columns of an expression; none if it cannot be parsed, which is reported elsewhere."""
    return columns_of(expression.sql)


def _is_misspelled(name: str, unused: list[str]) -> bool:
    """Return whether a name is similar to a column that the job does not use."""
    return bool(nearest(name, unused))
