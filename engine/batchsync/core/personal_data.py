"""Personal data in keys and texts: hashes of forgotten keys, the search for keys in texts, and masks."""

from __future__ import annotations

import hmac
import json
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

#: What stands in place of a text that mentioned a forgotten key. The whole text goes: it may name the person otherwise.
REMOVED_TEXT = "[text removed by batchsync forget]"
#: What stands in place of a key, and of a value, where they are not to be shown.
MASKED_KEY = "[personal key]"
HIDDEN_VALUE = "[value]"
_EMAIL = re.compile(r"[^\s@\"\[\],]+@[^\s@\"\[\],]+\.[^\s@\"\[\],]+")
#: Numbers long enough to name a person, such as those of telephones and documents.
_NUMBER = re.compile(r"\+?\d(?:[ ()/.-]{0,2}\d){5,}")
#: Values of which batchsync shows the first and the last character and the length.
_SHORTENED = re.compile(r"\S?\*{3}\S?(?: \(\d+ characters?\))?")
#: Characters from which on the first and the last one of a value are shown.
_SHORT = 6
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What is left of a forgotten key: the hash of `hash_of_key`, and when, by whom and why it was forgotten."""

    key_hash: str
    at: datetime
    by: str
    reason: str


def hash_of_key(secret: str, key: str) -> str:
    """Return the hex HMAC-SHA256 of a key; `data/frame/suppressed.py` computes the same for columns."""
    return hmac.digest(secret.encode(), key.encode("utf-8", "surrogatepass"), "sha256").hex()


def looks_like_email(key: str) -> bool:
    """Return whether a key is an e-mail address, or has one among its columns."""
    return _EMAIL.search(key) is not None


class KeySearch:
    """Search for keys in texts: as a whole, regardless of case, not as a part of a longer word or number.

    A key of several columns is found in its canonical form, and where all of its columns occur.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        """Index the keys by their longest column, and these by length."""
        self._others: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for key in keys:
            for parts in {(key.lower(),), tuple(part.lower() for part in columns_of(key))}:
                first, *rest = sorted(filter(None, parts), key=len, reverse=True) or [""]
                if first:
                    self._others[first].append(tuple(rest))
        self._lengths = sorted({len(first) for first in self._others})

    def found_in(self, text: str) -> bool:
        """Return whether a text mentions one of the keys."""
        folded = text.lower()
        return any(
            _is_whole(folded, at, length) and any(_mentions_all(folded, rest) for rest in self._others[part])
            for length in self._lengths
            for at in range(len(folded) - length + 1)
            if (part := folded[at : at + length]) in self._others
        )


def columns_of(key: str) -> tuple[str, ...]:
    """Return the columns of a key; a key of several columns is a JSON array of strings."""
    if key.startswith("["):
        try:
            parts = json.loads(key)
        except ValueError:
            return (key,)
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return tuple(parts)
    return (key,)


def _is_whole(text: str, at: int, length: int) -> bool:
    """Return whether the part of a text is not inside a longer word or number."""
    before, after = text[at - 1 : at], text[at + length : at + length + 1]
    return not (before.isalnum() and text[at].isalnum()) and not (after.isalnum() and text[at + length - 1].isalnum())


def _mentions_all(text: str, parts: tuple[str, ...]) -> bool:
    return all(
        any(_is_whole(text, found.start(), len(part)) for found in re.finditer(re.escape(part), text)) for part in parts
    )


def masked_value(value: object) -> str:
    """Return a value as in `j***m (17 characters)`, as the data engine masks values in reasons.

    Args:
        value: A value of a record. Of anything but texts, nothing is shown.
    """
    if not isinstance(value, str):
        return "***"
    length = len(value)
    characters = f"({length} character{'' if length == 1 else 's'})"
    if length < _SHORT:
        return f"*** {characters}"
    # A question mark stands for a character that a terminal could interpret.
    first, last = (
        char if char == " " or unicodedata.category(char)[0] in "LNPS" else "?" for char in (value[0], value[-1])
    )
    return f"{first}***{last} {characters}"


def without_values(text: str) -> str:
    """Return a reason without the values that it quotes or shortens, e-mail addresses and long numbers."""
    for pattern in (_QUOTED, _SHORTENED, _EMAIL, _NUMBER):
        text = pattern.sub(HIDDEN_VALUE, text)
    return text
