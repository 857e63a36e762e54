"""Encode rows to send as packed lines with their row manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl
import polars_hash as plh

from batchsync.core.keep import Keep
from batchsync.core.naming import NAMESPACE
from batchsync.core.vendor_calls import PLACEHOLDER
from batchsync.core.vendor_rules import SPLICE, FileFormat, JoinedBy, Reference
from batchsync.data.batchfile.gzip_blocks import BLOCK, GzipBlock, pack, split_lines
from batchsync.data.frame import columns as names
from batchsync.data.frame.content import COLUMNS_OF, CONTENT
from batchsync.data.frame.suppressed import digest_of_value, manifest_column
from batchsync.data.mapping.csv_encode import fields, header_line
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.mapping.records import MappedRecords, apply_record
from batchsync.data.record.compiled_job import key_columns, key_names
from batchsync.data.record.fingerprint import fingerprints
from batchsync.data.record.held_members import KIND, held_members, keeps_absent_members
from batchsync.data.record.kept_content import kept_content
from batchsync.data.record.lines import lines
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.data.mapping.shapes import Record
    from batchsync.data.record.compiled_job import CompiledJob

#: If more than one row in this many is invalid, invalid rows are dropped before encoding.
_DROP_FRACTION = 16
#: Least number of blocks that fit into a file of the vendor's maximum size.
_BLOCKS_IN_FILE = 4


@dataclass(frozen=True, slots=True)
class Encoded:
    """Packed lines and the row manifest of their rows, in the same order; `removals`: whether all of them are."""

    blocks: list[GzipBlock]
    row_manifest: pl.DataFrame
    removals: bool = False

    @property
    def rows(self) -> int:
        """Number of records."""
        return self.row_manifest.height


def source_changed_error(job: Job) -> SourceError:
    """Return the error for a source that differs from the compared one."""
    message = f"{job.source.place}: {job.source.path} changed between comparing and preparing"
    return SourceError(message, hint="Run the command again when no other process writes the file.")


def compression_of(compiled: CompiledJob) -> str | None:
    """Return the compression of the job's files (fast or smaller); None without compression."""
    return compiled.job.compression if compiled.rules.file.gzip else None


def head_of(compiled: CompiledJob, record: Record | None = None) -> GzipBlock | None:
    """Return the block that every file begins with; None if there is none.

    Args:
        compiled: The compiled job.
        record: The records of the files; None: those of the job.
    """
    if compiled.rules.file.format is FileFormat.CSV:
        columns = compiled.columns_of(record or compiled.record)
        return pack(header_line(columns), 0, compression_of(compiled))
    return pack(document_ends(compiled)[0], 0, None) if compiled.rules.file.document is not None else None


def tail_of(compiled: CompiledJob) -> GzipBlock | None:
    """Return the block that every file ends with; None if there is none."""
    return pack(document_ends(compiled)[1], 0, None) if compiled.rules.file.document is not None else None


def document_ends(compiled: CompiledJob) -> tuple[bytes, bytes]:
    """Return what precedes and follows the records of a JSON document."""
    text = json.dumps(_targeted(compiled.rules.file.document, compiled.job.target), separators=(",", ":"))
    before, after = text.split('"{records}"')
    return f"{before}[\n".encode(), f"]{after}\n".encode()


def _targeted(node: object, target: Mapping[str, str]) -> object:
    """Return a template with the values of a target; members whose optional placeholder has no value are left out."""
    if isinstance(node, Mapping):
        filled = {name: _targeted(item, target) for name, item in node.items()}
        return {name: item for name, item in filled.items() if item is not None}
    if isinstance(node, list):
        return [item for item in (_targeted(item, target) for item in node) if item is not None]
    if not isinstance(node, str):
        return node
    found = PLACEHOLDER.fullmatch(node)
    if found and found[2] and found[1].removeprefix("target.") not in target:
        return None
    return PLACEHOLDER.sub(lambda match: target.get(match[1].removeprefix("target."), match[0]), node)


def encode_changes(compiled: CompiledJob, rows: pl.DataFrame, first: int) -> Encoded:
    """Encode keyed rows to add or change.

    Args:
        compiled: The compiled job.
        rows: Source columns, `KEY`, `ROW` (with `each:` also `HEAD`) and the columns of `Changes.until`.
        first: Index of the first record within the run, from 0.

    Returns:
        The packed lines with their row manifest.

    Raises:
        SourceError: If a row differs from the compared one.
    """
    mapped = map_unchanged(compiled, rows)
    if compiled.job.suppress is not None:
        values = digest_of_value(compiled.job.suppress.column).drop_nulls().unique().alias(names.LISTED_VALUES)
        listed = rows.group_by(names.KEY).agg(values)
        mapped = replace(mapped, heads=mapped.heads.join(listed, on=names.KEY, how="left", maintain_order="left"))
    return _encoded(compiled, mapped, compiled.record, compiled.job.mode, first)


