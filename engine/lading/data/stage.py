"""What a comparison found becomes sealed batch files: the same changes give the same bytes, whatever the threads.

It does not compare. It reads the source again, takes only the rows that are to be sent, and refuses to go on when
one of them is no longer what was compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from lading.core.mapping import Expression
from lading.core.tickets import NAMESPACE
from lading.core.vendor_rules import FileFormat
from lading.data import names
from lading.data.compare import threads
from lading.data.csvtext import fields, header_line
from lading.data.evaluate import evaluate
from lading.data.grouping import grouped_frames
from lading.data.gz import BLOCK, Block, cut, pack
from lading.data.joins import join_all, load
from lading.data.keys import keyed
from lading.data.read import FRAME_ROWS, frames
from lading.data.records import Mapped, Plan, fingerprints, lines, make_plan, mapped
from lading.data.sealed import Sealer
from lading.data.shapes import Record, compile_record
from lading.data.spool import in_order
from lading.errors import SourceError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.batch import BatchFile
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.ports import Comparison, Watcher

#: A file of the smallest limit still holds a few blocks.
_BLOCKS_IN_FILE = 4
#: A source may have columns with the plain names.
_INTERNAL = {"row": names.SENT_ROW, "key": names.SENT_KEY, "op": names.OP, "fingerprint": names.SENT_AS}


@dataclass(frozen=True, slots=True)
class Task:
    """Some rows to encode, all adds and changes or all removals, and the number of the first within the run."""

    rows: pl.DataFrame
    first: int
    removal: bool


@dataclass(frozen=True, slots=True)
class Encoded:
    """The packed lines of a task with the evidence of each block's rows."""

    blocks: list[tuple[Block, pl.DataFrame]]
    rows: int


def stage(
    job: Job, rules: VendorRules, comparison: Comparison, into: Path, watcher: Watcher | None = None
) -> tuple[BatchFile, ...]:
    """Return the sealed files of a comparison, in source order, removals last.

    Raises:
        SourceError: when the source is no longer what was compared, or cannot be read.
    """
    changes = pl.read_parquet(comparison.folder / "changes.parquet", glob=False).rename(_INTERNAL)
    if not changes.height:
        return ()
    facts = json.loads((comparison.folder / "compare.json").read_text(encoding="utf-8"))
    template = tuple(facts["template"]) if facts["template"] is not None else None
    plan = make_plan(job, rules, template)
    head = None
    compression = job.compression if rules.file.gzip else None
    if rules.file.format is FileFormat.CSV:
        head = pack(header_line(plan.columns), 0, compression)
    sealer = Sealer(into, rules.file, head)
    done = 0
    try:
        for one in in_order(lambda task: encode(plan, task), _tasks(plan, changes, comparison.folder), threads()):
            for block, evidence in one.blocks:
                sealer.add(block, evidence)
            done += one.rows
            if watcher is not None:
                watcher.progress(job.name, "stage", done, "records", changes.height)
        if done != changes.height:
            raise changed_under_us(job)
        sealer.finish()
    finally:
        sealer.abandon()
    return tuple(sealer.files)


def changed_under_us(job: Job) -> SourceError:
    """Return the error for a source that is not what was compared."""
    message = f"{job.source.place}: {job.source.path} changed between comparing and preparing; nothing was sent"
    return SourceError(message, hint="Run the command again when nobody writes the file.")


def _tasks(plan: Plan, changes: pl.DataFrame, folder: Path) -> Iterator[Task]:
    """Yield the work in the order in which records are sent."""
    sent = changes.filter(pl.col(names.OP) != "remove")
    number = 0
    if sent.height:
        for rows in _grouped(sent, folder) if plan.grouped else _rows(plan, sent, folder):
            yield Task(rows, number, removal=False)
            number += rows[names.HEAD].n_unique() if plan.grouped else rows.height
    removed = changes.filter(pl.col(names.OP) == "remove")
    for begin in range(0, removed.height, FRAME_ROWS):
        yield Task(removed[begin : begin + FRAME_ROWS], number + begin, removal=True)


