"""Joins that find nothing for most rows of a source: counted while rows are read, and explained without their values.

Most often both sides write the same keys in another form, such as `007` and `7`: the warning names the kind of text on
both sides, and what would have to be ignored for the keys to match.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.core.job import Join

#: Unmatched rows, and rows of the joined file, whose keys are examined.
SAMPLE_ROWS = 1_000
#: Kinds of text by their pattern; the first that matches.
_KINDS = (
    ("text with blanks around it", r"^\s|\s$"),
    ("digits with leading zeros", r"^0\d+$"),
    ("digits", r"^\d+$"),
    ("signed numbers", r"^[+-]\d+$"),
    ("numbers with a fraction", r"^[+-]?\d+[.,]\d+$"),
    ("numbers with an exponent", r"^[+-]?\d+([.,]\d+)?[eE][+-]?\d+$"),
    ("dates", r"^\d{4}-\d{2}-\d{2}$"),
    ("timestamps", r"^\d{4}-\d{2}-\d{2}[T ]\d"),
    ("UUIDs", r"^(?i)\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$"),
    ("e-mail addresses", r"^[^@\s]+@[^@\s]+$"),
    ("upper-case letters", r"^\p{Lu}+$"),
    ("lower-case letters", r"^\p{Ll}+$"),
    ("letters", r"^\p{L}+$"),
    ("upper-case letters and digits", r"^[\p{Lu}\d]+$"),
    ("lower-case letters and digits", r"^[\p{Ll}\d]+$"),
    ("letters and digits", r"^[\p{L}\d]+$"),
)


def _without_zeros(text: pl.Expr) -> pl.Expr:
    return text.str.replace(r"^0+(\d)", "$1")


#: What may be ignored of two texts, and the texts without it.
_IGNORED = (
    ("leading zeros", _without_zeros(pl.col("x"))),
    ("blanks around it", pl.col("x").str.strip_chars()),
    ("upper and lower case", pl.col("x").str.to_lowercase()),
    ("a fraction of zero", pl.col("x").str.replace(r"[.,]0+$", "")),
    ("punctuation", pl.col("x").str.replace_all(r"[^\p{L}\d]", "")),
    ("all but letters and digits", _without_zeros(pl.col("x").str.replace_all(r"[^\p{L}\d]", "").str.to_lowercase())),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinMatches:
    """How often a join found a row.

    Attributes:
        asked: Number of rows with a value in each key column.
        rows: Number of rows.
        found: Number of rows for which the joined file has a row.
        sample: Keys of the first rows with a value but without a match: a column of texts per key column.
    """

    asked: int = 0
    rows: int = 0
    found: int = 0
    sample: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def missed(self) -> int:
        """Number of rows with a value for which the joined file has no row."""
        return self.asked - self.found

    def plus(self, other: JoinMatches) -> JoinMatches:
        """Return the matches of both, of which the other are of later rows."""
        samples = [part for part in (self.sample, other.sample) if part.height]
        return JoinMatches(
            asked=self.asked + other.asked,
            rows=self.rows + other.rows,
            found=self.found + other.found,
            sample=pl.concat(samples).head(SAMPLE_ROWS) if samples else self.sample,
        )


def matches_of(joined: pl.DataFrame, left: list[pl.Expr], right: str) -> JoinMatches:
    """Return how often a join found a row.

    Args:
        joined: The source after the join.
        left: Key columns of the source as texts.
        right: A key column of the joined file, null where nothing was found.
    """
    rows, lost = joined.height, joined[right].null_count()
    if not lost:
        return JoinMatches(asked=rows, rows=rows, found=rows)
    keys = joined.filter(pl.col(right).is_null()).select(key.alias(str(number)) for number, key in enumerate(left))
    missed = keys.filter(~pl.any_horizontal(pl.all().is_null()))
    return JoinMatches(asked=rows - lost + missed.height, rows=rows, found=rows - lost, sample=missed.head(SAMPLE_ROWS))


def warning_of(join: Join, matches: JoinMatches, keys: pl.DataFrame) -> tuple[str, int] | None:
    """Return the warning about a join that found nothing for most rows, and their number; None if it found enough.

    Args:
        join: The join.
        matches: How often it found a row.
        keys: The key columns of the joined file as texts, in the order of the join.
    """
    if not matches.asked:
        columns = " and ".join(quoted(left) for left, _ in join.on)
        message = f"join {join.path}: nothing found, because no row of the source has a value of {columns}"
        return (message, matches.rows) if matches.rows else None
    if matches.missed * 2 <= matches.asked:
        return None
    share = matches.missed * 100 // matches.asked
    message = (
        f"join {join.path}: nothing found for {matches.missed:,} of {matches.asked:,} rows with a value ({share} %)"
    )
    pairs = [
        (pair, matches.sample[:, number], keys[:, number])
        for number, pair in enumerate(join.on)
        if _share_in(matches.sample[:, number], keys[:, number]) * 2 <= 1
    ]
    if not pairs:
        return f"{message}; each key column matches by itself, but not their combination", matches.missed
    details = [_difference(join, *pair) for pair in pairs]
    return "; ".join([message, *details]), matches.missed


def _difference(join: Join, pair: tuple[str, str], ours: pl.Series, theirs: pl.Series) -> str:
    """Return how the texts of a pair of key columns differ."""
    left, right = (quoted(name) for name in pair)
    difference = f"{left} of the source: {_kind(ours)}; {right} of {join.path}: {_kind(theirs.head(SAMPLE_ROWS))}"
    for ignored, expr in _IGNORED:
        share = _share_in(*(text.to_frame("x").select(expr.alias("x"))["x"] for text in (ours, theirs)))
        if share * 2 > 1:
            return f"{difference}; ignoring {ignored}, {int(share * 100)} % would match"
    return difference


def _share_in(texts: pl.Series, known: pl.Series) -> float:
    """Return the share of texts that are among the known ones."""
    return int(texts.is_in(known.implode()).sum()) / max(texts.len(), 1)


def _kind(texts: pl.Series) -> str:
    """Return the most frequent kind of text with its lengths, such as `digits with leading zeros, 3 characters`."""
    if not texts.len():
        return "no value"
    kind = pl.coalesce(
        *(pl.when(pl.col("x").str.contains(pattern)).then(pl.lit(name)) for name, pattern in _KINDS), pl.lit("text")
    )
    kinds = texts.to_frame("x").select(kind.alias("kind"), pl.col("x").str.len_chars().alias("length"))
    name, _, least, most = (
        kinds.group_by("kind", maintain_order=True)
        .agg(pl.len(), pl.col("length").min().alias("least"), pl.col("length").max().alias("most"))
        .sort("len", descending=True, maintain_order=True)
        .row(0)
    )
    lengths = f"{least}" if least == most else f"{least} to {most}"
    return f"{name}, {lengths} character{'' if least == most == 1 else 's'}"