def map_unchanged(compiled: CompiledJob, rows: pl.DataFrame) -> MappedRecords:
    """Map keyed rows to add or change, which must give the compared records.

    Args:
        compiled: The compiled job.
        rows: As for `encode_changes`.

    Returns:
        The mapped rows.

    Raises:
        SourceError: If a row differs from the compared one.
    """
    mapped = apply_record(compiled.record, rows)
    unchanged = (fingerprints(compiled, mapped) == mapped.heads[names.SENT_FINGERPRINT]) & (
        mapped.heads[names.KEY] == mapped.heads[names.SENT_KEY]
    )
    if not unchanged.all(ignore_nulls=False):
        error = source_changed_error(compiled.job)
        raise error
    return mapped


def encode_removals(compiled: CompiledJob, rows: pl.DataFrame, first: int) -> Encoded:
    """Encode keys to remove.

    Args:
        compiled: The compiled job.
        rows: The columns of `Changes.until`.
        first: Index of the first record within the run, from 0.

    Returns:
        The packed lines with their row manifest.

    Raises:
        SourceError: If the removal record cannot be computed for every key.
    """
    mapped = map_removals(compiled, rows)
    mode = compiled.job.removal.mode if compiled.job.removal else ""
    return replace(_encoded(compiled, mapped, compiled.removal, mode, first), removals=True)


def map_removals(compiled: CompiledJob, rows: pl.DataFrame) -> MappedRecords:
    """Map keys to remove to their removal records.

    Args:
        compiled: The compiled job.
        rows: The columns of `Changes.until`.

    Returns:
        The mapped records, in the order of `rows`.

    Raises:
        SourceError: If the removal record cannot be computed for every key.
    """
    by_name = rows.select(key_columns(compiled.job))
    values, invalid_values = evaluate(by_name, compiled.removal.leaves)
    if invalid_values:
        reason = (
            f"{invalid_values[0].leaf.path} of on_removed cannot be computed for every key: {invalid_values[0].message}"
        )
        message = f"{compiled.job.source.place}: {reason}"
        raise SourceError(message, hint="Correct the record of on_removed.")
    named = values.drop([column for column in by_name.columns if column in rows.columns])
    heads = pl.concat([rows, named], how="horizontal").with_columns(pl.col(names.SENT_ROW).alias(names.ROW))
    return MappedRecords(heads=heads, rows=None, invalid_values=invalid_values, valid=False)


def encode_eagerly(compiled: CompiledJob, mapped: MappedRecords) -> Encoded:
    """Encode the valid records of an examined frame, all of them to add.

    Args:
        compiled: The compiled job.
        mapped: Mapped records; `heads` has `FINGERPRINT` and `bad`, which marks invalid records.

    Returns:
        The packed lines with their row manifest.
    """
    sent = [
        pl.col(names.ROW).alias(names.SENT_ROW),
        pl.col(names.KEY).alias(names.SENT_KEY),
        pl.col(names.FINGERPRINT).alias(names.SENT_FINGERPRINT),
        pl.lit("add").alias(names.OP),
    ]
    leaves = [names.leaf_column(leaf.index) for leaf in compiled.record.leaves]
    members = [names.MEMBERS] if names.MEMBERS in mapped.heads.columns else []
    heads = mapped.heads.lazy().select(names.ROW, names.KEY, "bad", *leaves, *members, *sent)
    bad = int(mapped.heads["bad"].sum())
    if bad * _DROP_FRACTION > mapped.heads.height:
        heads, bad = heads.filter(~pl.col("bad")), 0
    rows = replace(mapped, heads=heads.collect())
    return _encoded(compiled, rows, compiled.record, compiled.job.mode, 0, keep=~rows.heads["bad"] if bad else None)


