"""Hints for misspelled names: the nearest known name, and lists of the known ones."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: Longer names and longer lists are not compared, to bound the time for hostile input.
_WORD_MAX = 100
_CANDIDATES_MAX = 1000
_SHOWN_MAX = 60
#: Number of names from which a list reads better than an "or".
_MANY = 3
_LISTED_MAX = 40
#: Maximum number of columns in a hint.
_COLUMNS_MAX = 12


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate that `word` is probably a misspelling of, or an empty text.

    Case and surrounding blanks are ignored; a candidate that differs in separators only is preferred.
    """
    known = [candidate for candidate in list(candidates)[:_CANDIDATES_MAX] if len(candidate) <= _WORD_MAX]
    if not word or len(word) > _WORD_MAX:
        return ""
    by_letters = {_without_separators(candidate): candidate for candidate in reversed(known)}
    if same := by_letters.get(_without_separators(word)):
        return same
    folded = {candidate.casefold().strip(): candidate for candidate in reversed(known)}
    found = difflib.get_close_matches(word.casefold().strip(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `did you mean "record"?`, or an empty text if no candidate is near."""
    found = nearest(word, candidates)
    return f'did you mean "{found}"?' if found else ""


def closest(name: str, columns: Collection[str]) -> str:
    """Return a hint with the column nearest to `name`, or with some of the columns of the source."""
    if near := nearest(name, columns):
        return f"Did you mean {near!r}?"
    if not columns:
        return "The source has no columns."
    listed = ", ".join(list(columns)[:_COLUMNS_MAX]) + (", ..." if len(columns) > _COLUMNS_MAX else "")
    return f"The source has: {listed}."


def names_hint(word: str, names: Iterable[str], kind: str) -> str:
    """Return the hint for an unknown name: the nearest known name, and all known names.

    Args:
        word: The unknown name.
        names: The known names.
        kind: Plural noun for the names, such as `jobs`.

    Returns:
        A line such as `did you mean "guests"? jobs are: guests, orders`.
    """
    known = sorted(names)
    listed = f"{kind} are: {', '.join(known)}" if known else f"there are no {kind}"
    return " ".join(part for part in (did_you_mean(word, known), listed) if part)


def one_of(words: Iterable[str]) -> str:
    """Return `a`, `a or b`, or `one of a, b, c`, shortened if there are many."""
    known = list(words)
    if len(known) < _MANY:
        return " or ".join(known)
    more = f" and {len(known) - _LISTED_MAX} more" if len(known) > _LISTED_MAX else ""
    return f"one of {', '.join(known[:_LISTED_MAX])}{more}"


def quoted(text: str) -> str:
    """Return a text in double quotes, without control characters and limited in length."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: _SHOWN_MAX + 1])
    return f'"{clean[:_SHOWN_MAX]}..."' if len(text) > _SHOWN_MAX else f'"{clean}"'


def _without_separators(word: str) -> str:
    return word.casefold().replace("_", "").replace("-", "").replace(" ", "")
