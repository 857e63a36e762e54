"""Staging from pinned rows: the changed rows of a comparison in a file of their own, instead of its source.

`pinned.parquet` has the rows in the order of sending, each with its key, number and fingerprint, reduced to the columns
that the record and the key need. Whatever became of the source, the same records follow from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.csv_dialect import CsvDialect
from batchsync.data.batchfile.encode_task import StageTask
from batchsync.data.frame import columns
from batchsync.data.record.compiled_job import CompiledJob, compile_job
from batchsync.data.record.group_by_key import whole_records
from batchsync.data.record.keyed_rows import TaskSpec
from batchsync.data.row.parquet_reader import ParquetReader
from batchsync.data.row.partitions import FRAME_ROWS
from batchsync.data.row.row_reader import SourceFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.batchfile.changes import Changes

#: The pinned rows in the folder of a comparison.
PINNED = "pinned.parquet"
#: Columns of the pinned rows besides those of the source; `HEAD` only if several rows make one record.
PINNED_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    columns.ROW: pl.Int64,
    columns.KEY: pl.String,
    columns.HEAD: pl.Int64,
    columns.SENT_KEY: pl.String,
    columns.OP: pl.String,
    columns.SENT_FINGERPRINT: pl.Binary,
}


def is_pinned(folder: Path) -> bool:
    """Return whether the rows of a comparison are pinned."""
    return (folder / PINNED).exists()


@dataclass(frozen=True, slots=True)
class PinnedPass:
    """One pass of staging over pinned rows; `only` has the keys (column `key`) of the rows to read, None for all."""

    compiled: CompiledJob
    changes: Changes
    folder: Path
    only: pl.DataFrame | None = None

    def tasks(self) -> Iterator[StageTask]:
        """Yield tasks in the order in which records are sent."""
        spec = TaskSpec(compiled=self.compiled, folder=self.folder, lookups=())
        number = 0
        for rows in self._frames():
            yield StageTask(spec=spec, first=number, rows=rows)
            number += rows[columns.HEAD].n_unique() if self.compiled.grouped else rows.height
        for removed in self.changes.removals():
            yield StageTask(spec=spec, first=number, rows=removed, removal=True)
            number += removed.height

    def _frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in frames, of whole records if several rows make one."""
        frames = self._slices()
        yield from whole_records(frames) if self.compiled.grouped else frames

    def _slices(self) -> Iterator[pl.DataFrame]:
        rows = pl.scan_parquet(self.folder / PINNED, glob=False)
        for begin in range(0, int(rows.select(pl.len()).collect().item()), FRAME_ROWS):
            frame = rows.slice(begin, FRAME_ROWS).collect()
            if self.only is not None:
                wanted = self.only["key"].implode()
                frame = frame.filter(pl.col(columns.SENT_KEY).is_in(wanted))
            if frame.height:
                yield frame


def pinned_pass(
    job: Job, rules: VendorRules, folder: Path, changes: Changes, only: pl.DataFrame | None = None
) -> PinnedPass:
    """Return the pass over the pinned rows of a comparison.

    Args:
        job: The job of the comparison. Its source is not opened.
        rules: Rules of the job's vendor.
        folder: Folder of the comparison, whose `compare.json` names the columns of the vendor's template.
        changes: Its changes, or some of them.
        only: Keys of these changes (column `key`); None for all.

    Returns:
        The pass.

    Raises:
        SpecError: If the record does not fit the pinned columns or the vendor's template.
    """
    template = json.loads((folder / "compare.json").read_text(encoding="utf-8"))["template"]
    file = folder / PINNED
    schema = dict(pl.scan_parquet(file, glob=False).collect_schema())
    found = {name: kind for name, kind in schema.items() if name not in PINNED_COLUMNS}
    # What selected the rows was evaluated when they were pinned.
    source = replace(
        job.source,
        format="parquet",
        dialect=CsvDialect(),
        nulls=(),
        joins=(),
        where=None,
        duplicates="fail",
        contract=None,
        query=None,
        stored=None,
        parts=(),
    )
    pinned = replace(job, source=source, send=replace(job.send, since=None))
    files = SourceFiles(
        files=(file,), reader=ParquetReader(), delimiter=",", encoding="utf-8", nulls=(), schema=found, stored=found
    )
    compiled = compile_job(pinned, rules, files, None if template is None else tuple(template)).without_problems()
    return PinnedPass(compiled, changes, folder, only)
