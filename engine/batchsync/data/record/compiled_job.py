"""Compiled job: everything that is derived from a job and the columns of its source before rows are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Expression
from batchsync.core.record_schema import Kind, Rule
from batchsync.core.vendor_rules import FileFormat
from batchsync.data.mapping.compiled import Leaf, Record, compile_record, is_convertible
from batchsync.data.mapping.csv_encode import header_names
from batchsync.data.mapping.expressions import parse, problem
from batchsync.data.mapping.literals import literals_that_name_columns
from batchsync.data.mapping.validate import Check, checks
from batchsync.data.record.missing_fields import add_missing_fields
from batchsync.data.row.csv_validation import likely_delimiter
from batchsync.data.row.joins import joined_schema
from batchsync.data.row.reader import open_source
from batchsync.errors import Problem, SpecError
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.row.source_files import SourceFiles

_STRING = Rule(kind=Kind.STRING)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledJob:
    """A job compiled against its source.

    Attributes:
        job: The job.
        rules: Rules of the job's vendor.
        source_files: Files of the source.
        schema: Columns of the source with those of its joins.
        key: Key columns, or the key expression, as leaves of kind string.
        record: Compiled record.
        columns: Columns of a CSV batch file; empty for JSON.
        template: Columns of the vendor's template, if it has one.
    """

    job: Job
    rules: VendorRules
    source_files: SourceFiles
    schema: dict[str, pl.DataType]
    key: tuple[Leaf, ...]
    record: Record
    columns: tuple[str, ...]
    template: tuple[str, ...] | None = None

    @property
    def grouped(self) -> bool:
        """Whether several source rows make one record (`each:`)."""
        return bool(self.record.repeats)


def compile_job(job: Job, rules: VendorRules, template: tuple[str, ...] | None = None) -> CompiledJob:
    """Compile a job against its source.

    Args:
        job: The job.
        rules: Rules of the job's vendor.
        template: Columns of the vendor's template, if it has one.

    Returns:
        The compiled job.

    Raises:
        SourceError: If the source is missing or cannot be read.
        SpecError: If the job does not fit the source, with all problems.
    """
    source_files = add_missing_fields(job, open_source(job.source))
    return compile_with_schema(job, rules, template, source_files, joined_schema(job.source, source_files.schema))


def try_compile_job(
    job: Job, rules: VendorRules, template: tuple[str, ...] | None
) -> tuple[CompiledJob, list[Problem]]:
    """Compile a job against its source and return every problem instead of raising.

    Args:
        job: The job.
        rules: Rules of the job's vendor.
        template: Columns of the vendor's template, if it has one.

    Returns:
        The compiled job, usable only if there are no problems, and the problems.
    """
    source_files = add_missing_fields(job, open_source(job.source))
    return _try_compile_with_schema(job, rules, template, source_files, joined_schema(job.source, source_files.schema))


def compile_with_schema(
    job: Job,
    rules: VendorRules,
    template: tuple[str, ...] | None,
    source_files: SourceFiles,
    schema: dict[str, pl.DataType],
) -> CompiledJob:
    """Compile a job whose source was opened before. Nothing is read.

    Args:
        job: The job.
        rules: Rules of the job's vendor.
        template: Columns of the vendor's template, if it has one.
        source_files: Files of the source.
        schema: Columns of the source with those of its joins.

    Returns:
        The compiled job.

    Raises:
        SpecError: If the job does not fit the source, with all problems.
    """
    compiled, problems = _try_compile_with_schema(job, rules, template, source_files, schema)
    if problems:
        raise SpecError(tuple(problems))
    return compiled


def _try_compile_with_schema(
    job: Job,
    rules: VendorRules,
    template: tuple[str, ...] | None,
    source_files: SourceFiles,
    schema: dict[str, pl.DataType],
) -> tuple[CompiledJob, list[Problem]]:
    """Return the compiled job and its problems."""
    vendor_schema = rules.schema_for(job.target)
    record, problems = compile_record(job.record, vendor_schema.root if vendor_schema else None, schema)
    key, more = _key(job, schema)
    problems = [*more, *_column_problems(job, schema), *problems]
    for record_node in (job.record, job.removal.record) if job.removal is not None else (job.record,):
        problems += [column for column in literals_that_name_columns(record_node, schema) if column not in problems]
    columns: tuple[str, ...] = ()
    if rules.file.format is FileFormat.CSV:
        columns, more = header_names(job, record, template)
        problems += more
    compiled = CompiledJob(
        job=job,
        rules=rules,
        source_files=source_files,
        schema=schema,
        key=key,
        record=record,
        columns=columns,
        template=template,
    )
    return compiled, problems


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


def record_checks(compiled: CompiledJob, now: datetime) -> list[Check]:
    """Return the checks of a compiled job's records; `now` decides what is in the past."""
    return checks(compiled.record, compiled.rules.schema_for(compiled.job.target), compiled.job.mode, now)
