"""A record becomes the very text that `json.dumps(record, ensure_ascii=False, separators=(",", ":"))` would give.

It does not validate. Fragments of text are concatenated column by column; what is null drops out with its name and
its comma, at every depth.
"""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from lading.core.record_schema import Severity
from lading.data import names
from lading.data.coerce import is_raw
from lading.data.shapes import Constant, Items, Leaf, Members, Repeated, Shape, Value

_ESCAPES = {chr(one): f"\\u{one:04x}" for one in range(0x20)}
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
                    names.leaf(leaf.index), raw=is_raw(leaf.kind, leaf.rule), plain=self._valid and never_escaped(leaf)
                )
            case Repeated():
                column = names.repeated(shape.index)
                return ["[", pl.col(column), "]"], self.frame[column].null_count() == 0
            case Members():
                return self._bracketed([(f"{_quoted(name)}:", one) for name, one in shape.pairs], "{}")
            case Items():
                return self._bracketed([("", one) for one in shape.shapes], "[]")

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
            self._clean[column] = is_clean(self.frame[column])
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
        name = f"lading:text{self._steps}"
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
        return self.frame.with_columns(whole.alias("lading:text"))["lading:text"]


def never_escaped(leaf: Leaf) -> bool:
    """Whether no valid value of a leaf holds anything that JSON escapes. Only valid records are made into text."""
    rule = leaf.rule
    if leaf.kind.is_temporal() or rule.format is not None:
        return True
    refused = rule.enum and rule.enum_severity is Severity.REFUSE
    return bool(refused) and all(json.dumps(one, ensure_ascii=False) == f'"{one}"' for one in rule.enum)


def is_clean(texts: pl.Series) -> bool:
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
    for one in parts:
        if isinstance(one, str) and merged and isinstance(merged[-1], str):
            merged[-1] += one
        elif one != "" if isinstance(one, str) else True:
            merged.append(one)
    exprs = [pl.lit(one) if isinstance(one, str) else one for one in merged]
    return pl.concat_str(exprs, ignore_nulls=ignore_nulls) if exprs else pl.lit("")


def items_text(frame: pl.DataFrame, item: Shape) -> pl.Series:
    """Return the text of one item for each source row; null where the item is empty."""
    parts, always = (encoder := Encoder(frame)).text(item)
    return encoder.frame.with_columns(_joined(parts, ignore_nulls=always).alias("lading:text"))["lading:text"]
