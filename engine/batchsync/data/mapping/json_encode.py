"""A record becomes the very text that `json.dumps(record, ensure_ascii=False, separators=(",", ":"))` would give.

It does not validate. Fragments of text are concatenated column by column; what is null drops out with its name and
its comma, at every depth.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from batchsync.core.record_schema import Severity
from batchsync.data.frame import columns
from batchsync.data.frame import columns as names
from batchsync.data.mapping.coerce import is_raw
from batchsync.data.mapping.compiled import Constant, FixedList, Leaf, Members, Record, RepeatedList, Shape, Value

if TYPE_CHECKING:
    from batchsync.data.mapping.apply import MappedRecords

_ESCAPES = {chr(entry): f"\\u{entry:04x}" for entry in range(0x20)}
_ESCAPES |= {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b", '"': '\\"', "\\": "\\\\"}
_SPACE, _QUOTE, _SLASH = ord(" "), ord('"'), ord("\\")
_NOTHING = np.empty(0, np.uint8)
_PATTERNS, _TEXTS = list(_ESCAPES), list(_ESCAPES.values())


class Encoder:
    """Turns the leaf columns of one frame into text. One for each frame: it looks at which columns hold nulls."""

    def __init__(self, frame: pl.DataFrame, *, valid: bool = True) -> None:
        """Take the frame with the coerced leaves; `valid` says that they keep the rules of their leaves."""
        self.frame = frame
        self._valid = valid
        self._steps = 0
        self._clean: dict[str, bool] = {}

    def text(self, shape: Shape) -> tuple[list[str | pl.Expr], bool]:
        """Return the parts of a shape's text, and whether it is there in every row."""
        match shape:
            case Constant():
                return [shape.json], True
            case Value(leaf):
                return self._leaf(
                    columns.leaf_column(leaf.index),
                    raw=is_raw(leaf.kind, leaf.rule),
                    plain=self._valid and never_escaped(leaf),
                )
            case RepeatedList():
                column = columns.list_column(shape.index)
                return ["[", pl.col(column), "]"], self.frame[column].null_count() == 0
            case Members():
                return self._bracketed([(f"{_quoted(name)}:", item) for name, item in shape.pairs], "{}")
            case FixedList():
                return self._bracketed([("", item) for item in shape.shapes], "[]")

    def _leaf(self, column: str, *, raw: bool, plain: bool) -> tuple[list[str | pl.Expr], bool]:
        """Return the text of a value: escaped and in quotes, or as it is."""
        always = self.frame[column].null_count() == 0
        kind = self.frame[column].dtype
        if kind != pl.String:
            return [pl.col(column).cast(pl.String)], always
        if raw:
            return [pl.col(column)], always
        plain = plain or self._is_clean(column)
        return ['"', pl.col(column) if plain else escaped(pl.col(column)), '"'], always

    def _is_clean(self, column: str) -> bool:
        """Whether no value of a column of texts holds anything that JSON escapes: one look at all its bytes."""
        if column not in self._clean:
            self._clean[column] = needs_no_escape(self.frame[column])
        return self._clean[column]

    def _bracketed(self, pairs: list[tuple[str, Shape]], brackets: str) -> tuple[list[str | pl.Expr], bool]:
        """Return an object or a list. Each member brings its own comma; the first one that is there loses it."""
        parts: list[str | pl.Expr] = []
        first_is_there = False
        any_is_there = False
        for index, (label, shape) in enumerate(pairs):
            inner, always = self.text(shape)
            comma = "" if index == 0 and always else ","
            first_is_there |= index == 0 and always
            any_is_there |= always
            if always:
                parts += [comma + label, *inner]
            else:
                # Null where the member is not there: whoever joins the parts leaves it out.
                parts.append(_joined([comma + label, *inner], ignore_nulls=False))
        if first_is_there:
            return [brackets[0], *parts, brackets[1]], True
        body = self._column(_joined(parts, ignore_nulls=True) if parts else pl.lit(""))
        trimmed = body.str.strip_prefix(",")
        if any_is_there or (brackets == "{}" and not pairs):
            return [brackets[0], trimmed, brackets[1]], bool(pairs)
        whole = pl.when(body != "").then(_joined([brackets[0], trimmed, brackets[1]], ignore_nulls=False))
        return [self._column(whole)], False

    def _column(self, expr: pl.Expr) -> pl.Expr:
        """Compute an expression once, as a column of the frame."""
        name = f"batchsync:text{self._steps}"
        self._steps += 1
        self.frame = self.frame.with_columns(expr.alias(name))
        return pl.col(name)

    def column(self, shape: Shape, *, prefix: str | list[str | pl.Expr] = "", suffix: str = "") -> pl.Series:
        """Return the text of a shape for each row, between a prefix and a suffix; `{}` for an empty record."""
        parts, always = self.text(shape)
        if not always and isinstance(shape, Members) and not shape.path:
            parts, always = [pl.coalesce(_joined(parts, ignore_nulls=False), pl.lit("{}"))], True
        before = prefix if isinstance(prefix, list) else [prefix]
        whole = _joined([*before, *parts, suffix], ignore_nulls=always)
        return self.frame.with_columns(whole.alias("batchsync:text"))["batchsync:text"]


