"""Decides what an unquoted value of YAML stands for, and refuses those that YAML readers disagree about.

It does not know where the value stands. `NO`, `01234`, `1_000`, `1e3`, `1.10`, `12:30`, `2024-01-31`, `+353...` and
their like are either text or a number depending on who reads, so the person who wrote them has to say by quoting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lading.spec.suggest import quoted

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_MAYBE_TRUE = frozenset({"yes", "Yes", "YES", "on", "On", "ON"})
_MAYBE_FALSE = frozenset({"no", "No", "NO", "off", "Off", "OFF"})
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_CLOCK = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_BASED = re.compile(r"[-+]?0(?:o[0-7_]+|x[0-9a-fA-F_]+|b[01_]+)")
_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

Plain = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Doubt:
    """A value that needs quotes; `reading` says what YAML makes of it."""

    reading: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """A value that YAML reads as no value at all."""


def meaning(text: str) -> Plain | Doubt | Nothing:
    """Return what an unquoted text stands for: a value without doubt, a doubt, or nothing."""
    if text in _NOTHING:
        return Nothing()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text in _MAYBE_TRUE or text in _MAYBE_FALSE:
        return Doubt("true" if text in _MAYBE_TRUE else "false")
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text) and text != "-0":
        return int(text)
    if _FLOAT.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    reading = _reading(text)
    return Doubt(reading) if reading else text


def value_or_text(text: str) -> Plain:
    """Return what a text that came out of a `${...}` stands for; in doubt it is the text itself."""
    found = meaning(text)
    return text if isinstance(found, Doubt | Nothing) else found


def _reading(text: str) -> str:
    """Return how some reader of YAML takes a text that looks like a number or a date; empty if none does."""
    if _DATE.fullmatch(text):
        return "a date"
    if _CLOCK.fullmatch(text):
        return "a number in base 60"
    if _NO_NUMBER.fullmatch(text):
        return "no number"
    if _BASED.fullmatch(text):
        return "a number in base 2, 8 or 16"
    if _NUMBER.fullmatch(text) and len(text) <= 100:  # noqa: PLR2004 - longer texts are no numbers that anybody means
        bare = text.replace("_", "")
        if re.fullmatch(r"[-+]?[0-9]+", bare):
            return f"the number {_shown(str(int(bare)))}"
        return f"the number {_shown(repr(float(bare)))}"
    return "a number" if _NUMBER.fullmatch(text) else ""


def _shown(number: str) -> str:
    return quoted(number)[1:-1]
