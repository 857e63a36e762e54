"""Records of single rows of a source, valid or not: what the mapping makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.compare.review import constant_members
from batchsync.data.frame import columns as names
from batchsync.data.mapping.json_encode import encode_rows
from batchsync.data.mapping.validate import checks
from batchsync.data.record.compiled_job import compile_job
from batchsync.data.record.examine import examine
from batchsync.data.record.keyed_rows import TaskSpec, read_keys
from batchsync.data.record.missing_fields import add_missing_fields
from batchsync.data.row.joins import load, unreadable_columns
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import partitions
from batchsync.ports import Sample, SampledRecord, Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.record.compiled_job import CompiledJob
    from batchsync.data.row.partitions import Partition
    from batchsync.data.row.row_reader import SourceFiles

#: Source rows of a record that are named.
_ROWS_NAMED = 20


def sample(job: Job, rules: VendorRules, folder: Path, now: datetime, keys: Sequence[str], limit: int) -> Sample:
    """Return records of a source in source order.

    The source is read up to the last of the first records; to its end for named keys, which may occur several times,
    and where the rows of a key make one record.

    Args:
        job: The job, with a source of local files.
        rules: Rules of the job's vendor.
        folder: Existing empty folder for copies of files.
        now: Time that rules about the past refer to.
        keys: Keys of the records; empty: the first records, with those that have no key.
        limit: Maximum number of records.

    Returns:
        The records.

    Raises:
        SourceError: If the source cannot be read.
        SpecError: If the job does not fit the source.
    """
    files = open_source(job.source)
    compiled = compile_job(job, rules, files).without_problems()
    whole = replace(compiled, source_files=_with_all_columns(job, files))
    spec = TaskSpec(
        compiled=whole,
        folder=folder,
        lookups=load(job.source, folder, compiled.used),
        checks=tuple(checks(compiled.record, rules.schema_for(job.target), job.mode, now)),
    )
    chosen = _Chosen(spec=spec, keys=tuple(keys), limit=limit)
    found: list[SampledRecord] = []
    grouped: list[pl.DataFrame] = []
    for part in partitions(whole.source_files, folder, fresh=True, by_reference=True):
        rows, keyless = chosen.of(part)
        if compiled.grouped:
            grouped.append(rows)
        else:
            found += [*_records(spec, rows), *keyless]
        if chosen.is_complete(len(found)):
            break
    if grouped and (rows := pl.concat(grouped)).height:
        head = pl.col(names.ROW).min().over(names.KEY).alias(names.HEAD)
        found += _records(spec, rows.with_columns(head).sort(names.HEAD, names.ROW))
    ordered = sorted(found, key=lambda record: record.rows)
    return Sample(records=tuple(ordered[:limit]), constants=constant_members(compiled.record))


def _with_all_columns(job: Job, files: SourceFiles) -> SourceFiles:
    """Return the files of a source with all columns that can be read, whether the job uses them or not."""
    complete = add_missing_fields(job, files)
    unreadable = unreadable_columns(job.source).keys() | dict(files.unreadable).keys()
    return complete.used([name for name in complete.schema if name not in unreadable])


@dataclass(slots=True, kw_only=True)
class _Chosen:
    """Choice of rows: those of named keys, or the first. `keys` grows to the first keys of a grouped record."""

    spec: TaskSpec
    keys: tuple[str, ...]
    limit: int
    first: bool = False

    def __post_init__(self) -> None:
        """Note whether the first records are wanted."""
        self.first = not self.keys

    def of(self, part: Partition) -> tuple[pl.DataFrame, list[SampledRecord]]:
        """Return the chosen rows of a partition that have a key, and chosen records without one."""
        keyed = read_keys(self.spec, part)
        if not self.first:
            return keyed.rows.filter(pl.col(names.KEY).is_in(list(self.keys))), []
        keyless = keyed.keyless.head(self.limit)
        if self.spec.compiled.grouped:
            more = keyed.rows[names.KEY].unique(maintain_order=True).head(self.limit).to_list()
            self.keys = tuple(dict.fromkeys([*self.keys, *more]))[: self.limit]
            return keyed.rows.filter(pl.col(names.KEY).is_in(list(self.keys))), []
        return keyed.rows.head(self.limit), _keyless(self.spec.compiled, part, keyless)

    def is_complete(self, found: int) -> bool:
        """Return whether no further rows are needed."""
        return self.first and not self.spec.compiled.grouped and found >= self.limit


def _records(spec: TaskSpec, rows: pl.DataFrame) -> list[SampledRecord]:
    """Return the records of keyed rows; of grouped ones whole records with `HEAD`."""
    if not rows.height:
        return []
    compiled = spec.compiled
    examined, mapped = examine(spec, rows)
    texts = encode_rows(compiled.record, replace(mapped, valid=False), (), ())
    by = names.KEY if compiled.grouped else names.ROW
    violations = _violations(examined.invalid, by)
    rows_of = dict(rows.group_by(names.KEY).agg(pl.col(names.ROW).sort()).iter_rows()) if compiled.grouped else {}
    shown = _columns_of(rows)
    found = []
    heads = mapped.heads.select(names.ROW, names.KEY, names.FINGERPRINT)
    for (row, key, fingerprint), text in zip(heads.iter_rows(), texts, strict=True):
        found.append(
            SampledRecord(
                key=key,
                rows=tuple(rows_of.get(key, [row])[:_ROWS_NAMED]),
                columns=shown[row],
                unused=_unused(compiled, shown[row]),
                record=text,
                violations=tuple(violations.get(key if compiled.grouped else row, ())),
                version=fingerprint.hex(),
            )
        )
    return found


def _keyless(compiled: CompiledJob, part: Partition, keyless: pl.DataFrame) -> list[SampledRecord]:
    """Return the records of rows without a key, which are not mapped."""
    if not keyless.height:
        return []
    rows = part.read().join(keyless.select(names.ROW), on=names.ROW, how="semi")
    shown = _columns_of(rows)
    violations = _violations(keyless, names.ROW)
    return [
        SampledRecord(
            key="", rows=(row,), columns=item, unused=_unused(compiled, item), violations=tuple(violations[row])
        )
        for row, item in shown.items()
    ]


def _violations(invalid: pl.DataFrame, by: str) -> dict[object, list[Violation]]:
    """Return the violations of invalid records by row or key."""
    found: dict[object, list[Violation]] = {}
    for label, field, code, reason in invalid.select(by, "field", "code", "reason").iter_rows():
        found.setdefault(label, []).append(Violation(field=field or "", code=code or "", reason=reason or ""))
    return found


def _unused(compiled: CompiledJob, shown: Collection[str]) -> frozenset[str]:
    return frozenset(name for name in shown if name not in compiled.used)


def _columns_of(rows: pl.DataFrame) -> dict[int, Mapping[str, str | None]]:
    """Return the columns of rows as text, by number of the row."""
    shown = [name for name in rows.columns if not name.startswith(names.PREFIX)]
    first = rows.filter(pl.col(names.ROW) == pl.col(names.HEAD)) if names.HEAD in rows.columns else rows
    numbers = first[names.ROW].to_list()
    return {
        number: {name: _text(value) for name, value in row.items()}
        for number, row in zip(numbers, first.select(shown).iter_rows(named=True), strict=True)
    }


def _text(value: object) -> str | None:
    """Return a value of a source as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (list, dict, bool)) else str(value)