def never_escaped(leaf: Leaf) -> bool:
    """Whether no valid value of a leaf holds anything that JSON escapes. Only valid records are made into text."""
    rule = leaf.rule
    if leaf.kind.is_temporal() or rule.format is not None:
        return True
    refused = rule.enum and rule.enum_severity is Severity.REFUSE
    return bool(refused) and all(json.dumps(item, ensure_ascii=False) == f'"{item}"' for item in rule.enum)


def needs_no_escape(texts: pl.Series) -> bool:
    """Whether no text holds a character that JSON escapes."""
    data = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[2]
    found = np.frombuffer(data, np.uint8) if data is not None else _NOTHING
    return not found.size or bool(found.min() >= _SPACE and not (found == _QUOTE).any() and not (found == _SLASH).any())


def escaped(text: pl.Expr) -> pl.Expr:
    """Return a text as it stands inside the quotes of JSON."""
    return text.str.replace_many(_PATTERNS, _TEXTS)


def _quoted(name: str) -> str:
    """Return a member's name as JSON."""
    return json.dumps(name, ensure_ascii=False)


def _joined(parts: list[str | pl.Expr], *, ignore_nulls: bool) -> pl.Expr:
    """Concatenate, with neighbouring constants merged and nested parts kept."""
    merged: list[str | pl.Expr] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "" if isinstance(part, str) else True:
            merged.append(part)
    exprs = [pl.lit(item) if isinstance(item, str) else item for item in merged]
    return pl.concat_str(exprs, ignore_nulls=ignore_nulls) if exprs else pl.lit("")


def items_text(frame: pl.DataFrame, item: Shape) -> pl.Series:
    """Return the text of one item for each source row; null where the item is empty."""
    parts, always = (encoder := Encoder(frame)).text(item)
    return encoder.frame.with_columns(_joined(parts, ignore_nulls=always).alias("batchsync:text"))["batchsync:text"]


def texts(record: Record, found: MappedRecords, before: list[str | pl.Expr], after: str) -> pl.Series:
    """Return each record as one line of JSON between `before` and `after`."""
    heads = found.heads
    if found.rows is not None:
        lines = [
            items_text(found.rows, repeat.item).alias(names.list_column(repeat.index)) for repeat in record.repeats
        ]
        grouped = found.rows.select(names.HEAD).with_columns(lines).group_by(names.HEAD, maintain_order=True)
        joined = [
            pl.when(pl.col(line.name).count() > 0).then(pl.col(line.name).str.join(",", ignore_nulls=True))
            for line in lines
        ]
        heads = heads.join(grouped.agg(joined), on=names.HEAD, how="left", maintain_order="left")
    return Encoder(heads, valid=found.valid).column(record.root, prefix=before, suffix=after)
