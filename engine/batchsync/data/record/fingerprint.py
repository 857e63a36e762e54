"""Fingerprints of records: a version, a 128-bit hash of the content of the record, and the hash of the key definition.

The content is what the record says, not how the mapping computes it: an edit of the mapping changes the fingerprints of
those records only that it changes. Keys accepted under another definition of the key are not comparable with those of
today, and are never removed.

A fingerprint of version 1 has no version byte and hashes the mapping with its values. A baseline that holds such
fingerprints is compared with both versions (`former_fingerprints`).
"""

from __future__ import annotations

import hashlib
import json
from operator import itemgetter
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Expression
from batchsync.core.record_schema import Kind
from batchsync.data.frame import columns as names
from batchsync.data.frame.hashes import FINGERPRINT_VERSION, digest_of_columns, digest_of_text
from batchsync.data.mapping.compiled import item_type
from batchsync.data.mapping.shapes import Constant, FixedList, ListValue, Members, RepeatedList, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.job import Job, Source
    from batchsync.core.record_schema import Rule
    from batchsync.data.mapping.records import MappedRecords
    from batchsync.data.mapping.shapes import Shape
    from batchsync.data.record.compiled_job import CompiledJob

#: Bytes of the hash of a key definition.
HASH_BYTES = 4
_VERSION = bytes([FINGERPRINT_VERSION])
#: Characters of the tag that precedes a value in the content of a record.
_TAG_CHARACTERS = 12
_ITEM = "batchsync:item"


def fingerprints(compiled: CompiledJob, mapped: MappedRecords) -> pl.Series:
    """Return the fingerprints of mapped records.

    The content of a record is the text of its values, each after a tag that follows from path and kind of the member,
    in the order of the tags. Members without a value do not count, nor does the order of members. With `each:`, the
    content of the items is hashed per source row, and these hashes are sorted: the order of rows does not count. The
    items of a list with `order_by` are hashed apart, in the order of its values; equal values are no order.

    Args:
        compiled: The compiled job.
        mapped: Mapped records.

    Returns:
        `FINGERPRINT: bytes[21]`, in the order of `mapped.heads`.
    """
    outer: dict[str, pl.Expr | str] = {_tag("target", compiled.job.target_hash, ""): ""}
    ordered = [repeat for repeat in compiled.record.repeats if repeat.order]
    inner: dict[int | None, dict[str, pl.Expr | str]] = {None: {}} | {repeat.index: {} for repeat in ordered}
    for repeat, tag, value in _values(compiled.record.root, None):
        (outer if repeat is None else inner.get(repeat, inner[None]))[tag] = value
    heads = mapped.heads
    if mapped.rows is not None and compiled.record.repeats:
        heads = heads.join(
            _items(inner[None], mapped.rows, [], _ITEM), on=names.HEAD, how="left", maintain_order="left"
        )
        outer[_tag("items", "", "")] = pl.col(_ITEM)
        for each in ordered:
            name = f"{_ITEM}{each.index}"
            items = _items(inner[each.index], mapped.rows, each.order_columns, name)
            heads = heads.join(items, on=names.HEAD, how="left", maintain_order="left")
            outer[_tag("items", each.path, "")] = pl.col(name)
    digest = digest_of_text(_content(outer, heads))
    whole = pl.lit(_VERSION) + digest + pl.lit(key_definition_hash(compiled.job.source))
    return heads.with_columns(whole.alias(names.FINGERPRINT))[names.FINGERPRINT]


def _items(values: dict[str, pl.Expr | str], rows: pl.DataFrame, order: list[pl.Expr], name: str) -> pl.DataFrame:
    """Return the hashes of the items of each record as one text.

    Args:
        values: Values of an item by tag.
        rows: Source rows, with `HEAD`.
        order: Columns that the items are ordered by; without any, their order does not count.
        name: Name of the text.

    Returns:
        `HEAD: i64` and the text.
    """
    content = _content(values, rows)
    digest = digest_of_text(content).bin.encode("hex")
    item = pl.when(pl.concat_str(content, ignore_nulls=True) != "").then(digest).alias(name)
    hashes = pl.col(name).sort_by([*order, name], nulls_last=True) if order else pl.col(name).sort()
    return rows.select(names.HEAD, item, *order).group_by(names.HEAD).agg(hashes.str.join(""))


def _content(values: dict[str, pl.Expr | str], frame: pl.DataFrame) -> list[pl.Expr]:
    """Return tags and values in the order of the tags; both are null where a value is. Constants are merged."""
    parts: list[pl.Expr] = [pl.lit("")]
    constant = ""
    for tag, value in sorted(values.items(), key=itemgetter(0)):
        if isinstance(value, str):
            constant += tag + value
            continue
        if any(frame[name].null_count() for name in value.meta.root_names()):
            parts += [pl.lit(constant), pl.when(value.is_not_null()).then(pl.lit(tag)), value]
        else:
            parts += [pl.lit(constant + tag), value]
        constant = ""
    return [*parts, pl.lit(constant)]


