"""Compiled job: everything that is derived from a job and the columns of its source before rows are read.

`validate`, the comparison, its tasks, batch files and removals all use the value of `compile_job`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import polars as pl

from batchsync.core.mapping import Expression, Object
from batchsync.core.record_schema import Kind, Rule
from batchsync.core.vendor_rules import FileFormat
from batchsync.data.frame.columns import SENT_KEY
from batchsync.data.mapping.compiled import Leaf, Record, compile_record, is_convertible
from batchsync.data.mapping.csv_encode import header_names
from batchsync.data.mapping.expressions import parse, problem
from batchsync.data.record.missing_fields import add_missing_fields
from batchsync.data.row.csv_reader import likely_delimiter
from batchsync.data.row.joins import joined_schema
from batchsync.errors import Problem, SpecError
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from batchsync.core.job import Job
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
        schema: Columns of the source with those of its joins.
        key: Key columns, or the key expression, as leaves of kind string.
        record: Compiled record.
        removal: Compiled record of removals, over the key columns alone; empty without `on_removed`.
        columns: Columns of a CSV batch file; empty for JSON.
        problems: What does not fit the source; the other attributes are usable only without any.
    """

    job: Job
    rules: VendorRules
    source_files: SourceFiles
    schema: dict[str, pl.DataType]
    key: tuple[Leaf, ...]
    record: Record
    removal: Record
    columns: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def grouped(self) -> bool:
        """Whether several source rows make one record (`each:`)."""
        return bool(self.record.repeats)

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
        SourceError: If a joined file is missing, cannot be read, or does not fit the source.
    """
    source_files = add_missing_fields(job, source_files)
    schema = joined_schema(job.source, source_files.schema)
    vendor_schema = rules.schema_for(job.target)
    rule = vendor_schema.root if vendor_schema else None
    key, problems = _key(job, schema)
    problems += _column_problems(job, schema)
    record, more = compile_record(job.record, rule, schema, names=schema)
    problems += more
    columns: tuple[str, ...] = ()
    if rules.file.format is FileFormat.CSV:
        columns, more = header_names(job, record, template)
        problems += more
    removal = _NO_RECORD
    if job.removal is not None:
        key_schema: dict[str, pl.DataType] = dict.fromkeys(key_names(job), pl.String())
        removal, more = compile_record(job.removal.record, rule, key_schema, names=schema)
        problems += [item for item in more if item not in problems]
    return CompiledJob(
        job=job,
        rules=rules,
        source_files=source_files,
        schema=schema,
        key=key,
        record=record,
        removal=removal,
        columns=columns,
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
        return (), [_unknown_column("key", item, job, schema) for item in missing]
    leaves = [Leaf(i, "key", pl.col(item), schema[item], _STRING, None) for i, item in enumerate(source.key)]
    nested = [leaf for leaf in leaves if not is_convertible(leaf.kind, Kind.STRING)]
    if nested:
        message = f"key: {' and '.join(source.key)} holds {str(nested[0].kind).lower()}, which cannot be a key"
        return (), [problem("key_kind", message, source.place, "Use columns of strings, numbers or dates.")]
    return tuple(leaves), []


def _column_problems(job: Job, schema: dict[str, pl.DataType]) -> list[Problem]:
    """Return a problem for each column named outside of expressions that is missing or has no order."""
    named = [("send.since", job.send.since)] if job.send.since else []
    if job.source.duplicates.startswith("by:"):
        named.append(("source.duplicates", job.source.duplicates.removeprefix("by:")))
    missing = [_unknown_column(option, item, job, schema) for option, item in named if item not in schema]
    nested = [
        (option, item) for option, item in named if item in schema and not is_convertible(schema[item], Kind.STRING)
    ]
    message = "{}: values of column {!r} have no order"
    hint = "Use a column of strings, numbers or dates."
    return missing + [problem("unordered", message.format(*item), job.source.place, hint) for item in nested]


def _unknown_column(option: str, name: str, job: Job, schema: dict[str, pl.DataType]) -> Problem:
    """Return the problem of an unknown column; suggests another delimiter where that is the cause."""
    other_delimiter = likely_delimiter(tuple(schema), job.source.delimiter)
    hint = (
        f"The file seems to be delimited by {other_delimiter!r}: set source.delimiter."
        if other_delimiter
        else closest(name, tuple(schema))
    )
    return problem("unknown_column", f"{option}: the source has no column {name!r}", job.source.place, hint)
