"""Unchanged records whose content the job keeps and the baseline lacks: those sent before the job kept it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.keep import Keep
from batchsync.data.batchfile.changes import Changes
from batchsync.data.batchfile.prepare import stage_pass
from batchsync.data.compare.review_task import prepare_content
from batchsync.data.frame import columns
from batchsync.data.frame.content import COLUMNS_OF, LAYOUT, content_schema, layout_prefix
from batchsync.errors import SourceError
from batchsync.util.files import make_private
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Comparison
    from batchsync.util.executor import TaskPool


def without_content(keep: Keep, state: pl.DataFrame) -> pl.DataFrame:
    """Return the records that get their content without being sent.

    A record with a later version than the accepted one is left out: it gets its content when it is sent again.

    Args:
        keep: What the job keeps, at least hashes.
        state: Classified records with the known state of their keys, and `LAYOUT` of the accepted version.

    Returns:
        The columns `CHANGES`, with the operation `keep`.
    """
    enough = [Keep.RECORDS] if keep is Keep.RECORDS else [Keep.MEMBERS, Keep.RECORDS]
    has_content = pl.any_horizontal(pl.col(LAYOUT).str.starts_with(layout_prefix(kept)) for kept in enough)
    alone = pl.col("last").is_null() | (pl.col("last_state").fill_null(0) == 0)
    lacking = state.filter((pl.col("state") == "unchanged") & alone & ~has_content.fill_null(value=False))
    return lacking.select(
        pl.col(columns.ROW).alias("row"),
        pl.col(columns.KEY).alias("key"),
        pl.lit("keep").alias("op"),
        pl.col(columns.FINGERPRINT).alias("fingerprint"),
    )


def unkept_folder(folder: Path) -> Path:
    """Return the folder of the records found, below that of the comparison; created if absent."""
    found = folder / "unkept"
    make_private(found)
    return found


def write_content(job: Job, rules: VendorRules, comparison: Comparison, workers: TaskPool) -> Path | None:
    """Read the rows of the records found again, and write their content to a file.

    Args:
        job: The job of the comparison, with its source as fetched.
        rules: Rules of the job's vendor.
        comparison: The comparison.
        workers: Task pool.

    Returns:
        A file with the columns `key`, `fingerprint` and those of content; None if there are no such records, or the
        source cannot be read any more: then a later run completes them.
    """
    folder = unkept_folder(comparison.folder)
    if job.keep is Keep.FINGERPRINTS or not (folder / "changes.parquet").exists():
        return None
    schema = content_schema(COLUMNS_OF[job.keep], key=pl.String, fingerprint=pl.Binary)
    file = folder / "content.parquet"
    try:
        tasks = stage_pass(job, rules, comparison.folder, Changes(folder), workers).tasks()
        with (
            ParquetWriter(file, schema, few=(LAYOUT,)) as out,
            closing(workers.map_in_order(prepare_content, tasks)) as done,
        ):
            for rows in done:
                out.add(rows)
    except SourceError:
        return None
    return file if file.exists() else None
