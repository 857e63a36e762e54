"""Source frames become records: keyed, grouped by `each:`, mapped, judged and fingerprinted, frame by frame.

It does not know the baseline. Everything here is a function of one frame and of the job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from lading.core.mapping import Expression
from lading.core.record_schema import Kind, Rule, Severity
from lading.core.vendor_rules import FileFormat
from lading.data import names
from lading.data.coerce import told_apart
from lading.data.csvtext import header_names
from lading.data.csvtext import lines as csv_lines
from lading.data.evaluate import Flaw, evaluate
from lading.data.expressions import parse, problem
from lading.data.joins import joined_schema
from lading.data.jsontext import Encoder, items_text
from lading.data.keys import mark_of
from lading.data.literals import literals_that_name_columns
from lading.data.members import with_members
from lading.data.read import Input, open_source
from lading.data.shapes import Leaf, Record, compile_record, fits
from lading.data.soundness import rival_delimiter
from lading.data.validate import Check, checks, presence
from lading.data.words import closest
from lading.errors import Problem, SpecError

if TYPE_CHECKING:
    from datetime import datetime

    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules

_TEXT = Rule(kind=Kind.STRING)
#: What is kept of an invalid row.
BROKEN = {names.ROW: pl.Int64, names.KEY: pl.String, "field": pl.String, "code": pl.String, "reason": pl.String}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is known of a job before its rows are read."""

    job: Job
    rules: VendorRules
    given: Input
    schema: dict[str, pl.DataType]
    key: tuple[Leaf, ...]
    record: Record
    columns: tuple[str, ...]
    template: tuple[str, ...] | None = None

    @property
    def grouped(self) -> bool:
        """Whether several source rows make one record."""
        return bool(self.record.repeats)


def make_plan(job: Job, rules: VendorRules, template: tuple[str, ...] | None = None) -> Plan:
    """Return the plan of a job.

    Raises:
        SourceError: when the source is not there or not readable.
        SpecError: with everything in the job that does not fit the source.
    """
    given = with_members(job, open_source(job.source))
    return compiled(job, rules, template, given, joined_schema(job.source, given.schema))


def try_plan(job: Job, rules: VendorRules, template: tuple[str, ...] | None) -> tuple[Plan, list[Problem]]:
    """Return the plan of a job and everything that is wrong with it."""
    given = with_members(job, open_source(job.source))
    return _compiled(job, rules, template, given, joined_schema(job.source, given.schema))


def compiled(
    job: Job, rules: VendorRules, template: tuple[str, ...] | None, given: Input, schema: dict[str, pl.DataType]
) -> Plan:
    """Return the plan of a job whose source was looked at before. Nothing is read.

    Raises:
        SpecError: with everything in the job that does not fit the source.
    """
    plan, problems = _compiled(job, rules, template, given, schema)
    if problems:
        raise SpecError(tuple(problems))
    return plan


