"""Sort keys of texts: numbers are ordered by value, dates that begin with the year as text.

CSV has no types, and as text `10` comes before `9`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from typing import Final

_INTEGER_PART: Final = r"^(\d{1,18})(?:\.\d+)?$"
_FRACTION: Final = r"^\d{1,18}(\.\d+)$"
_DATE: Final = r"^\d{4}([-/.])\d{2}[-/.]\d{2}(\D|$)"
_WORD: Final = r"^[^\d+-]"
#: First character of a sort key: the kind of the text. Texts of different kinds cannot be compared.
AMBIGUOUS, NUMBER, DATE, WORD = "0", "1", "2", "3"
_WIDTH: Final = 19
#: A date with or without a time and an offset. Suffixes that would change the order are excluded: `PM`, names of time
#: zones whose offset changes.
_DATETIME: Final = re.compile(
    r"(\d{4}[-/.]\d{2}[-/.]\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?)(| ?Z| ?UTC| ?[+-]\d{2}(?::?\d{2})?)"
)


def sort_key(text: pl.Expr) -> pl.Expr:
    """Return the sort keys of texts: a character for the kind, followed by a text that sorts within the kind."""
    stripped = text.str.strip_chars()
    integer = stripped.str.extract(_INTEGER_PART, 1).cast(pl.Int64).cast(pl.String).str.zfill(_WIDTH)
    number = pl.concat_str(pl.lit(NUMBER), integer, stripped.str.extract(_FRACTION, 1).fill_null(""))
    return (
        pl.when(integer.is_not_null())
        .then(number)
        .when(stripped.str.contains(_DATE))
        .then(pl.concat_str(pl.lit(DATE), stripped))
        .when(stripped.str.contains(_WORD))
        .then(pl.concat_str(pl.lit(WORD), stripped))
        .when(stripped.is_not_null())
        .then(pl.concat_str(pl.lit(AMBIGUOUS), stripped))
    )


def is_ordered(ranks: pl.Expr) -> pl.Expr:
    """Return whether sort keys are those of numbers or dates, which can be compared."""
    return ranks.str.slice(0, 1).is_in([NUMBER, DATE])


def is_certainly_below(ranks: pl.Expr, watermark: str) -> pl.Expr:
    """Return whether texts are certainly below a watermark, given the sort keys of both; equal texts are not.

    Numbers are compared by their integer part. Dates are compared only if they have the same format and offset:
    `2026-01-02` cannot be compared with `2026-01-02T08:00`.
    """
    if watermark.startswith(NUMBER):
        size = 1 + _WIDTH
        return (ranks.str.starts_with(NUMBER) & (ranks.str.head(size) < pl.lit(watermark[:size]))).fill_null(
            value=False
        )
    date = _DATETIME.fullmatch(watermark[1:]) if watermark.startswith(DATE) else None
    if date is None:
        return pl.lit(value=False)
    digits = "".join(r"\d" if char.isdigit() else re.escape(char) for char in date[1])
    has_same_format = ranks.str.contains(f"^{DATE}{digits}{re.escape(date[2])}$")
    return (has_same_format & (ranks < pl.lit(watermark))).fill_null(value=False)


def sort_key_of(text: str) -> str:
    """Return the sort key of a text."""
    return str(pl.select(sort_key(pl.lit(text, dtype=pl.String))).item())


def greatest(texts: pl.Series) -> str | None:
    """Return the greatest text among those that are numbers or dates, or None."""
    ranks = texts.to_frame("text").select("text", sort_key(pl.col("text")).alias("rank"))
    ordered = ranks.filter(is_ordered(pl.col("rank")))
    return None if not ordered.height else str(ordered.sort("rank")["text"][-1])
