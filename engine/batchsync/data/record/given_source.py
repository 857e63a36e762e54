"""Given rows as the source of a job, in a file."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.csv_dialect import CsvDialect
from batchsync.core.sheet import Sheet
from batchsync.data.record.given_rows import is_text
from batchsync.data.record.missing_fields import named_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.core.mapping_test import GivenRow


def with_given_rows(job: Job, rows: Sequence[GivenRow], folder: Path) -> Job:
    """Return a job that reads given rows instead of its source. Its joins stay as they are.

    Args:
        job: The job.
        rows: The rows.
        folder: Existing folder, in which the file of the rows is written: CSV if the source is, else JSON lines.
    """
    if is_text(job.source):
        path = folder / f"{job.name}.csv"
        _write_csv(path, job, rows)
    else:
        path = folder / f"{job.name}.jsonl"
        lines = (json.dumps({cell.column: cell.value for cell in row.cells}, default=str) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    source = replace(
        job.source,
        path=str(path),
        format=None,
        delimiter=",",
        encoding="utf-8",
        dialect=CsvDialect(),
        sheet=Sheet(),
        job=None,
        query=None,
        stored=None,
        parts=(),
        roots=(),
        contract=None,
    )
    return replace(job, source=source)


def _write_csv(path: Path, job: Job, rows: Sequence[GivenRow]) -> None:
    """Write rows to a CSV file. Without joins it has all columns that the job names."""
    named = () if job.source.joins else named_columns(job)
    columns = list(dict.fromkeys([*(cell.column for row in rows for cell in row.cells), *named]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({cell.column: cell.text for cell in row.cells} for row in rows)
