"""A value of a row can be recognised by its owner and by nobody else once it went through here.

It knows no column and no rule. The shape is the first and the last characters and the length: `j***m (17 characters)`.
"""

from __future__ import annotations

import polars as pl

#: Below this length the first and last characters would say too much.
_SHORT = 6


def mask(value: str) -> str:
    """Return the masked form of one text."""
    if len(value) < _SHORT:
        return f"*** ({len(value)} character{'' if len(value) == 1 else 's'})"
    first, last = (one if one.isprintable() else "?" for one in (value[0], value[-1]))
    return f"{first}***{last} ({len(value)} characters)"


def masked(value: pl.Expr) -> pl.Expr:
    """Return the same, as an expression over a column of any kind; null for null."""
    text = value.cast(pl.String, strict=False)
    length = text.str.len_chars()
    count = length.cast(pl.String)
    first = _printable(text.str.head(1))
    last = _printable(text.str.tail(1))
    long = pl.concat_str([first, pl.lit("***"), last, pl.lit(" ("), count, pl.lit(" characters)")])
    plural = pl.when(length == 1).then(pl.lit(" character)")).otherwise(pl.lit(" characters)"))
    return pl.when(length >= _SHORT).then(long).otherwise(pl.concat_str([pl.lit("*** ("), count, plural]))


def _printable(character: pl.Expr) -> pl.Expr:
    """Return the character, or a question mark where a terminal could take it for a command."""
    return pl.when(character.str.contains(r"^[\p{L}\p{N}\p{P}\p{S} ]$")).then(character).otherwise(pl.lit("?"))
