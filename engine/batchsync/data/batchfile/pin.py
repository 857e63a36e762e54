"""Pin the changed rows of a comparison: write them to a file from which `stage` makes the same records later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.changes import Changes
from batchsync.data.batchfile.encode import map_unchanged, source_changed_error
from batchsync.data.batchfile.encode_task import StageTask, keyed_rows
from batchsync.data.batchfile.pinned_pass import PINNED, PINNED_COLUMNS
from batchsync.data.batchfile.prepare import stage_pass
from batchsync.data.frame import columns
from batchsync.errors import SourceError
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.record.compiled_job import CompiledJob
    from batchsync.util.executor import TaskPool


def pin_rows(job: Job, rules: VendorRules, folder: Path, workers: TaskPool) -> tuple[Path, ...]:
    """Write `pinned.parquet` to the folder of a comparison; without rows to add or change, a file without rows.

    Each row is mapped again and must give the compared record, so that the file holds what was compared.

    Args:
        job: The job of the comparison, with its source as compared.
        rules: Rules of the job's vendor.
        folder: Folder of the comparison.
        workers: Task pool.

    Returns:
        The files of the source, without those of its joins.

    Raises:
        SourceError: If the source changed after it was compared, or has a column of a type that cannot be kept.
    """
    changes = Changes(folder)
    staging = stage_pass(job, rules, folder, changes, workers)
    compiled = staging.compiled
    schema = _schema(compiled)
    records = 0
    tasks = (task for task in staging.tasks() if not task.removal)
    with ParquetWriter(folder / PINNED, schema) as out:
        for rows in workers.map_in_order(unchanged_rows, tasks):
            records += rows[columns.HEAD].n_unique() if compiled.grouped else rows.height
            out.add(rows)
    if not records:
        pl.DataFrame(schema=schema).write_parquet(folder / PINNED)
    if records != changes.sent:
        changed = source_changed_error(compiled.job)
        raise changed
    kept = pl.scan_parquet(folder / PINNED, glob=False).collect_schema()
    for name, kind in schema.items():
        if kept[name] != kind:
            raise SourceError(
                f"{compiled.job.source.place}: column {name!r} of type {kind} cannot be kept in a plan file",
                hint="export it with another type, or run `batchsync sync` without a plan file",
            )
    return compiled.source_files.files


def unchanged_rows(task: StageTask) -> pl.DataFrame:
    """Return the keyed rows of a task, reduced to the columns that are pinned. Run by any executor.

    Raises:
        SourceError: If a row differs from the compared one.
    """
    compiled = task.spec.compiled
    rows = keyed_rows(task)
    map_unchanged(compiled, rows)
    return rows.select(*_schema(compiled))


def _schema(compiled: CompiledJob) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Return the columns of pinned rows: `PINNED_COLUMNS`, and those of the source that the job needs."""
    own = {name: kind for name, kind in PINNED_COLUMNS.items() if name != columns.HEAD or compiled.grouped}
    needed = compiled.record.columns.union(*(leaf.columns for leaf in compiled.key))
    if compiled.job.suppress is not None:
        needed |= {compiled.job.suppress.column}
    return own | {name: kind for name, kind in compiled.schema.items() if name in needed}
