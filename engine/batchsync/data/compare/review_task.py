"""Tasks of the pass that reads changed rows again to show them, or to keep their content. Picklable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.keep import Keep
from batchsync.data.batchfile.encode import map_removals, source_changed_error
from batchsync.data.batchfile.encode_task import keyed_rows
from batchsync.data.frame import columns as names
from batchsync.data.frame.content import COLUMNS_OF, RECORD, content_schema
from batchsync.data.mapping.json_encode import encode_rows
from batchsync.data.mapping.records import apply_record
from batchsync.data.record.fingerprint import fingerprints
from batchsync.data.record.kept_content import kept_content

if TYPE_CHECKING:
    from batchsync.data.batchfile.encode_task import StageTask
    from batchsync.data.mapping.records import MappedRecords
    from batchsync.data.mapping.shapes import Record

#: Columns of the records that are shown.
SHOWN = {"key": pl.String, "row": pl.Int64, "op": pl.String, RECORD: pl.String}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewTask:
    """Map changed rows again.

    Attributes:
        stage: The rows.
        shown: Column `key`: the records whose text is wanted.
        keep: What is kept of records; fingerprints: no hashes are wanted.
    """

    stage: StageTask
    shown: pl.DataFrame
    keep: Keep


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedRows:
    """Records that are shown (columns `SHOWN`), and hashes of changed ones (`key` and the columns of content)."""

    shown: pl.DataFrame
    hashes: pl.DataFrame


def prepare_review(task: ReviewTask) -> ReviewedRows:
    """Return the records of a task that are shown, and the hashes of its changed records.

    Raises:
        SourceError: If the rows cannot be read, or are other rows than the compared ones.
    """
    compiled = task.stage.spec.compiled
    wanted = COLUMNS_OF[Keep.MEMBERS]
    none = pl.DataFrame(schema=content_schema(wanted, key=pl.String))
    if task.stage.removal and task.stage.rows is not None:
        removed = map_removals(compiled, task.stage.rows)
        return ReviewedRows(shown=_shown(compiled.removal, removed, task.shown), hashes=none)
    mapped = apply_record(compiled.record, keyed_rows(task.stage))
    if not (mapped.heads[names.KEY] == mapped.heads[names.SENT_KEY]).all(ignore_nulls=False):
        changed_error = source_changed_error(compiled.job)
        raise changed_error
    shown = _shown(compiled.record, mapped, task.shown)
    changed = replace(mapped, heads=mapped.heads.filter(pl.col(names.OP) == "change"))
    if task.keep is Keep.FINGERPRINTS or not changed.heads.height:
        return ReviewedRows(shown=shown, hashes=none)
    content = kept_content(compiled.record, changed, Keep.MEMBERS)
    keys = changed.heads.select(pl.col(names.SENT_KEY).alias("key"))
    return ReviewedRows(shown=shown, hashes=pl.concat([keys, content], how="horizontal"))


def _shown(record: Record, mapped: MappedRecords, shown: pl.DataFrame) -> pl.DataFrame:
    """Return the records that are shown, with the columns `SHOWN`."""
    heads = mapped.heads.join(shown, left_on=names.SENT_KEY, right_on="key", how="semi", maintain_order="left")
    if not heads.height:
        return pl.DataFrame(schema=SHOWN)
    found = heads.select(
        pl.col(names.SENT_KEY).alias("key"), pl.col(names.ROW).alias("row"), pl.col(names.OP).alias("op")
    )
    return found.with_columns(encode_rows(record, replace(mapped, heads=heads), (), ()).alias(RECORD))


def prepare_content(task: StageTask) -> pl.DataFrame:
    """Return what the job keeps of the rows of a task: `key`, `fingerprint` and the columns of content.

    Rows that changed since they were compared are left out.

    Raises:
        SourceError: If the rows cannot be read.
    """
    compiled = task.spec.compiled
    mapped = apply_record(compiled.record, keyed_rows(task))
    same = (fingerprints(compiled, mapped) == mapped.heads[names.SENT_FINGERPRINT]).fill_null(value=False)
    mapped = replace(mapped, heads=mapped.heads.filter(same))
    kept = mapped.heads.select(pl.col(names.SENT_KEY).alias("key"), pl.col(names.SENT_FINGERPRINT).alias("fingerprint"))
    content = kept_content(compiled.record, mapped, compiled.job.keep)
    return pl.concat([kept, content], how="horizontal")
