"""A member that a job names and that no line has today is a member without a value, not a mistake in the job.

It does not know rows. Only formats where a value need not be written, or where a column without one has no type, are
looked at: a CSV file says in its header which columns it has.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from lading.core.mapping import Array, Each, Expression, Object
from lading.data.expressions import parse
from lading.data.read import open_join
from lading.errors import Problem
from lading.polars_sql import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.core.job import Job
    from lading.core.mapping import Node
    from lading.data.read import Input

#: What a column without a value may be of, in this order.
_TYPES = (pl.String(), pl.Int64(), pl.Boolean(), pl.Datetime("us"), pl.List(pl.String()), pl.Null())
_NEAR = 0.6


def with_members(job: Job, given: Input) -> Input:
    """Return the input with each member that the job names, and a type for each that has no value.

    A name that is rather a slip of the pen for a member which the job does not name otherwise is left out, so that it
    is told as one.

    Raises:
        SourceError: when a joined file cannot be read.
    """
    if given.format == "csv":
        return given
    schema = dict(given.schema)
    if given.format == "jsonl":
        joined = {name for join in job.source.joins for name in open_join(job.source, join).schema}
        wanted = dict.fromkeys(name for name in _named(job) if name not in joined)
        idle = [name for name in schema if name not in wanted]
        schema |= {name: pl.Null() for name in wanted if name not in schema and not _slip(name, idle)}
    void = [name for name, kind in schema.items() if kind == pl.Null]
    if not void:
        return given
    schema |= dict.fromkeys(void, _TYPES[0])
    for expression in _expressions(job):
        names = [name for name in _roots(expression) if name in void]
        if names:
            schema |= dict.fromkeys(names, _fitting(expression, names, schema))
    return replace(given, schema=schema, void=frozenset(void))


def _fitting(expression: Expression, names: list[str], schema: dict[str, pl.DataType]) -> pl.DataType:
    """Return the first type with which the expression can be computed; that of the first name when there is none."""
    for kind in _TYPES:
        if not isinstance(parse(expression, schema | dict.fromkeys(names, kind)), Problem):
            return kind
    return schema[names[0]]


def _named(job: Job) -> Iterator[str]:
    """Yield the columns that a job names."""
    for expression in _expressions(job):
        yield from _roots(expression)
    if not isinstance(job.source.key, Expression):
        yield from job.source.key
    yield from (left for join in job.source.joins for left, _ in join.on)
    if job.send.since:
        yield job.send.since
    if job.source.duplicates.startswith("by:"):
        yield job.source.duplicates.removeprefix("by:")


def _expressions(job: Job) -> Iterator[Expression]:
    """Yield the expressions of a job's key and record."""
    if isinstance(job.source.key, Expression):
        yield job.source.key
    yield from _within(job.record)


def _within(node: Node) -> Iterator[Expression]:
    """Yield the expressions of a part of a record."""
    match node:
        case Expression():
            yield node
        case Object(members):
            for _, one in members:
                yield from _within(one)
        case Array(items):
            for one in items:
                yield from _within(one)
        case Each(item):
            yield from _within(item)
        case _:
            return


def _roots(expression: Expression) -> list[str]:
    """Return the columns of an expression; none when it cannot be read, which is told elsewhere."""
    return columns_of(expression.sql) or []


def _slip(name: str, idle: list[str]) -> bool:
    """Whether a name is rather one of those that nobody names."""
    folded = [one.casefold().strip() for one in idle]
    return bool(difflib.get_close_matches(name.casefold().strip(), folded, n=1, cutoff=_NEAR))
