"""The record of a removal: what is sent for a key that left the source."""

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
    """Return the names of the key columns; the result of an expression is called `key`."""
    return ("key",) if isinstance(job.source.key, Expression) else job.source.key


def key_columns(job: Job) -> list[pl.Expr]:
    """Return the key columns by name, as texts, rebuilt from the canonical key text."""
    wanted = key_names(job)
    if len(wanted) == 1:
        return [pl.col(names.SENT_KEY).alias(wanted[0])]
    parts = pl.col(names.SENT_KEY).str.json_decode(pl.List(pl.String))
    return [parts.list.get(index).alias(name) for index, name in enumerate(wanted)]


def removal_record(job: Job, rules: VendorRules) -> Record:
    """Return the compiled record of a removal, over the key columns alone.

    Raises:
        SpecError: when it names anything but key columns.
    """
    if job.removal is None:
        raise SpecError(())
    schema = rules.schema_for(job.target)
    columns: dict[str, pl.DataType] = dict.fromkeys(key_names(job), pl.String())
    record, problems = compile_record(job.removal.record, schema.root if schema else None, columns)
    if problems:
        raise SpecError(tuple(problems))
    return record
