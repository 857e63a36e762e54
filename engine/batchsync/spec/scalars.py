"""Decides what an unquoted value of YAML stands for, and refuses those that YAML readers disagree about.

It does not know where the value stands. `NO`, `01234`, `1_000`, `1e3`, `1.10`, `12:30`, `2024-01-31`, `+353...` and
their like are either text or a number depending on who reads, so the person who wrote them has to say by quoting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_CLOCK = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_BASED = re.compile(r"[-+]?0(?:o[0-7_]+|x[0-9a-fA-F_]+|b[01_]+)")
#: The dot stands inside the brackets with what follows it: two stars side by side take quadratic time.
_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

Plain = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Doubt:
    """A value that needs quotes; `reading` says what YAML makes of it."""

    reading: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """A value that YAML reads as no value at all."""


_WORDS: dict[str, Plain | Doubt] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), Doubt("true")),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), Doubt("false")),
}
#: What some reader takes for something else than text, and for what; empty is a number that can be shown.
_READINGS = (
    (_DATE, "a date"),
    (_CLOCK, "a number in base 60"),
    (_NO_NUMBER, "no number"),
    (_BASED, "a number in base 2, 8 or 16"),
    (_NUMBER, ""),
)
_DIGITS_MAX = 60


def meaning(text: str) -> Plain | Doubt | Nothing:
    """Return what an unquoted text stands for: a value without doubt, a doubt, or nothing."""
    if text in _NOTHING:
        return Nothing()
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    return _number(text)


def value_or_text(text: str) -> Plain:
    """Return what a text that came out of a `${...}` stands for; in doubt it is the text itself."""
    found = meaning(text)
    return text if isinstance(found, Doubt | Nothing) else found


def _number(text: str) -> Plain | Doubt:
    if _INTEGER.fullmatch(text) and text != "-0":
        return int(text)
    if _FLOAT.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    for pattern, reading in _READINGS:
        if pattern.fullmatch(text):
            return Doubt(reading or _read(text))
    return text


def _read(text: str) -> str:
    """Return how most readers of YAML take a text that looks like a number."""
    if len(text) > _DIGITS_MAX:
        return "a number"
    bare = text.replace("_", "")
    return f"the number {int(bare) if re.fullmatch(r'[-+]?[0-9]+', bare) else float(bare)}"