def _encoded(
    compiled: CompiledJob,
    mapped: MappedRecords,
    record: Record,
    mode: str,
    first: int,
    *,
    keep: pl.Series | None = None,
) -> Encoded:
    """Encode mapped rows.

    Args:
        compiled: The compiled job.
        mapped: The mapped rows; `heads` has the columns of `Changes.until`.
        record: Compiled record: the job's, or that of its removals.
        mode: Vendor mode, named in the envelope.
        first: Index of the first record within the run, from 0.
        keep: Mask of the rows to keep, applied last: encoding a few lines in vain is cheaper than filtering columns.

    Returns:
        The packed lines with their row manifest.

    Raises:
        SourceError: If a line cannot be made, because the source changed after it was compared.
    """
    refs = _references(compiled, first)
    heads = mapped.heads.with_columns(refs.alias(names.REF))
    mapped = replace(mapped, heads=heads)
    line_texts = lines(compiled, record, mapped, *_envelope(compiled, mode))
    if line_texts.null_count() or heads[names.REF].null_count():
        error = source_changed_error(compiled.job)
        raise error
    manifest = _row_manifest(compiled, mapped, record)
    if keep is not None:
        line_texts, manifest = line_texts.filter(keep), manifest.filter(keep)
    rules = compiled.rules.file
    block_size = BLOCK if rules.bytes_max is None else max(1, min(BLOCK, rules.bytes_max // _BLOCKS_IN_FILE))
    compression = compression_of(compiled)
    blocks = [pack(raw, rows, compression) for raw, rows in split_lines(line_texts, block_size, first, rules.rows_max)]
    return Encoded(blocks, manifest)


def _references(compiled: CompiledJob, first: int) -> pl.Expr:
    """Return our reference of each record, as text."""
    if compiled.rules.file.reference is Reference.NUMBER:
        return (pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + first).cast(pl.String)
    named = plh.concat_str([pl.lit(f"record\0{compiled.job.name}\0"), pl.col(names.SENT_KEY)])
    return named.uuidhash.uuid5(str(NAMESPACE))


def _envelope(compiled: CompiledJob, mode: str) -> tuple[list[str | pl.Expr], list[str | pl.Expr]]:
    """Return the fragments of the envelope before and after a record."""
    template, separator = compiled.rules.file.envelope, "," if compiled.rules.file.document is not None else ""
    if template is None:
        return [separator], [""]
    schema = compiled.rules.schema_for(compiled.job.target)
    name = compiled.job.target.get("schema") or (schema.name if schema else "")
    text = json.dumps(template, separators=(",", ":"), ensure_ascii=False)
    for placeholder, value in (("{schema}", name), ("{mode}", mode)):
        text = text.replace(placeholder, json.dumps(value)[1:-1])
    if compiled.rules.file.reference is Reference.NUMBER:
        text = text.replace('"{ref}"', "{ref}")
    before, after = text.split('"{record}"')
    before = before.removesuffix(f',"{SPLICE}":')
    return _with_refs(separator + before), _with_refs(after)


def _with_refs(text: str) -> list[str | pl.Expr]:
    """Return a text as fragments, with the column of references at each `{ref}`."""
    first, *rest = text.split("{ref}")
    return [first, *(fragment for part in rest for fragment in (pl.col(names.REF), part))]


def _row_manifest(compiled: CompiledJob, mapped: MappedRecords, record: Record) -> pl.DataFrame:
    """Return the row manifest: enough to join the vendor's row log and to move the baseline."""
    named = [
        item.alias(f"key:{name}") for item, name in zip(key_columns(compiled.job), key_names(compiled.job), strict=True)
    ]
    columns = [
        pl.col(names.SENT_KEY).alias("key"),
        pl.col(names.SENT_FINGERPRINT).alias("fingerprint"),
        pl.col(names.OP).alias("op"),
        pl.col(names.ROW).alias("row"),
        pl.col(names.REF).alias("ref"),
    ]
    if compiled.rules.row_log.joined_by is JoinedBy.INPUTS and compiled.rules.file.format is FileFormat.CSV:
        listed = compiled.columns_of(record)
        sent = fields(record, listed)
        columns += [item.alias(f"input:{name}") for item, name in zip(sent, listed, strict=True)]
    if compiled.job.suppress is not None:
        values = pl.col(names.LISTED_VALUES) if names.LISTED_VALUES in mapped.heads.columns else pl.lit(None)
        name = manifest_column(compiled.job.suppress.column)
        columns.append(values.cast(pl.List(pl.Binary)).alias(name))
    manifest = mapped.heads.select(*columns, *named)
    keep = compiled.job.keep
    if keep is not Keep.FINGERPRINTS and record is compiled.record:
        manifest = pl.concat([manifest, kept_content(record, mapped, keep)], how="horizontal")
    elif keep is not Keep.FINGERPRINTS:
        manifest = manifest.with_columns(pl.lit(None, dtype=CONTENT[name]).alias(name) for name in COLUMNS_OF[keep])
    if not keeps_absent_members(compiled):
        return manifest
    if names.MEMBERS in mapped.heads.columns:
        return manifest.with_columns(mapped.heads[names.MEMBERS].alias("members"))
    if record is compiled.record:
        return manifest.with_columns(held_members(record, mapped.heads).alias("members"))
    return manifest.with_columns(pl.lit(None, dtype=KIND).alias("members"))
