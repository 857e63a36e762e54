"""Size of the first changed records of a comparison as they would be sent: encoded and compressed, but not written."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.forecast import EncodedSample
from batchsync.data.batchfile.changes import CHANGES, Changes
from batchsync.data.batchfile.encode import head_of, tail_of
from batchsync.data.batchfile.encode_task import prepare_lines
from batchsync.data.batchfile.gzip_blocks import OVERHEAD
from batchsync.data.batchfile.prepare import stage_pass
from batchsync.util.files import make_private
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Comparison
    from batchsync.util.executor import TaskPool

#: Records to add or change, and removals, that are encoded. More would hardly change their mean size.
SAMPLE_ROWS = 10_000


def encode_sample(
    job: Job, rules: VendorRules, comparison: Comparison, workers: TaskPool, rows: int = SAMPLE_ROWS
) -> EncodedSample:
    """Return the size of the first changed records; the source is read again as far as these are in it.

    Args:
        job: The job of the comparison, with its source as fetched.
        rules: Rules of the job's vendor.
        comparison: The comparison.
        workers: Task pool.
        rows: Maximum number of records to add or change, and of removals.

    Returns:
        Their size.

    Raises:
        SourceError: If the source changed since it was compared.
    """
    changes = comparison.folder / "changes.parquet"
    if not changes.exists():
        return EncodedSample()
    folder = comparison.folder / "sample"
    make_private(folder)
    found, counts = pl.scan_parquet(changes, glob=False), comparison.plan.counts
    # Removals are the last rows.
    sent = counts.added + counts.changed
    with ParquetWriter(folder / "changes.parquet", CHANGES) as out:
        out.add(found.head(min(rows, sent)).collect())
        out.add(found.slice(sent, rows).collect())
    staging = stage_pass(job, rules, comparison.folder, Changes(folder), workers)
    records = {False: 0, True: 0}
    sizes = {False: 0, True: 0}
    with closing(workers.map_in_order(prepare_lines, staging.tasks())) as done:
        for encoded in done:
            records[encoded.removals] += encoded.rows
            sizes[encoded.removals] += sum(len(block.data) for block in encoded.blocks)
    ends = [block for block in (head_of(staging.compiled), tail_of(staging.compiled)) if block is not None]
    return EncodedSample(
        records=records[False],
        size=sizes[False],
        removals=records[True],
        removals_size=sizes[True],
        file_size=sum(len(block.data) for block in ends) + (OVERHEAD if rules.file.gzip else 0),
    )
