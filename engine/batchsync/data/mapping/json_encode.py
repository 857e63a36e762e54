"""Encode records as JSON, identical to `json.dumps(record, ensure_ascii=False, separators=(",", ":"))`.

Fragments are concatenated column by column; a null member is left out with its name and comma, at every depth.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from batchsync.core.record_schema import Severity
from batchsync.data.frame import columns
from batchsync.data.frame import columns as names
from batchsync.data.frame.joined_text import joined_text
from batchsync.data.mapping.coerce import is_raw
from batchsync.data.mapping.escape import escaped
from batchsync.data.mapping.shapes import (
    Constant,
    FixedList,
    Leaf,
    ListValue,
    Members,
    Record,
    RepeatedList,
    Shape,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.data.mapping.records import MappedRecords

_SPACE, _QUOTE, _SLASH = ord(" "), ord('"'), ord("\\")
_NO_BYTES = np.empty(0, np.uint8)


class Encoder:
    """Encoder of the leaf columns of one frame; it inspects which columns contain nulls."""

    def __init__(self, frame: pl.DataFrame, *, valid: bool = True) -> None:
        """Create an encoder.

        Args:
            frame: Frame with the coerced leaf columns.
            valid: Whether all values keep their rules; then enumerated values and formats need no escaping.
        """
        self.frame = frame
        self._valid = valid
        self._computed = 0
        self._unescaped: dict[str, bool] = {}

    def text(self, shape: Shape) -> tuple[list[str | pl.Expr], bool]:
        """Return the fragments of a shape's text, and whether it is present in every row."""
        match shape:
            case Constant():
                return [shape.json], True
            case Value(leaf):
                return self._leaf(
                    columns.leaf_column(leaf.index),
                    raw=is_raw(leaf.kind, leaf.rule),
                    unescaped=self._valid and never_escaped(leaf),
                )
            case ListValue(leaf):
                column = columns.leaf_column(leaf.index)
                return [pl.col(column)], self.frame[column].null_count() == 0
            case RepeatedList():
                column = columns.list_column(shape.index)
                return ["[", pl.col(column), "]"], self.frame[column].null_count() == 0
            case Members():
                return self._in_brackets([(f"{_quoted(name)}:", item) for name, item in shape.pairs], "{}")
            case FixedList():
                return self._in_brackets([("", item) for item in shape.shapes], "[]")

    def _leaf(self, column: str, *, raw: bool, unescaped: bool) -> tuple[list[str | pl.Expr], bool]:
        """Return the fragments of a value: escaped and quoted, or raw."""
        always = self.frame[column].null_count() == 0
        kind = self.frame[column].dtype
        if kind != pl.String:
            return [pl.col(column).cast(pl.String)], always
        if raw:
            return [pl.col(column)], always
        unescaped = unescaped or self._column_needs_no_escape(column)
        return ['"', pl.col(column) if unescaped else escaped(pl.col(column)), '"'], always

    def _column_needs_no_escape(self, column: str) -> bool:
        """Return whether no value of a column needs escaping, cached."""
        if column not in self._unescaped:
            self._unescaped[column] = needs_no_escape(self.frame[column])
        return self._unescaped[column]

    def _in_brackets(self, pairs: list[tuple[str, Shape]], brackets: str) -> tuple[list[str | pl.Expr], bool]:
        """Return the fragments of an object or list. Each member brings its own comma; the first one loses it."""
        parts: list[str | pl.Expr] = []
        first_is_present = False
        any_is_present = False
        for index, (label, shape) in enumerate(pairs):
            inner, always = self.text(shape)
            comma = "" if index == 0 and always else ","
            first_is_present |= index == 0 and always
            any_is_present |= always
            if always:
                parts += [comma + label, *inner]
            else:
                # Null where the member is absent, so that concatenation with ignore_nulls leaves it out.
                parts.append(_concat([comma + label, *inner], ignore_nulls=False))
        if first_is_present:
            return [brackets[0], *parts, brackets[1]], True
        body = self._column(_concat(parts, ignore_nulls=True) if parts else pl.lit(""))
        trimmed = body.str.strip_prefix(",")
        if any_is_present or (brackets == "{}" and not pairs):
            return [brackets[0], trimmed, brackets[1]], bool(pairs)
        whole = pl.when(body != "").then(_concat([brackets[0], trimmed, brackets[1]], ignore_nulls=False))
        return [self._column(whole)], False

    def _column(self, expr: pl.Expr) -> pl.Expr:
        """Materialize an expression as a column of the frame."""
        name = f"batchsync:text{self._computed}"
        self._computed += 1
        self.frame = self.frame.with_columns(expr.alias(name))
        return pl.col(name)

    def column(
        self, shape: Shape, *, prefix: Sequence[str | pl.Expr] = (), suffix: Sequence[str | pl.Expr] = ()
    ) -> pl.Series:
        """Return the text of a shape for each row.

        Args:
            shape: The shape; `{}` is written for an empty record.
            prefix: Fragments before it.
            suffix: Fragments after it.

        Returns:
            The texts (String); null where the shape is absent.
        """
        parts, always = self.text(shape)
        if not always and isinstance(shape, Members) and not shape.path:
            parts, always = [pl.coalesce(_concat(parts, ignore_nulls=False), pl.lit("{}"))], True
        whole = _concat([*prefix, *parts, *suffix], ignore_nulls=always)
        return self.frame.with_columns(whole.alias("batchsync:text"))["batchsync:text"]


