"""Escaping of strings in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_ESCAPES = {chr(entry): f"\\u{entry:04x}" for entry in range(0x20)}
_ESCAPES |= {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b", '"': '\\"', "\\": "\\\\"}
_SPECIAL, _REPLACEMENTS = list(_ESCAPES), list(_ESCAPES.values())


def escaped(text: pl.Expr) -> pl.Expr:
    """Return a string as it is written between the quotes of JSON."""
    return text.str.replace_many(_SPECIAL, _REPLACEMENTS)
