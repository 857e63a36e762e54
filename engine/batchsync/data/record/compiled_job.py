"""Source frames become records: keyed, grouped by `each:`, mapped, judged and fingerprinted, frame by frame.

It does not know the baseline. Everything here is a function of one frame and of the job.
"""

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
from batchsync.data.row.csv_validation import rival_delimiter
from batchsync.data.row.joins import joined_schema
from batchsync.data.row.reader import open_source
from batchsync.errors import Problem, SpecError
from batchsync.util.column_suggestions import closest

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.row.source_files import SourceFiles

_TEXT = Rule(kind=Kind.STRING)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledJob:
    """All that is known of a job before its rows are read."""

    job: Job
    rules: VendorRules
    given: SourceFiles
    schema: dict[str, pl.DataType]
    key: tuple[Leaf, ...]
    record: Record
    columns: tuple[str, ...]
    template: tuple[str, ...] | None = None

    @property
    def grouped(self) -> bool:
        """Whether several source rows make one record."""
        return bool(self.record.repeats)


def compile_job(job: Job, rules: VendorRules, template: tuple[str, ...] | None = None) -> CompiledJob:
    """Return the plan of a job.

    Raises:
        SourceError: when the source is not there or not readable.
        SpecError: with everything in the job that does not fit the source.
    """
    given = add_missing_fields(job, open_source(job.source))
    return compiled(job, rules, template, given, joined_schema(job.source, given.schema))


def try_compile_job(
    job: Job, rules: VendorRules, template: tuple[str, ...] | None
) -> tuple[CompiledJob, list[Problem]]:
    """Return the plan of a job and everything that is wrong with it."""
    given = add_missing_fields(job, open_source(job.source))
    return _compiled(job, rules, template, given, joined_schema(job.source, given.schema))


def compiled(
    job: Job, rules: VendorRules, template: tuple[str, ...] | None, given: SourceFiles, schema: dict[str, pl.DataType]
) -> CompiledJob:
    """Return the plan of a job whose source was looked at before. Nothing is read.

    Raises:
        SpecError: with everything in the job that does not fit the source.
    """
    plan, problems = _compiled(job, rules, template, given, schema)
    if problems:
        raise SpecError(tuple(problems))
    return plan


def _compiled(
    job: Job, rules: VendorRules, template: tuple[str, ...] | None, given: SourceFiles, schema: dict[str, pl.DataType]
) -> tuple[CompiledJob, list[Problem]]:
    """Return the plan of a job over a source with these columns, and everything that is wrong with it."""
    vendor_schema = rules.schema_for(job.target)
    record, problems = compile_record(job.record, vendor_schema.root if vendor_schema else None, schema)
    key, found = _key(job, schema)
    problems = [*found, *_named_columns(job, schema), *problems]
    for written in (job.record, job.removal.record) if job.removal is not None else (job.record,):
        problems += [column for column in literals_that_name_columns(written, schema) if column not in problems]
    columns: tuple[str, ...] = ()
    if rules.file.format is FileFormat.CSV:
        columns, found = header_names(job, record, template)
        problems += found
    plan = CompiledJob(
        job=job, rules=rules, given=given, schema=schema, key=key, record=record, columns=columns, template=template
    )
    return plan, problems


def _key(job: Job, schema: dict[str, pl.DataType]) -> tuple[tuple[Leaf, ...], list[Problem]]:
    """Return the key as leaves of text."""
    source = job.source
    if isinstance(source.key, Expression):
        parsed = parse(source.key, schema)
        if isinstance(parsed, Problem):
            return (), [parsed]
        return (Leaf(0, "key", parsed[0], parsed[1], _TEXT, None),), []
    missing = [item for item in source.key if item not in schema]
    if missing:
        return (), [_no_column("key", item, job, schema) for item in missing]
    leaves = [Leaf(i, "key", pl.col(item), schema[item], _TEXT, None) for i, item in enumerate(source.key)]
    nested = [leaf for leaf in leaves if not is_convertible(leaf.kind, Kind.STRING)]
    if nested:
        message = f"key: {' and '.join(source.key)} holds {str(nested[0].kind).lower()}, which cannot be a key"
        return (), [problem("key_kind", message, source.place, "Take columns of text, numbers or dates.")]
    return tuple(leaves), []


def _named_columns(job: Job, schema: dict[str, pl.DataType]) -> list[Problem]:
    """Return a problem for each column that the job names outside of expressions and that is not there."""
    named = [("send.since", job.send.since)] if job.send.since else []
    if job.source.duplicates.startswith("by:"):
        named.append(("source.duplicates", job.source.duplicates.removeprefix("by:")))
    missing = [_no_column(what, item, job, schema) for what, item in named if item not in schema]
    nested = [(what, item) for what, item in named if item in schema and not is_convertible(schema[item], Kind.STRING)]
    message = "{}: column {!r} has no order that could be compared"
    hint = "Take a column of text, numbers or dates."
    return missing + [problem("unordered", message.format(*item), job.source.place, hint) for item in nested]


def _no_column(what: str, name: str, job: Job, schema: dict[str, pl.DataType]) -> Problem:
    """Return the problem of a column that is not there, with a better delimiter where that is the cause."""
    rival = rival_delimiter(tuple(schema), job.source.delimiter)
    hint = f"The file looks delimited by {rival!r}: write source.delimiter." if rival else closest(name, tuple(schema))
    return problem("unknown_column", f"{what}: the source has no column {name!r}", job.source.place, hint)


def plan_checks(plan: CompiledJob, now: datetime) -> list[Check]:
    """Return every check of a plan's records."""
    return checks(plan.record, plan.rules.schema_for(plan.job.target), plan.job.mode, now)
