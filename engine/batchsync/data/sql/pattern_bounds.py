"""Bounds of regular expressions: how long they take for a text, and how long a text becomes by a replacement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Maximum number of steps of a pattern: the time for a text is their product with its length.
STEPS_MAX = 2000
_TOKEN = re.compile(r"\\(?:[pP]\{[^}]*\}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d*),?(\d*)\}|[()]|.", re.DOTALL)
#: Patterns of columns that take long to prepare, for each row: a count of three digits, or more than three counts.
_COSTLY = r"\{[0-9]*,?[0-9]{3,}|(?s:\{[0-9].*){4,}"
_PATTERN_BYTES = 1000


def steps_of(pattern: str) -> int:
    """Return about how many steps a pattern has once its counted repetitions are written out."""
    groups = [0]
    last = 0
    for match in _TOKEN.finditer(pattern):
        part = match[0]
        if part == "(":
            groups.append(0)
        elif part == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif match[1] or match[2]:
            times = int(match[2] or match[1])
            groups[-1] += last * (times - 1) if times else 0
            last *= max(times, 1)
        else:
            last = 1
            groups[-1] += 1
    return sum(groups)


def costly(pattern: pl.Expr) -> pl.Expr:
    """Return whether a pattern of a column repeats so much that each row would take long."""
    return pattern.str.contains(_COSTLY) | (pattern.str.len_bytes() > _PATTERN_BYTES)


@dataclass(frozen=True, slots=True)
class Replacing:
    """The replacement of matches.

    Attributes:
        pattern: The pattern.
        replacement: The replacement in the notation of polars.
        every: Whether all matches are replaced.
    """

    pattern: str
    replacement: str
    every: bool

    @property
    def groups(self) -> int:
        """Number of groups in the replacement."""
        return len(re.findall(r"\$\{[0-9]+\}", self.replacement))

    @property
    def growth(self) -> int:
        """How many times as long as its input a text may be."""
        return max(1, self.groups) + len(re.sub(r"\$\{[0-9]+\}", "", self.replacement))

    def length(self, parts: Sequence[pl.Series]) -> pl.Series:
        """Return an upper bound of the bytes of each result."""
        bytes_ = parts[0].str.len_bytes().cast(pl.Int64) * max(1, self.groups)
        found = parts[0].str.count_matches(self.pattern).cast(pl.Int64) if self.every else 1
        return bytes_ + found * len(self.replacement.encode())

    def build(self, expr: pl.Expr) -> pl.Expr:
        """Return the text with matches replaced."""
        replace = expr.str.replace_all if self.every else expr.str.replace
        return replace(self.pattern, self.replacement)
