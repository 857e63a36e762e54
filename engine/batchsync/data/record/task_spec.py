"""Picklable description of a compiled job, from which any process makes the same compiled job, once."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.record.compiled_job import CompiledJob, compile_with_schema, record_checks
from batchsync.data.row.joins import Lookup
from batchsync.util.files import sha256_of_file

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.mapping.validate import Check
    from batchsync.data.row.source_files import SourceFiles

#: Compiled tasks cached per process; each holds the joined files in memory.
_CACHED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """Picklable input of a compiled job.

    Attributes:
        job: The job.
        rules: Rules of the job's vendor.
        template: Columns of the vendor's template, if it has one.
        source_files: Files of the source.
        schema: Columns of the source with those of its joins.
        lookups: Joins: left columns, right columns, and an Arrow file of the joined table, named by its digest.
        now: Time that rules about the past refer to; None if nothing is validated.
        watermark: Value of `send: since` below which rows are not mapped; None maps all.
    """

    job: Job
    rules: VendorRules
    template: tuple[str, ...] | None
    source_files: SourceFiles
    schema: dict[str, pl.DataType]
    lookups: tuple[tuple[tuple[str, ...], tuple[str, ...], Path], ...]
    now: datetime | None
    watermark: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTask:
    """A compiled job with its checks and joined tables."""

    compiled: CompiledJob
    checks: list[Check]
    lookups: tuple[Lookup, ...]
    watermark: str | None


def task_spec_of(
    compiled: CompiledJob,
    lookups: tuple[Lookup, ...],
    workdir: Path,
    *,
    now: datetime | None = None,
    watermark: str | None = None,
) -> bytes:
    """Return the pickled `TaskSpec` of a compiled job.

    Args:
        compiled: The compiled job.
        lookups: Joined tables, which are written to `workdir`.
        workdir: Existing folder that all processes can read.
        now: Time that rules about the past refer to; None if nothing is validated.
        watermark: Value of `send: since` below which rows are not mapped; None maps all.

    Returns:
        The pickled spec.
    """
    spec = TaskSpec(
        job=compiled.job,
        rules=compiled.rules,
        template=compiled.template,
        source_files=compiled.source_files,
        schema=compiled.schema,
        lookups=tuple((lookup.left, lookup.right, _write_lookup(lookup.table, workdir)) for lookup in lookups),
        now=now,
        watermark=watermark,
    )
    return pickle.dumps(spec)


def _write_lookup(table: pl.DataFrame, workdir: Path) -> Path:
    """Write a joined table under the name of its digest."""
    partial = workdir / "lookup.partial"
    table.write_ipc(partial)
    return partial.replace(workdir / f"lookup-{sha256_of_file(partial)}.arrow")


@lru_cache(maxsize=_CACHED)
def compile_task(spec: bytes) -> CompiledTask:
    """Return the compiled task of a pickled `TaskSpec`; cached per process by its bytes.

    Unpickling is safe because the bytes come from `task_spec_of` in one of our processes and from nowhere else.
    """
    task_spec: TaskSpec = pickle.loads(spec)  # noqa: S301 - made by task_spec_of in a process of ours
    compiled = compile_with_schema(
        task_spec.job, task_spec.rules, task_spec.template, task_spec.source_files, task_spec.schema
    )
    lookups = tuple(
        Lookup(left, right, pl.scan_ipc(path, glob=False).collect()) for left, right, path in task_spec.lookups
    )
    checks = record_checks(compiled, task_spec.now) if task_spec.now is not None else []
    return CompiledTask(compiled=compiled, checks=checks, lookups=lookups, watermark=task_spec.watermark)
