"""Records of given rows: the mapping of a job applied to rows that jobs.yaml, or a test, contains. Reads no source.

The rows of all tests of a job are mapped together, each with a key that begins with the number of its test.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping_test import MappingResult
from batchsync.data.frame import columns
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.mapping.json_encode import encode_rows
from batchsync.data.mapping.records import MappedRecords
from batchsync.data.mapping.validate import checks
from batchsync.data.record.compiled_job import CompiledJob, compile_job, key_names
from batchsync.data.record.examine import examine
from batchsync.data.record.given_joins import given_joins
from batchsync.data.record.given_rows import (
    frame_of,
    given_types,
    known_columns,
    null_texts,
    unknown_columns,
    with_temporal_types,
)
from batchsync.data.record.keyed_rows import TaskSpec, with_keys
from batchsync.data.record.missing_fields import named_columns
from batchsync.data.record.selection import select_rows
from batchsync.data.row.joins import join_all
from batchsync.data.row.jsonl_reader import JsonlReader
from batchsync.data.row.row_reader import SourceFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from batchsync.core.job import Job
    from batchsync.core.mapping_test import Cell, GivenRow, Json, MappingTest
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.mapping.validate import Check
    from batchsync.data.record.given_rows import KnownColumns, Schema
    from batchsync.errors import Problem

#: Number of the test that a row belongs to, from 0.
_TEST = "batchsync:test"
#: Separator of the number of a test and a key, which cannot be part of a number.
_SEPARATOR = "\x1f"


def map_given(
    job: Job, rules: VendorRules, tests: Sequence[MappingTest], now: datetime
) -> tuple[tuple[MappingResult, ...], tuple[Problem, ...]]:
    """Return what a job makes of the rows of each of its tests.

    Args:
        job: The job.
        rules: Rules of its vendor.
        tests: Its tests.
        now: Time that rules about the past refer to.

    Returns:
        A result for each test, in their order; none if there are problems. And the problems: columns that the source
        does not have or the job does not use, values of another type, and joins that the job does not have.

    Raises:
        SpecError: If the mapping does not fit the columns.
    """
    rows = [row for test in tests for row in (*test.given, *(row for join in test.joined for row in join.rows))]
    known = known_columns(job)
    compiled, schema = _compiled(job, rules, rows, known)
    problems = _problems(compiled, schema, known, tests)
    work = _Mapping(compiled, tuple(checks(compiled.record, rules.schema_for(job.target), job.mode, now)))
    used = {name: kind for name, kind in schema.items() if name in compiled.used}
    frames = [_frame(work, job, number, test, used, problems) for number, test in enumerate(tests)]
    if problems:
        return (), tuple(problems)
    if given := [frame for frame in frames if frame is not None and frame.height]:
        work.map(pl.concat(given).with_row_index(columns.ROW, 1).cast({columns.ROW: pl.Int64}))
    for number, test in enumerate(tests):
        if test.removed:
            work.remove(number, test.removed)
    return tuple(work.result(number) for number in range(len(tests))), ()


def _compiled(
    job: Job, rules: VendorRules, rows: Sequence[GivenRow], known: KnownColumns | None
) -> tuple[CompiledJob, Schema]:
    """Return the job compiled without joins, whose columns are given, and the columns of its rows.

    Raises:
        SpecError: If the mapping does not fit the columns.
    """
    alone = replace(job, source=replace(job.source, joins=(), contract=None))
    names = {left for join in job.source.joins for pair in join.on for left in pair}
    if known is not None and known.declared:
        compiled = compile_job(alone, rules, _files(alone, known.schema, declared=True)).without_problems()
        return replace(compiled, used=compiled.used | (names & known.schema.keys())), known.schema
    types = given_types(job, rows)
    # Other columns are reported as such, and must not make a column of the mapping look misspelled.
    types = {name: kind for name, kind in types.items() if name in set(named_columns(job))}
    if known is not None:
        types = {name: known.schema.get(name, kind) for name, kind in types.items()}
    found = compile_job(alone, rules, _files(alone, _with_named(alone, types), declared=False))
    if found.problems and (other := with_temporal_types(types, rows)) != types:
        again = compile_job(alone, rules, _files(alone, other, declared=False))
        found = found if again.problems else again
    found = found.without_problems()
    return replace(found, used=found.used | names), {**dict.fromkeys(names, pl.String()), **found.schema}


def _with_named(job: Job, schema: Schema) -> Schema:
    """Return a schema with the columns that a job names; a CSV file would have them as text."""
    if not null_texts(job.source):
        return schema
    return {**dict.fromkeys(named_columns(job), pl.String()), **schema}


def _files(job: Job, schema: Schema, *, declared: bool) -> SourceFiles:
    """Return an opened source without files that has these columns."""
    return SourceFiles(
        files=(),
        reader=_Declared() if declared else JsonlReader(),
        delimiter=job.source.delimiter,
        encoding=job.source.encoding,
        nulls=job.source.nulls,
        schema=schema,
    )


class _Declared(JsonlReader):
    """Reader of rows whose columns are all known."""

    declares_columns = True


def _problems(
    compiled: CompiledJob, schema: Schema, known: KnownColumns | None, tests: Sequence[MappingTest]
) -> list[Problem]:
    """Return the columns of given rows that the job does not have or use."""
    rows = [row for test in tests for row in test.given]
    exists = schema if known is not None and known.declared else dict.fromkeys(compiled.used)
    return unknown_columns(rows, exists, compiled.used)


def _frame(
    work: _Mapping, job: Job, number: int, test: MappingTest, schema: Schema, problems: list[Problem]
) -> pl.DataFrame | None:
    """Return the rows of a test with the columns that the job uses, and `_TEST`; None if it gives none."""
    if not test.given:
        return None
    joined = given_joins(job, test.joined, schema, problems)
    taken = {column for join in joined for column in join.added} - {cell.column for cell in _cells(test.given)}
    own = {name: kind for name, kind in schema.items() if name not in taken}
    frame, more = frame_of(test.given, own, null_texts(job.source))
    problems += more
    if problems:
        return None
    if repeated := next((join for join in joined if join.repeats_key), None):
        work.failures[number] = f"{repeated.name} has a key in more than one row, and joined rows need one row per key"
        return None
    frame = join_all(frame, tuple(join.lookup for join in joined))
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    columns_of = [pl.col(name).cast(kind) for name, kind in schema.items()]
    return frame.with_columns(missing).select(*columns_of, pl.lit(number, dtype=pl.Int64).alias(_TEST))


def _cells(rows: Sequence[GivenRow]) -> Iterator[Cell]:
    """Yield the cells of rows."""
    return (cell for row in rows for cell in row.cells)


@dataclass(slots=True)
class _Mapping:
    """The results of all tests of a job, while they are collected."""

    compiled: CompiledJob
    rules: tuple[Check, ...]
    records: dict[int, list[tuple[int, Json]]] = field(default_factory=lambda: defaultdict(list))
    reasons: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    left_out: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    failures: dict[int, str] = field(default_factory=dict)

    def map(self, frame: pl.DataFrame) -> None:
        """Map the rows of all tests: columns that the job uses, `ROW` and `_TEST`."""
        tests = dict(zip(frame[columns.ROW], frame[_TEST], strict=True))
        selected, failed = select_rows(self.compiled.where, frame)
        gone = frame.join(selected, on=columns.ROW, how="anti").join(failed, on=columns.ROW, how="anti")
        for number in gone[_TEST]:
            self.left_out[number] += 1
        kept, keyless = with_keys(self.compiled, selected)
        self._add_reasons(pl.concat([failed, keyless]), tests)
        key = pl.concat_str(pl.col(_TEST).cast(pl.String), pl.lit(_SEPARATOR), pl.col(columns.KEY))
        kept = kept.with_columns(key.alias(columns.KEY))
        if self.compiled.grouped:
            head = pl.col(columns.ROW).min().over(columns.KEY).alias(columns.HEAD)
            kept = kept.with_columns(head).sort(columns.HEAD, columns.ROW)
        if not kept.height:
            return
        spec = TaskSpec(compiled=self.compiled, folder=Path(), lookups=(), checks=self.rules)
        examined, mapped = examine(spec, kept)
        superseded = self._superseded(examined.records, tests)
        self._add_reasons(examined.invalid.filter(~pl.col(columns.ROW).is_in(superseded)), tests)
        texts = encode_rows(self.compiled.record, replace(mapped, valid=False), [], [])
        rows = mapped.heads.select(columns.ROW, "bad").with_columns(texts.alias("text")).sort(columns.ROW)
        for row, bad, text in rows.iter_rows():
            if not bad and row not in superseded:
                self.records[tests[row]].append((row, parse_record(text)))

    def _add_reasons(self, invalid: pl.DataFrame, tests: Mapping[int, int]) -> None:
        """Add the reasons of invalid rows."""
        for row, reason in invalid.select(columns.ROW, "reason").iter_rows():
            self.reasons[tests[row]].append((row, reason))

    def _superseded(self, records: pl.DataFrame, tests: Mapping[int, int]) -> list[int]:
        """Return the rows that lost against another row of their key; where the job allows none, fail their tests."""
        policy = self.compiled.job.source.duplicates
        repeated = records.filter(pl.col(columns.KEY).is_duplicated())
        if not repeated.height:
            return []
        if policy == "fail":
            for row in repeated[columns.ROW]:
                self.failures[tests[row]] = (
                    "two rows have the same key, and a run stops (source.duplicates: fail): write first, last or "
                    "{by: COLUMN}, or collect the rows with each:"
                )
            return []
        order, descending = [columns.ROW], [policy != "first"]
        if policy.startswith("by:"):
            order, descending = [columns.RANK, columns.ROW], [True, True]
        ordered = repeated.sort(order, descending=descending, nulls_last=True)
        winners = ordered.unique(columns.KEY, keep="first", maintain_order=True)
        return ordered.join(winners, on=columns.ROW, how="anti")[columns.ROW].to_list()

    def remove(self, number: int, key: Sequence[str]) -> None:
        """Map a removed key, given by the values of its columns."""
        removal, names = self.compiled.removal, key_names(self.compiled.job)
        if self.compiled.job.removal is None:
            self.failures[number] = "the job keeps keys that left its source (on_removed), so no record is sent"
            return
        frame = pl.DataFrame({name: [value] for name, value in zip(names, key, strict=True)})
        frame = frame.with_columns(pl.lit(1, dtype=pl.Int64).alias(columns.ROW))
        values, invalid = evaluate(frame, removal.leaves)
        if invalid:
            self.failures[number] = f"{invalid[0].leaf.path} of on_removed cannot be computed: {invalid[0].message}"
            return
        mapped = MappedRecords(heads=values, rows=None, invalid_values=invalid, valid=False)
        self.records[number].append((1, parse_record(encode_rows(removal, mapped, [], [])[0])))

    def result(self, number: int) -> MappingResult:
        """Return the result of a test."""
        rows = [(row, True) for row, _ in self.records[number]] + [(row, False) for row, _ in self.reasons[number]]
        return MappingResult(
            records=tuple(record for _, record in self.records[number]),
            reasons=tuple(reason for _, reason in sorted(self.reasons[number])),
            left_out=self.left_out[number],
            failure=self.failures.get(number, ""),
            are_records=tuple(is_record for _, is_record in sorted(rows)),
        )


def parse_record(text: str) -> Json:
    """Return a record as parsed JSON, without losing digits of numbers."""
    found: Json = json.loads(text, parse_float=Decimal)
    return found