def _with_changes(frame: pl.DataFrame, sent: pl.DataFrame, row: str) -> pl.DataFrame:
    """Return the rows of a frame that are to be sent, with what the comparison found about them."""
    if not frame.height:
        return frame.clear().join(sent.clear(), left_on=row, right_on=names.SENT_ROW, how="inner")
    rows = sent[names.SENT_ROW]
    begin = int(rows.search_sorted(int(frame[row][0]), side="left"))
    end = int(rows.search_sorted(int(frame[row][-1]), side="right"))
    return frame.join(sent[begin:end], left_on=row, right_on=names.SENT_ROW, how="inner", maintain_order="left")


def _grouped(sent: pl.DataFrame, folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the source rows of records to send, whole records in each frame."""
    for frame in grouped_frames(folder):
        rows = _with_changes(frame, sent, names.HEAD)
        if rows.height:
            yield rows


def _rows(plan: Plan, sent: pl.DataFrame, folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the source rows to send, in frames of exactly FRAME_ROWS whatever the reader gives."""
    lookups = load(plan.job.source, folder)
    kept: list[pl.DataFrame] = []
    for frame in frames(plan.given, folder, fresh=False):
        rows = _with_changes(frame, sent, names.ROW)
        if not rows.height:
            continue
        kept.append(rows)
        while sum(one.height for one in kept) >= FRAME_ROWS:
            whole = pl.concat(kept)
            yield keyed(plan, join_all(whole[:FRAME_ROWS], lookups))[0]
            kept = [whole[FRAME_ROWS:]] if whole.height > FRAME_ROWS else []
    if kept:
        yield keyed(plan, join_all(pl.concat(kept), lookups))[0]


def encode(plan: Plan, task: Task) -> Encoded:
    """Return the packed lines of a task: a function of the plan and of its rows."""
    found, record, mode = (
        _removals(plan, task.rows) if task.removal else (_verified(plan, task.rows), plan.record, plan.job.mode)
    )
    refs = plh.concat_str([pl.lit(f"record\0{plan.job.name}\0"), pl.col(names.SENT_KEY)]).uuidhash.uuid5(str(NAMESPACE))
    heads = found.heads.with_columns(refs.alias(names.REF))
    found = Mapped(heads=heads, rows=found.rows, flaws=[])
    text = lines(_for(plan, record), found, *_envelope(plan, mode))
    if text.null_count():
        raise changed_under_us(plan.job)
    evidence = _evidence(plan, found, record)
    rules = plan.rules.file
    block_size = BLOCK if rules.bytes_max is None else max(1, min(BLOCK, rules.bytes_max // _BLOCKS_IN_FILE))
    compression = plan.job.compression if rules.gzip else None
    blocks = []
    begin = 0
    for raw, rows in cut(text, block_size, task.first, rules.rows_max):
        blocks.append((pack(raw, rows, compression), evidence[begin : begin + rows]))
        begin += rows
    return Encoded(blocks, heads.height)


def _for(plan: Plan, record: Record) -> Plan:
    """Return the plan with another record."""
    if record is plan.record:
        return plan
    return Plan(
        job=plan.job,
        rules=plan.rules,
        given=plan.given,
        schema=plan.schema,
        key=plan.key,
        record=record,
        columns=plan.columns,
    )


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
        raise SourceError(message, hint="Correct the record of on_removed; nothing was sent.")
    heads = pl.concat([rows, values.drop([one for one in by_name.columns if one in rows.columns])], how="horizontal")
    mode = plan.job.removal.mode if plan.job.removal else ""
    return (
        Mapped(heads=heads.with_columns(pl.col(names.SENT_ROW).alias(names.ROW)), rows=None, flaws=flaws),
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
