"""Lines of a batch file from mapped records, in CSV or JSON as the vendor's file rules require."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.vendor_rules import SPLICE, FileFormat
from batchsync.data.mapping.csv_encode import encode_rows as csv_lines
from batchsync.data.mapping.json_encode import encode_rows as json_lines

if TYPE_CHECKING:
    import polars as pl

    from batchsync.data.mapping.records import MappedRecords
    from batchsync.data.mapping.shapes import Record
    from batchsync.data.record.compiled_job import CompiledJob


def lines(
    compiled: CompiledJob,
    record: Record,
    mapped: MappedRecords,
    before: list[str | pl.Expr],
    after: list[str | pl.Expr],
) -> pl.Series:
    """Return each record as a line of the batch file, with its line end.

    Args:
        compiled: The compiled job.
        record: Its record, or that of its removals.
        mapped: Mapped records.
        before: Fragments of the envelope before a JSON record.
        after: Fragments after it.

    Returns:
        The lines (String), in the order of `mapped.heads`; null where a part of the envelope is null.
    """
    if compiled.rules.file.format is FileFormat.CSV:
        return csv_lines(mapped.heads, record, compiled.columns_of(record))
    spliced = SPLICE in (compiled.rules.file.envelope or ())
    return json_lines(record, mapped, before, [*after, "\n"], spliced=spliced)
