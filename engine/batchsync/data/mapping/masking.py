"""Masking of values in messages: first and last character and the length, as in `j***m (17 characters)`."""

from __future__ import annotations

import polars as pl

#: Minimum length at which the first and last characters are shown.
_SHORT = 6


def mask(value: str) -> str:
    """Return the masked form of a string."""
    if len(value) < _SHORT:
        return f"*** ({len(value)} character{'' if len(value) == 1 else 's'})"
    first, last = (character if character.isprintable() else "?" for character in (value[0], value[-1]))
    return f"{first}***{last} ({len(value)} characters)"


def masked_value(value: pl.Expr) -> pl.Expr:
    """Return the masked form of a column of any type; null for null."""
    text = value.cast(pl.String, strict=False)
    length = text.str.len_chars()
    count = length.cast(pl.String)
    first = _printable(text.str.head(1))
    last = _printable(text.str.tail(1))
    long = pl.concat_str([first, pl.lit("***"), last, pl.lit(" ("), count, pl.lit(" characters)")])
    plural = pl.when(length == 1).then(pl.lit(" character)")).otherwise(pl.lit(" characters)"))
    return pl.when(length >= _SHORT).then(long).otherwise(pl.concat_str([pl.lit("*** ("), count, plural]))


def _printable(character: pl.Expr) -> pl.Expr:
    """Return the character, or a question mark if a terminal could interpret it."""
    return pl.when(character.str.contains(r"^[\p{L}\p{N}\p{P}\p{S} ]$")).then(character).otherwise(pl.lit("?"))
