"""Compiled job: everything that is derived from a job and the columns of its source before rows are read.

`validate`, the comparison, its tasks, batch files and removals all use the value of `compile_job`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import polars as pl

from batchsync.core.mapping import Expression, Object
from batchsync.core.record_schema import Kind, Rule
from batchsync.core.vendor_rules import FileFormat
from batchsync.data.frame.columns import SENT_KEY
from batchsync.data.mapping.compiled import compile_record, is_convertible
from batchsync.data.mapping.csv_encode import header_names
from batchsync.data.mapping.expressions import parse, problem
from batchsync.data.mapping.shapes import Leaf, Record
from batchsync.data.record.contract_counts import freshness_problem
from batchsync.data.record.missing_fields import add_missing_fields, named_columns
from batchsync.data.record.selection import compile_where
from batchsync.data.row.csv_header import likely_delimiter
from batchsync.data.row.joins import joined_schema, unreadable_columns
from batchsync.errors import Problem, SourceError, SpecError
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.core.mapping import Place
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.row.row_reader import SourceFiles

_STRING = Rule(kind=Kind.STRING)
_NO_RECORD, _ = compile_record(Object(()), None, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledJob:
    """A job compiled against its source. Picklable, so that tasks carry it.

    Attributes:
        job: The job.
        rules: Rules of the job's vendor.
        source_files: Files of the source.
        schema: Columns of the source with those of its joins; only those that are used, where the format allows it.
        key: Key columns, or the key expression, as leaves of kind string.
        where: Condition that rows must meet, if there is one.
        record: Compiled record.
        removal: Compiled record of removals, over the key columns alone; empty without `on_removed`.
        columns: Columns of a CSV batch file; empty for JSON.
        removal_columns: Columns of a CSV batch file of removals, where these have files of their own; else empty.
        used: Columns of the source and its joins that the job uses.
        problems: What does not fit the source; the other attributes are usable only without any.
    """

    job: Job
    rules: VendorRules
    source_files: SourceFiles
    schema: dict[str, pl.DataType]
    key: tuple[Leaf, ...]
    where: Leaf | None
    record: Record
    removal: Record
    columns: tuple[str, ...]
    removal_columns: tuple[str, ...]
    used: frozenset[str]
    problems: tuple[Problem, ...]

    @property
    def grouped(self) -> bool:
        """Whether several source rows make one record (`each:`, aggregates)."""
        return self.record.grouped

    def columns_of(self, record: Record) -> tuple[str, ...]:
        """Return the columns of a CSV batch file.

        Args:
            record: The records in it: those of the job, or of its removals.
        """
        return self.removal_columns if self.removal_columns and record is self.removal else self.columns

    def without_problems(self) -> Self:
        """Return the compiled job itself.

        Raises:
            SpecError: If it has problems; contains all of them.
        """
        if self.problems:
            raise SpecError(self.problems)
        return self


def compile_job(
    job: Job, rules: VendorRules, source_files: SourceFiles, template: tuple[str, ...] | None = None
) -> CompiledJob:
    """Compile a job against its opened source. Reads no rows.

    Args:
        job: The job.
        rules: Rules of the job's vendor.
        source_files: The opened source of the job.
        template: Columns of the vendor's template, if it has one.

    Returns:
        The compiled job with its problems.

    Raises:
        SourceError: If a joined file is missing, cannot be read, or does not fit the source, or a used column cannot
            be read.
    """
    source_files = add_missing_fields(job, source_files)
    schema = joined_schema(job.source, source_files.schema)
    vendor_schema = rules.schema_for(job.target)
    rule = vendor_schema.root if vendor_schema else None
    key, problems = _key(job, schema)
    where, more = compile_where(job.source, schema)
    problems += [*more, *_column_problems(job, schema)]
    record, more = compile_record(job.record, rule, schema, names=schema)
    problems += more
    columns: tuple[str, ...] = ()
    if rules.file.format is FileFormat.CSV:
        columns, more = header_names(job, record, template)
        problems += more
    removal = _NO_RECORD
    if job.removal is not None:
        key_schema: dict[str, pl.DataType] = dict.fromkeys(key_names(job), pl.String())
        removal, more = compile_record(job.removal.record, rule, key_schema, names=schema, combines=False)
        problems += [item for item in more if item not in problems]
    removal_columns: tuple[str, ...] = ()
    if job.removal is not None and rules.one_mode_per_batch and rules.file.format is FileFormat.CSV:
        removal_columns, more = header_names(job, removal, None)
        problems += [item for item in more if item not in problems]
    leaves = (*key, *filter(None, (where,)))
    used = record.columns.union(named_columns(job), *(leaf.columns for leaf in leaves))
    _check_readable(job, source_files, used)
    source_files = source_files.used(used)
    return CompiledJob(
        job=job,
        rules=rules,
        source_files=source_files,
        schema=joined_schema(job.source, source_files.schema, used),
        used=used,
        key=key,
        where=where,
        record=record,
        removal=removal,
        columns=columns,
        removal_columns=removal_columns,
        problems=tuple(problems),
    )


def key_names(job: Job) -> tuple[str, ...]:
    """Return the names of the key columns; a key expression is called `key`."""
    return ("key",) if isinstance(job.source.key, Expression) else job.source.key


def key_columns(job: Job) -> list[pl.Expr]:
    """Return the key columns by name, as strings, parsed from the canonical key in `SENT_KEY`."""
    key = key_names(job)
    if len(key) == 1:
        return [pl.col(SENT_KEY).alias(key[0])]
    values = pl.col(SENT_KEY).str.json_decode(pl.List(pl.String))
    return [values.list.get(index).alias(name) for index, name in enumerate(key)]


def _key(job: Job, schema: dict[str, pl.DataType]) -> tuple[tuple[Leaf, ...], list[Problem]]:
    """Return the key as leaves of kind string, and problems."""
    source = job.source
    if isinstance(source.key, Expression):
        parsed = parse(source.key, schema)
        if isinstance(parsed, Problem):
            return (), [parsed]
        return (Leaf(0, "key", parsed[0], parsed[1], _STRING, None),), []
    missing = [item for item in source.key if item not in schema]
    if missing:
        places = dict(zip(source.key, source.key_places, strict=False))
        return (), [_unknown_column("key", item, job, schema, places.get(item)) for item in missing]
    leaves = [Leaf(i, "key", pl.col(item), schema[item], _STRING, None) for i, item in enumerate(source.key)]
    nested = [leaf for leaf in leaves if not is_convertible(leaf.kind, Kind.STRING)]
    if nested:
        message = f"key: {' and '.join(source.key)} holds {str(nested[0].kind).lower()}, which cannot be a key"
        place = source.key_places[nested[0].index] if source.key_places else source.place
        return (), [problem("key_kind", message, place, "Use columns of strings, numbers or dates.")]
    return tuple(leaves), []


def _column_problems(job: Job, schema: dict[str, pl.DataType]) -> list[Problem]:
    """Return a problem for each column named outside of expressions that is missing or has no order."""
    named = [("send.since", job.send.since)] if job.send.since else []
    if job.suppress is not None:
        named.append(("suppress.matches", job.suppress.column))
    if job.source.duplicates.startswith("by:"):
        named.append(("source.duplicates", job.source.duplicates.removeprefix("by:")))
    missing = [_unknown_column(option, item, job, schema) for option, item in named if item not in schema]
    nested = [
        (option, item) for option, item in named if item in schema and not is_convertible(schema[item], Kind.STRING)
    ]
    message = "{}: values of column {!r} have no order"
    hint = "Use a column of strings, numbers or dates."
    found = missing + [problem("unordered", message.format(*item), job.source.place, hint) for item in nested]
    return found + _lag_problems(job, schema) + _contract_problems(job, schema)


def _lag_problems(job: Job, schema: dict[str, pl.DataType]) -> list[Problem]:
    """Return a problem if the lag of a query that reads new rows is of another unit than its column."""
    since = job.source.query.since if job.source.query is not None else None
    if since is None or since.column not in schema:
        return []
    kind, is_time = schema[since.column], isinstance(since.lag, timedelta)
    expected = ""
    if kind.is_numeric() and is_time and since.lag:
        expected = "a number, such as 1000"
    elif kind.is_temporal() and not is_time:
        expected = "a duration, such as 15m"
    if not expected:
        return []
    message = f"since: the lag does not fit column {since.column!r}, which holds {str(kind).lower()}"
    return [problem("since_lag", message, job.source.place, f"Write lag: {expected}.")]


def _contract_problems(job: Job, schema: dict[str, pl.DataType]) -> list[Problem]:
    """Return a problem for each column of the contract of the source that is missing, or has no age."""
    contract = job.source.contract
    if contract is None:
        return []
    found = [
        _unknown_column("source.columns", rule.column, job, schema, rule.place)
        for rule in contract.columns
        if rule.column not in schema
    ]
    fresh = contract.freshness
    if fresh is None:
        return found
    if fresh.column not in schema:
        return [_unknown_column("source.freshness", fresh.column, job, schema, fresh.place), *found]
    ageless = freshness_problem(fresh, schema[fresh.column])
    return [*found, ageless] if ageless else found


def _check_readable(job: Job, source_files: SourceFiles, used: frozenset[str]) -> None:
    """Raise an error if a used column cannot be read."""
    found = unreadable_columns(job.source) | dict(source_files.unreadable)
    for name, reason in found.items():
        if name in used:
            message = f"{job.source.place}: column {name!r} cannot be read: {reason}"
            raise SourceError(message, hint="Export the column with one type that is supported, or do not use it.")


def _unknown_column(
    option: str, name: str, job: Job, schema: dict[str, pl.DataType], place: Place | None = None
) -> Problem:
    """Return the problem of an unknown column; suggests another delimiter where that is the cause."""
    other_delimiter = likely_delimiter(tuple(schema), job.source.delimiter)
    hint = (
        f"The file seems to be delimited by {other_delimiter!r}: set source.delimiter."
        if other_delimiter
        else closest(name, tuple(schema))
    )
    return problem("unknown_column", f"{option}: the source has no column {name!r}", place or job.source.place, hint)