def _compiled(
    job: Job, rules: VendorRules, template: tuple[str, ...] | None, given: Input, schema: dict[str, pl.DataType]
) -> tuple[Plan, list[Problem]]:
    """Return the plan of a job over a source with these columns, and everything that is wrong with it."""
    vendor_schema = rules.schema_for(job.target)
    record, problems = compile_record(job.record, vendor_schema.root if vendor_schema else None, schema)
    key, found = _key(job, schema)
    problems = [*found, *_named_columns(job, schema), *problems]
    for written in (job.record, job.removal.record) if job.removal is not None else (job.record,):
        problems += [one for one in literals_that_name_columns(written, schema) if one not in problems]
    columns: tuple[str, ...] = ()
    if rules.file.format is FileFormat.CSV:
        columns, found = header_names(job, record, template)
        problems += found
    plan = Plan(
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
    missing = [one for one in source.key if one not in schema]
    if missing:
        return (), [_no_column("key", one, job, schema) for one in missing]
    leaves = [Leaf(i, "key", pl.col(one), schema[one], _TEXT, None) for i, one in enumerate(source.key)]
    nested = [one for one in leaves if not fits(one.kind, Kind.STRING)]
    if nested:
        message = f"key: {' and '.join(source.key)} holds {str(nested[0].kind).lower()}, which cannot be a key"
        return (), [problem("key_kind", message, source.place, "Take columns of text, numbers or dates.")]
    return tuple(leaves), []


def _named_columns(job: Job, schema: dict[str, pl.DataType]) -> list[Problem]:
    """Return a problem for each column that the job names outside of expressions and that is not there."""
    named = [("send.since", job.send.since)] if job.send.since else []
    if job.source.duplicates.startswith("by:"):
        named.append(("source.duplicates", job.source.duplicates.removeprefix("by:")))
    missing = [_no_column(what, one, job, schema) for what, one in named if one not in schema]
    nested = [(what, one) for what, one in named if one in schema and not fits(schema[one], Kind.STRING)]
    message = "{}: column {!r} has no order that could be compared"
    hint = "Take a column of text, numbers or dates."
    return missing + [problem("unordered", message.format(*one), job.source.place, hint) for one in nested]


def _no_column(what: str, name: str, job: Job, schema: dict[str, pl.DataType]) -> Problem:
    """Return the problem of a column that is not there, with a better delimiter where that is the cause."""
    rival = rival_delimiter(tuple(schema), job.source.delimiter)
    hint = f"The file looks delimited by {rival!r}: write source.delimiter." if rival else closest(name, tuple(schema))
    return problem("unknown_column", f"{what}: the source has no column {name!r}", job.source.place, hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A frame after mapping: one row per record in `heads`, one row per source row in `rows` when there is `each:`.

    `valid` says that records which break a rule are not made into text.
    """

    heads: pl.DataFrame
    rows: pl.DataFrame | None
    flaws: list[Flaw]
    valid: bool = True


def mapped(plan: Plan, frame: pl.DataFrame) -> Mapped:
    """Return the values of every leaf of a keyed frame; with `each:`, the frame holds whole records."""
    record = plan.record
    if not record.repeats:
        heads, flaws = evaluate(frame, record.leaves)
        return Mapped(heads=heads, rows=None, flaws=flaws)
    inner = [one for one in record.leaves if one.repeat is not None]
    outer = [one for one in record.leaves if one.repeat is None]
    rows, flaws = evaluate(frame, inner)
    counts = []
    for one in record.repeats:
        there = presence(one.item)
        count = there.sum() if isinstance(there, pl.Expr) else pl.len() if there else pl.lit(0)
        counts.append(count.cast(pl.Int64).alias(names.items(one.index)))
    totals = rows.group_by(names.HEAD, maintain_order=True).agg(counts)
    heads = frame.filter(pl.col(names.ROW) == pl.col(names.HEAD))
    heads = heads.join(totals, on=names.HEAD, how="left", maintain_order="left")
    heads, more = evaluate(heads, outer)
    return Mapped(heads=heads, rows=rows, flaws=[*flaws, *more])


def fingerprints(plan: Plan, found: Mapped) -> pl.Series:
    """Return 20 bytes for each record: xxh3-128 over its mapped columns and its mapping's hash, and a mark of its key.

    The mark says how the key was defined, so that a baseline's keys of another definition are told from today's.
    With `each:`, the items come in as the ordered hashes of their rows. The encoding of rows is version 1 of
    polars-hash, which promises not to change.
    """
    outer = [told_apart(one) for one in plan.record.leaves if one.repeat is None]
    heads = found.heads
    if found.rows is not None:
        inner = [told_apart(one) for one in plan.record.leaves if one.repeat is not None]
        per_row = digest_of_columns([pl.lit(0), *inner]).bin.encode("hex").alias("lading:hash")
        hashed = found.rows.with_columns(per_row).group_by(names.HEAD, maintain_order=True)
        heads = heads.join(
            hashed.agg(pl.col("lading:hash").str.join("")), on=names.HEAD, how="left", maintain_order="left"
        )
        outer.append(pl.col("lading:hash"))
    whole = digest_of_columns([pl.lit(plan.job.mapping_hash), *outer]) + pl.lit(mark_of(plan.job.source))
    return heads.with_columns(whole.alias(names.FINGERPRINT))[names.FINGERPRINT]


def digest_of_columns(columns: list[pl.Expr]) -> pl.Expr:
    """Return the 16-byte hash of some columns."""
    hashed: pl.Expr = plh.hash_rows(columns, version=1).nchash.xxh3_128(return_binary=True, byte_order="big")
    return hashed


def removal_fingerprint(job: Job, key: pl.Expr) -> pl.Expr:
    """Return the fingerprint of a removal: of the key and the removal's own mapping alone."""
    mapping = job.removal.mapping_hash if job.removal else ""
    return digest_of_columns([pl.lit("remove"), pl.lit(mapping), key]) + pl.lit(mark_of(job.source))


def texts(plan: Plan, found: Mapped, before: list[str | pl.Expr], after: str) -> pl.Series:
    """Return each record as one line of JSON between `before` and `after`."""
    heads = found.heads
    if found.rows is not None:
        lines = [items_text(found.rows, one.item).alias(names.repeated(one.index)) for one in plan.record.repeats]
        grouped = found.rows.select(names.HEAD).with_columns(lines).group_by(names.HEAD, maintain_order=True)
        joined = [
            pl.when(pl.col(one.name).count() > 0).then(pl.col(one.name).str.join(",", ignore_nulls=True))
            for one in lines
        ]
        heads = heads.join(grouped.agg(joined), on=names.HEAD, how="left", maintain_order="left")
    return Encoder(heads, valid=found.valid).column(plan.record.root, prefix=before, suffix=after)


def lines(plan: Plan, found: Mapped, before: list[str | pl.Expr], after: str) -> pl.Series:
    """Return each record as the line of the batch file, with its line end."""
    if plan.rules.file.format is FileFormat.CSV:
        return csv_lines(found.heads, plan.record, plan.columns)
    return texts(plan, found, before, after + "\n")


def judged(found: Mapped, rules: list[Check], warnings: dict[str, int]) -> pl.DataFrame:
    """Return the invalid records of a frame with all their reasons; count the warnings."""
    flawed = [
        Check(one.leaf.path, one.code, pl.col(one.column), one.message, pl.col(one.shown), repeat=one.leaf.repeat)
        for one in found.flaws
    ]
    outer = [one for one in [*flawed, *rules] if one.repeat is None]
    broken = [_broken(found.heads, outer, names.ROW, warnings)]
    if found.rows is not None:
        inner = [one for one in [*flawed, *rules] if one.repeat is not None]
        broken.append(_broken(found.rows, inner, names.HEAD, warnings))
    whole = pl.concat(broken)
    if found.rows is None or not whole.height:
        return whole
    first = [pl.col(one).first() for one in (names.KEY, "field", "code")]
    reasons = pl.col("reason").str.join("; ")
    return whole.group_by(names.ROW, maintain_order=True).agg(*first, reasons).sort(names.ROW)


def _broken(frame: pl.DataFrame, rules: list[Check], row: str, warnings: dict[str, int]) -> pl.DataFrame:
    """Return the rows of a frame that break a rule. One boolean over all rows; reasons only for the marked ones."""
    refusing = [one for one in rules if one.severity is Severity.REFUSE]
    warning = [one for one in rules if one.severity is Severity.WARN]
    if warning:
        counted = frame.select(one.test.fill_null(value=False).sum().alias(str(i)) for i, one in enumerate(warning))
        for one, count in zip(warning, counted.row(0), strict=True):
            if count:
                name = f"{one.path}: {one.message}"
                warnings[name] = warnings.get(name, 0) + count
    if not refusing or not frame.height:
        return pl.DataFrame(schema=BROKEN)
    marks = [one.test if one.mark is None else one.mark for one in refusing]
    marked = frame.filter(pl.any_horizontal(marks))
    bad = marked.filter(pl.any_horizontal([one.test for one in refusing])) if marked.height else marked
    if not bad.height:
        return pl.DataFrame(schema=BROKEN)
    tests = bad.select(one.test.fill_null(value=False).any().alias(str(i)) for i, one in enumerate(refusing)).row(0)
    refusing = [one for one, hit in zip(refusing, tests, strict=True) if hit]
    said = [_said(one) for one in refusing]
    return bad.select(
        pl.col(row).alias(names.ROW),
        names.KEY,
        pl.coalesce(pl.when(one.test).then(pl.lit(one.path)) for one in refusing).alias("field"),
        pl.coalesce(pl.when(one.test).then(pl.lit(one.code)) for one in refusing).alias("code"),
        pl.concat_str(said, separator="; ", ignore_nulls=True).alias("reason"),
    )


def _said(one: Check) -> pl.Expr:
    """Return the sentence about one broken rule, null where it is kept."""
    words = f"{one.path} {one.message}".strip()
    if one.shown is None:
        return pl.when(one.test).then(pl.lit(words))
    value = pl.concat_str([pl.lit(f"{words}, is "), one.shown])
    return pl.when(one.test).then(pl.coalesce(value, pl.lit(words)))


def plan_checks(plan: Plan, now: datetime) -> list[Check]:
    """Return every check of a plan's records."""
    return checks(plan.record, plan.rules.schema_for(plan.job.target), plan.job.mode, now)