def never_escaped(leaf: Leaf) -> bool:
    """Return whether no valid value of a leaf needs escaping. Only valid records are encoded."""
    rule = leaf.rule
    if leaf.kind.is_temporal() or rule.format is not None:
        return True
    refused = rule.enum and rule.enum_severity is Severity.REFUSE
    return bool(refused) and all(json.dumps(item, ensure_ascii=False) == f'"{item}"' for item in rule.enum)


def needs_no_escape(texts: pl.Series) -> bool:
    """Return whether no string contains a character that JSON escapes."""
    data = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[2]
    found = np.frombuffer(data, np.uint8) if data is not None else _NO_BYTES
    return not found.size or bool(found.min() >= _SPACE and not (found == _QUOTE).any() and not (found == _SLASH).any())


def _quoted(name: str) -> str:
    """Return a member's name as JSON."""
    return json.dumps(name, ensure_ascii=False)


def _concat(parts: list[str | pl.Expr], *, ignore_nulls: bool) -> pl.Expr:
    """Concatenate fragments; adjacent constants are merged first."""
    merged: list[str | pl.Expr] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "" if isinstance(part, str) else True:
            merged.append(part)
    exprs = [pl.lit(item) if isinstance(item, str) else item for item in merged]
    if not exprs:
        return pl.lit("")
    return joined_text(exprs) if ignore_nulls else pl.concat_str(exprs)


def items_text(frame: pl.DataFrame, item: Shape) -> pl.Series:
    """Return the text of one list item per source row; null where the item is empty."""
    parts, always = (encoder := Encoder(frame)).text(item)
    return encoder.frame.with_columns(_concat(parts, ignore_nulls=always).alias("batchsync:text"))["batchsync:text"]


def _in_order(items: pl.Expr, repeat: RepeatedList, *, ordered: bool) -> pl.Expr:
    """Return the items of a list in the order in which they are sent, or sorted where none is declared."""
    order = repeat.order_columns
    if not order and not ordered:
        return items.sort()
    return items.sort_by(order, nulls_last=True, maintain_order=True) if order else items


def encode_rows(
    record: Record,
    mapped: MappedRecords,
    before: Sequence[str | pl.Expr],
    after: Sequence[str | pl.Expr],
    *,
    spliced: bool = False,
) -> pl.Series:
    """Return each record as one line of JSON.

    Args:
        record: Compiled record.
        mapped: Mapped records.
        before: Fragments before a record.
        after: Fragments after a record.
        spliced: Whether the members of a record follow those of `before`, without braces.

    Returns:
        The lines (String), in the order of `mapped.heads`.
    """
    heads = with_list_texts(record, mapped)
    if spliced:
        texts = Encoder(heads, valid=mapped.valid).column(record.root)
        members = texts.str.strip_prefix("{").str.strip_suffix("}").alias("batchsync:members")
        comma = pl.when(pl.col(members.name) == "").then(pl.lit("")).otherwise(pl.lit(","))
        whole = _concat([*before, comma, pl.col(members.name), *after], ignore_nulls=False)
        return heads.with_columns(members).select(whole.alias("batchsync:text"))["batchsync:text"]
    return Encoder(heads, valid=mapped.valid).column(record.root, prefix=before, suffix=after)


def with_list_texts(record: Record, mapped: MappedRecords, *, ordered: bool = True) -> pl.DataFrame:
    """Return the heads of mapped records with the texts of their `each:` lists (`list_column`).

    Args:
        record: Compiled record.
        mapped: Mapped records.
        ordered: Whether items are in the order in which they are sent; otherwise those without a declared order are
            sorted by their text.

    Returns:
        `mapped.heads` with a column for each list.
    """
    heads = mapped.heads
    if mapped.rows is not None and record.repeats:
        lines = [
            items_text(mapped.rows, repeat.item).alias(names.list_column(repeat.index)) for repeat in record.repeats
        ]
        order = [column for repeat in record.repeats for column in repeat.order_columns]
        grouped = mapped.rows.select(names.HEAD, *order).with_columns(lines).group_by(names.HEAD, maintain_order=True)
        joined = [
            pl.when(pl.col(line.name).count() > 0).then(
                _in_order(pl.col(line.name), repeat, ordered=ordered).str.join(",", ignore_nulls=True)
            )
            for line, repeat in zip(lines, record.repeats, strict=True)
        ]
        heads = heads.join(grouped.agg(joined), on=names.HEAD, how="left", maintain_order="left")
    return heads
