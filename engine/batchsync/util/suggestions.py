"""Finds the word that was probably meant. It does not know what the words are for."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Longer words and longer lists are not worth the time: nobody mistypes a text of this length.
_WORD_MAX = 100
_CANDIDATES_MAX = 300
_SHOWN_MAX = 60
#: Fewer words than this read better with an "or".
_MANY = 3
_LISTED_MAX = 40


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate that `word` is probably a slip for, or an empty text."""
    known = [one for one in list(candidates)[:_CANDIDATES_MAX] if len(one) <= _WORD_MAX]
    if not word or len(word) > _WORD_MAX:
        return ""
    plain = {_plain(one): one for one in reversed(known)}
    if _plain(word) in plain:
        return plain[_plain(word)]
    found = difflib.get_close_matches(_plain(word), list(plain), n=1, cutoff=0.6)
    return plain[found[0]] if found else ""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `did you mean "record"?`, or an empty text when nothing is near."""
    found = nearest(word, candidates)
    return f'did you mean "{found}"?' if found else ""


def names_hint(word: str, names: Iterable[str], what: str) -> str:
    """Return the line below an error about a name that nobody has: the one that was meant, and all there are."""
    known = sorted(names)
    listed = f"{what} are: {', '.join(known)}"
    return " ".join(one for one in (did_you_mean(word, known), listed if known else f"there are no {what}") if one)


def one_of(words: Iterable[str]) -> str:
    """Return `a`, `a or b`, or `one of a, b, c`, shortened when there are many."""
    known = list(words)
    if len(known) < _MANY:
        return " or ".join(known)
    more = f" and {len(known) - _LISTED_MAX} more" if len(known) > _LISTED_MAX else ""
    return f"one of {', '.join(known[:_LISTED_MAX])}{more}"


def quoted(text: str) -> str:
    """Return a text from the file in double quotes, without control characters and not too long to read."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: _SHOWN_MAX + 1])
    return f'"{clean[:_SHOWN_MAX]}..."' if len(text) > _SHOWN_MAX else f'"{clean}"'


def _plain(word: str) -> str:
    return word.casefold().replace("_", "").replace("-", "").replace(" ", "")
