"""Rows of joins that a test of a mapping gives, as loaded joins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.mapping.expressions import problem
from batchsync.data.record.given_rows import frame_of, null_texts
from batchsync.data.row.joins import Lookup
from batchsync.util.suggestions import did_you_mean, one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.job import Job, Join
    from batchsync.core.mapping_test import JoinedRows
    from batchsync.data.record.given_rows import Schema
    from batchsync.errors import Problem


@dataclass(frozen=True, slots=True)
class GivenJoin:
    """A join with given rows.

    Attributes:
        name: Its name for messages.
        lookup: The loaded join.
        added: Columns that it adds to the source.
        repeats_key: Whether a key occurs in more than one row, which stops a run.
    """

    name: str
    lookup: Lookup
    added: tuple[str, ...]
    repeats_key: bool


def given_joins(
    job: Job, joined: Sequence[JoinedRows], schema: Schema, problems: list[Problem]
) -> tuple[GivenJoin, ...]:
    """Return the joins whose rows a test gives, in the order of the job.

    Args:
        job: The job.
        joined: The rows of joins.
        schema: Columns that the job uses, of the source and its joins.
        problems: Receives joins that the job does not have, columns that it does not use, and rows without a key.
    """
    names = {name: join for join in job.source.joins for name in join_names(join)}
    rows_of: dict[int, JoinedRows] = {}
    for item in joined:
        join = names.get(item.name)
        if join is None:
            advice = did_you_mean(item.name, names) or (f"joins are: {one_of(names)}" if names else "remove it")
            problems.append(problem("test_join", f"the job has no join {quoted(item.name)}", item.place, advice))
        else:
            rows_of[job.source.joins.index(join)] = item
    return tuple(
        _given_join(job, join, rows_of[number], schema, problems)
        for number, join in enumerate(job.source.joins)
        if number in rows_of
    )


def join_names(join: Join) -> tuple[str, ...]:
    """Return the names of a join in tests: its path, or the table or title of its query."""
    table = join.source.query.table if join.source is not None and join.source.query is not None else ()
    return tuple(dict.fromkeys((join.path, *filter(None, [".".join(table)]))))


def _given_join(job: Job, join: Join, item: JoinedRows, schema: Schema, problems: list[Problem]) -> GivenJoin:
    """Return a join with its given rows."""
    left, right = tuple(pair[0] for pair in join.on), tuple(pair[1] for pair in join.on)
    for row in item.rows:
        given = {cell.column for cell in row.cells}
        for name in right:
            if name not in given:
                message = f"a row of join {quoted(item.name)} has no value of its key {name!r}"
                problems.append(problem("test_join", message, row.place, f"Write {name}: ..."))
        for cell in row.cells:
            if cell.column not in {*schema, *right}:
                message = f"the job does not use column {cell.column!r}"
                known = (*right, *schema)
                problems.append(problem("test_column", message, cell.place, did_you_mean(cell.column, known)))
    named = dict.fromkeys((*right, *(cell.column for row in item.rows for cell in row.cells)))
    kinds = {name: schema.get(name, pl.String()) for name in named}
    table, more = frame_of(item.rows, kinds, null_texts(job.source))
    problems += more
    copies = tuple(f"batchsync:on{index}" for index in range(len(right)))
    as_text = [pl.col(name).cast(pl.String).alias(copy) for name, copy in zip(right, copies, strict=True)]
    table = table.drop("batchsync:given").with_columns(as_text).filter(~pl.any_horizontal(pl.col(right).is_null()))
    repeats = bool(table.select(copies).is_duplicated().any())
    added = tuple(name for name in named if name not in left)
    return GivenJoin(item.name, Lookup(left, copies, table), added, repeats)
