"""Removal records: what is sent for a key that left the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Expression
from batchsync.data.frame import columns as names
from batchsync.data.mapping.compiled import Record, compile_record
from batchsync.errors import SpecError

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules


def key_names(job: Job) -> tuple[str, ...]:
    """Return the names of the key columns; a key expression is called `key`."""
    return ("key",) if isinstance(job.source.key, Expression) else job.source.key


def key_columns(job: Job) -> list[pl.Expr]:
    """Return the key columns by name, as strings, parsed from the canonical key in `SENT_KEY`."""
    key = key_names(job)
    if len(key) == 1:
        return [pl.col(names.SENT_KEY).alias(key[0])]
    values = pl.col(names.SENT_KEY).str.json_decode(pl.List(pl.String))
    return [values.list.get(index).alias(name) for index, name in enumerate(key)]


def removal_record(job: Job, rules: VendorRules) -> Record:
    """Compile the removal record of a job, over the key columns alone.

    Args:
        job: The job.
        rules: Rules of the job's vendor.

    Returns:
        The compiled record.

    Raises:
        SpecError: If the job has no removal record, or if the record uses anything but key columns.
    """
    if job.removal is None:
        raise SpecError(())
    schema = rules.schema_for(job.target)
    columns: dict[str, pl.DataType] = dict.fromkeys(key_names(job), pl.String())
    record, problems = compile_record(job.removal.record, schema.root if schema else None, columns)
    if problems:
        raise SpecError(tuple(problems))
    return record
