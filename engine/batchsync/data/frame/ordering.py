"""Texts are put in order by what they say: numbers by value, dates that begin with the year as they are written.

CSV has no types, and as text `10` comes before `9`. It does not know what the order is for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from typing import Final

_WHOLE: Final = r"^(\d{1,18})(?:\.\d+)?$"
_FRACTION: Final = r"^\d{1,18}(\.\d+)$"
_DATE: Final = r"^\d{4}([-/.])\d{2}[-/.]\d{2}(\D|$)"
_WORD: Final = r"^[^\d+-]"
#: What a rank begins with: the kind of its text. Nothing of one kind says whether it is above something of another.
UNCLEAR, NUMBER, DATE, WORD = "0", "1", "2", "3"
_WIDTH: Final = 19
#: A date with or without a time, and nothing after it that changes the order of two such texts: no `PM`, no name of a
#: zone whose offset changes.
_MOMENT: Final = re.compile(
    r"(\d{4}[-/.]\d{2}[-/.]\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?)(| ?Z| ?UTC| ?[+-]\d{2}(?::?\d{2})?)"
)


def rank(text: pl.Expr) -> pl.Expr:
    """Return texts that stand in the order of what these say: a mark for the kind, then what is compared."""
    own = text.str.strip_chars()
    whole = own.str.extract(_WHOLE, 1).cast(pl.Int64).cast(pl.String).str.zfill(_WIDTH)
    number = pl.concat_str(pl.lit(NUMBER), whole, own.str.extract(_FRACTION, 1).fill_null(""))
    return (
        pl.when(whole.is_not_null())
        .then(number)
        .when(own.str.contains(_DATE))
        .then(pl.concat_str(pl.lit(DATE), own))
        .when(own.str.contains(_WORD))
        .then(pl.concat_str(pl.lit(WORD), own))
        .when(own.is_not_null())
        .then(pl.concat_str(pl.lit(UNCLEAR), own))
    )


def is_ordered(ranks: pl.Expr) -> pl.Expr:
    """Return whether these are numbers or dates, of which one can be above another."""
    return ranks.str.slice(0, 1).is_in([NUMBER, DATE])


def surely_below(ranks: pl.Expr, mark: str) -> pl.Expr:
    """Return whether a text is below another one beyond doubt, given the ranks of both.

    Numbers are compared by their whole part. Dates are compared if they are written alike: `2026-01-02` says nothing of
    `2026-01-02T08:00`, nor does a time of one offset of a time of another. Equal texts are not below each other.
    """
    if mark.startswith(NUMBER):
        size = 1 + _WIDTH
        return (ranks.str.starts_with(NUMBER) & (ranks.str.head(size) < pl.lit(mark[:size]))).fill_null(value=False)
    moment = _MOMENT.fullmatch(mark[1:]) if mark.startswith(DATE) else None
    if moment is None:
        return pl.lit(value=False)
    digits = "".join(r"\d" if one.isdigit() else re.escape(one) for one in moment[1])
    alike = ranks.str.contains(f"^{DATE}{digits}{re.escape(moment[2])}$")
    return (alike & (ranks < pl.lit(mark))).fill_null(value=False)


def rank_of(text: str) -> str:
    """Return the rank of one text."""
    return str(pl.select(rank(pl.lit(text, dtype=pl.String))).item())


def greatest(texts: pl.Series) -> str | None:
    """Return the greatest of some texts that can be put in order, or None."""
    ranks = texts.to_frame("text").select("text", rank(pl.col("text")).alias("rank"))
    ordered = ranks.filter(is_ordered(pl.col("rank")))
    return None if not ordered.height else str(ordered.sort("rank")["text"][-1])
