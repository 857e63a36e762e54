"""Lines of a batch file from mapped records: CSV or JSON, as the vendor's file rules say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.vendor_rules import FileFormat
from batchsync.data.mapping.csv_encode import encode_rows as csv_lines
from batchsync.data.mapping.json_encode import texts

if TYPE_CHECKING:
    import polars as pl

    from batchsync.data.mapping.apply import MappedRecords
    from batchsync.data.record.compiled_job import CompiledJob


def lines(plan: CompiledJob, found: MappedRecords, before: list[str | pl.Expr], after: str) -> pl.Series:
    """Return each record as the line of the batch file, with its line end."""
    if plan.rules.file.format is FileFormat.CSV:
        return csv_lines(found.heads, plan.record, plan.columns)
    return texts(plan.record, found, before, after + "\n")
