"""Rows that are to be sent become packed lines with their evidence: a function of the plan and of the rows.

It does not know files or the order of tasks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from lading.core.mapping import Expression
from lading.core.tickets import NAMESPACE
from lading.core.vendor_rules import FileFormat
from lading.data import names
from lading.data.csvtext import fields, header_line
from lading.data.evaluate import evaluate
from lading.data.gz import BLOCK, Block, cut, pack
from lading.data.records import Mapped, Plan, fingerprints, lines, mapped
from lading.data.shapes import Record, compile_record
from lading.errors import SourceError, SpecError

if TYPE_CHECKING:
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules

#: Where one row in so many is invalid, lines are not made of them first.
_MANY = 16
#: A file of the smallest limit still holds a few blocks.
_BLOCKS_IN_FILE = 4


@dataclass(frozen=True, slots=True)
class Encoded:
    """Packed lines, and the evidence of their rows in the same order."""

    blocks: list[Block]
    evidence: pl.DataFrame

    @property
    def rows(self) -> int:
        """How many records these are."""
        return self.evidence.height


def changed_under_us(job: Job) -> SourceError:
    """Return the error for a source that is not what was compared."""
    message = f"{job.source.place}: {job.source.path} changed between comparing and preparing"
    return SourceError(message, hint="Run the command again when nobody writes the file.")


def compression_of(plan: Plan) -> str | None:
    """Return how the plan's files are compressed; None for plain."""
    return plan.job.compression if plan.rules.file.gzip else None


def head_of(plan: Plan) -> Block | None:
    """Return the block that every file begins with; None when there is none."""
    if plan.rules.file.format is not FileFormat.CSV:
        return None
    return pack(header_line(plan.columns), 0, compression_of(plan))


def encode_changes(plan: Plan, rows: pl.DataFrame, first: int) -> Encoded:
    """Return the packed lines of keyed rows to add or change; `first` is the number of the first within the run.

    Raises:
        SourceError: when a row is not what was compared.
    """
    return encoded(plan, _verified(plan, rows), plan.record, plan.job.mode, first)


def encode_removals(plan: Plan, rows: pl.DataFrame, first: int) -> Encoded:
    """Return the packed lines of keys to remove."""
    return encoded(plan, *_removals(plan, rows), first)


def encode_ahead(plan: Plan, found: Mapped) -> Encoded:
    """Return the packed lines of the good records of a frame, all of them to add."""
    sent = [
        pl.col(names.ROW).alias(names.SENT_ROW),
        pl.col(names.KEY).alias(names.SENT_KEY),
        pl.col(names.FINGERPRINT).alias(names.SENT_AS),
        pl.lit("add").alias(names.OP),
    ]
    leaves = [names.leaf(one.index) for one in plan.record.leaves]
    heads = found.heads.lazy().select(names.ROW, names.KEY, "bad", *leaves, *sent)
    bad = int(found.heads["bad"].sum())
    if bad * _MANY > found.heads.height:
        heads, bad = heads.filter(~pl.col("bad")), 0
    rows = replace(found, heads=heads.collect())
    return encoded(plan, rows, plan.record, plan.job.mode, 0, keep=~rows.heads["bad"] if bad else None)


def encoded(
    plan: Plan, found: Mapped, record: Record, mode: str, first: int, *, keep: pl.Series | None = None
) -> Encoded:
    """Return the packed lines of mapped rows; `first` is the number of the first of them within the run.

    `keep` leaves out all other rows at the end: a few lines made for nothing cost less than rows picked out of every
    column.
    """
    refs = plh.concat_str([pl.lit(f"record\0{plan.job.name}\0"), pl.col(names.SENT_KEY)]).uuidhash.uuid5(str(NAMESPACE))
    heads = found.heads.with_columns(refs.alias(names.REF))
    found = replace(found, heads=heads)
    text = lines(replace(plan, record=record), found, *_envelope(plan, mode))
    if text.null_count() or heads[names.REF].null_count():
        raise changed_under_us(plan.job)
    evidence = _evidence(plan, found, record)
    if keep is not None:
        text, evidence = text.filter(keep), evidence.filter(keep)
    rules = plan.rules.file
    block_size = BLOCK if rules.bytes_max is None else max(1, min(BLOCK, rules.bytes_max // _BLOCKS_IN_FILE))
    compression = compression_of(plan)
    blocks = [pack(raw, rows, compression) for raw, rows in cut(text, block_size, first, rules.rows_max)]
    return Encoded(blocks, evidence)


def _verified(plan: Plan, rows: pl.DataFrame) -> Mapped:
    """Map rows and refuse them when they are not what was compared."""
    found = mapped(plan, rows)
    same = (fingerprints(plan, found) == found.heads[names.SENT_AS]) & (
        found.heads[names.KEY] == found.heads[names.SENT_KEY]
    )
    if not same.all(ignore_nulls=False):
        raise changed_under_us(plan.job)
    return found


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


def _removals(plan: Plan, rows: pl.DataFrame) -> tuple[Mapped, Record, str]:
    """Map the keys that left the source."""
    record = removal_record(plan.job, plan.rules)
    by_name = rows.select(key_columns(plan.job))
    values, flaws = evaluate(by_name, record.leaves)
    if flaws:
        what = f"the removal's {flaws[0].leaf.path} cannot be made of every key: {flaws[0].message}"
        message = f"{plan.job.source.place}: {what}"
        raise SourceError(message, hint="Correct the record of on_removed.")
    heads = pl.concat([rows, values.drop([one for one in by_name.columns if one in rows.columns])], how="horizontal")
    mode = plan.job.removal.mode if plan.job.removal else ""
    return (
        Mapped(heads=heads.with_columns(pl.col(names.SENT_ROW).alias(names.ROW)), rows=None, flaws=flaws, valid=False),
        record,
        mode,
    )


def _envelope(plan: Plan, mode: str) -> tuple[list[str | pl.Expr], str]:
    """Return what stands before and after a record."""
    if not plan.rules.file.envelope:
        return [""], ""
    schema = plan.rules.schema_for(plan.job.target)
    name = plan.job.target.get("schema") or (schema.name if schema else "")
    middle = f'","schema":{json.dumps(name)},"mode":{json.dumps(mode)},"value":'
    return ['{"ref":"', pl.col(names.REF), middle], "}"


def _evidence(plan: Plan, found: Mapped, record: Record) -> pl.DataFrame:
    """Return what is kept about each sent row: enough to read the vendor's row log and to move the baseline."""
    named = [one.alias(f"key:{name}") for one, name in zip(key_columns(plan.job), key_names(plan.job), strict=True)]
    columns = [
        pl.col(names.SENT_KEY).alias("key"),
        pl.col(names.SENT_AS).alias("fingerprint"),
        pl.col(names.OP).alias("op"),
        pl.col(names.ROW).alias("row"),
        pl.col(names.REF).alias("ref"),
    ]
    if plan.rules.row_log.joined_by == "inputs" and plan.rules.file.format is FileFormat.CSV:
        sent = fields(record, plan.columns)
        columns += [one.alias(f"input:{name}") for one, name in zip(sent, plan.columns, strict=True)]
    return found.heads.select(*columns, *named)