def _values(shape: Shape, repeat: int | None) -> Iterator[tuple[int | None, str, pl.Expr | str]]:
    """Yield the values of a record: index of the `each:` list, tag, and text, null for no value."""
    match shape:
        case Value(leaf):
            kind = _kind_of_type(leaf.kind) if leaf.rule.kind is Kind.SCALAR else leaf.rule.kind.value
            yield leaf.repeat, _tag("member", leaf.path, kind), pl.col(names.leaf_column(leaf.index)).cast(pl.String)
        case ListValue(leaf):
            kind = (
                f"list of {_kind_of_type(item_type(leaf.kind) or leaf.kind)}"
                if leaf.rule.kind is Kind.SCALAR
                else "list"
            )
            yield leaf.repeat, _tag("member", leaf.path, kind), pl.col(names.leaf_column(leaf.index))
        case Constant():
            value = json.loads(shape.json)
            if value is not None:
                yield repeat, _tag("member", shape.path, _kind_of_constant(value, shape.rule)), _text(value)
        case Members():
            for _, item in shape.pairs:
                yield from _values(item, repeat)
        case FixedList():
            for item in shape.shapes:
                yield from _values(item, repeat)
        case RepeatedList():
            yield from _values(shape.item, shape.index)


def _tag(what: str, path: str, kind: str) -> str:
    """Return the tag before a value: a NUL and characters that do not occur in values by chance."""
    return "\0" + hashlib.sha256(f"{what}\0{path}\0{kind}".encode()).hexdigest()[:_TAG_CHARACTERS]


def _kind_of_type(kind: pl.DataType) -> str:
    """Return the JSON kind of values that keep their own type."""
    if kind.is_numeric():
        return "number"
    return "boolean" if kind == pl.Boolean else "string"


def _kind_of_constant(value: object, rule: Rule) -> str:
    """Return the kind of a constant, as that of an expression with the same values."""
    if rule.kind is not Kind.SCALAR:
        return rule.kind.value
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _text(value: object) -> str:
    """Return the text of a constant, as that of an expression with the same values."""
    return value if isinstance(value, str) else json.dumps(value)


def former_fingerprints(compiled: CompiledJob, mapped: MappedRecords) -> pl.Series:
    """Return the fingerprints of version 1, for baselines of older releases.

    Args:
        compiled: The compiled job.
        mapped: Mapped records.

    Returns:
        `FORMER_FINGERPRINT: bytes[20]`, in the order of `mapped.heads`: a hash of the mapping and the mapped columns,
        with `each:` in the order of the rows, and the hash of the key definition.
    """
    outer: list[pl.Expr] = []
    inner: list[pl.Expr] = []
    for leaf in compiled.record.leaves:
        column = pl.col(names.leaf_column(leaf.index))
        if leaf.rule.kind is Kind.SCALAR and leaf.kind.is_numeric():
            column = pl.concat_str([pl.lit("\0"), column])
        (outer if leaf.repeat is None else inner).append(column)
    heads = mapped.heads
    if mapped.rows is not None and compiled.record.repeats:
        per_row = digest_of_columns([pl.lit(0), *inner]).bin.encode("hex").alias(_ITEM)
        hashed = mapped.rows.with_columns(per_row).group_by(names.HEAD, maintain_order=True)
        heads = heads.join(hashed.agg(pl.col(_ITEM).str.join("")), on=names.HEAD, how="left", maintain_order="left")
        outer.append(pl.col(_ITEM))
    digest = digest_of_columns([pl.lit(compiled.job.mapping_hash), *outer])
    whole = digest + pl.lit(key_definition_hash(compiled.job.source))
    return heads.with_columns(whole.alias(names.FORMER_FINGERPRINT))[names.FORMER_FINGERPRINT]


def removal_fingerprint(job: Job, key: pl.Expr) -> pl.Expr:
    """Return the fingerprint of a removal, over its key and the hash of the removal's mapping."""
    mapping = job.removal.mapping_hash if job.removal else ""
    digest = digest_of_columns([pl.lit("remove"), pl.lit(mapping), key])
    return pl.lit(_VERSION) + digest + pl.lit(key_definition_hash(job.source))


def key_definition_hash(source: Source) -> bytes:
    """Return the hash of a source's key definition; equal key texts are different keys under different definitions."""
    definition = {"expression": source.key.sql} if isinstance(source.key, Expression) else list(source.key)
    return hashlib.sha256(json.dumps(definition).encode()).digest()[:HASH_BYTES]


def has_current_definition(source: Source) -> pl.Expr:
    """Return whether a key was sent under the current key definition, by its fingerprint (`accepted`, else `last`)."""
    return pl.coalesce("accepted", "last").bin.tail(HASH_BYTES) == key_definition_hash(source)
