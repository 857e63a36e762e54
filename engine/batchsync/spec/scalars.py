"""Types of unquoted YAML scalars. Scalars that YAML parsers read differently are ambiguous and must be quoted.

Examples are `NO`, `01234`, `1_000`, `1e3`, `1.10`, `12:30`, `2024-01-31` and `+353...`: a string, a boolean, a number
or a date, depending on the parser and its YAML version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_CLOCK = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_BASED = re.compile(r"[-+]?0(?:o[0-7_]+|x[0-9a-fA-F_]+|b[01_]+)")
#: The dot is in a group with the digits after it; two adjacent repetitions would take quadratic time.
_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

ScalarValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class AmbiguousScalar:
    """A scalar that must be quoted; `reading` describes how some YAML parsers read it."""

    reading: str


@dataclass(frozen=True, slots=True)
class NullScalar:
    """A scalar that YAML reads as null."""


_KEYWORDS: dict[str, ScalarValue | AmbiguousScalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), AmbiguousScalar("true")),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), AmbiguousScalar("false")),
}
#: Patterns that some parser does not read as a string, and its reading; empty for a number that can be shown.
_READINGS = (
    (_DATE, "a date"),
    (_CLOCK, "a number in base 60"),
    (_SPECIAL_FLOAT, "infinity or not a number"),
    (_BASED, "a number in base 2, 8 or 16"),
    (_NUMBER, ""),
)
_DIGITS_MAX = 60


def interpret_scalar(text: str) -> ScalarValue | AmbiguousScalar | NullScalar:
    """Return the value of an unquoted scalar, or that it is ambiguous or null."""
    if text in _NULLS:
        return NullScalar()
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    return _number(text)


def value_or_text(text: str) -> ScalarValue:
    """Return the value of a scalar after substitution of `${...}`; the text itself if it is ambiguous or null."""
    found = interpret_scalar(text)
    return text if isinstance(found, AmbiguousScalar | NullScalar) else found


def _number(text: str) -> ScalarValue | AmbiguousScalar:
    if _INTEGER.fullmatch(text) and text != "-0":
        return int(text)
    if _FLOAT.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    for pattern, reading in _READINGS:
        if pattern.fullmatch(text):
            return AmbiguousScalar(reading or _describe_number(text))
    return text


def _describe_number(text: str) -> str:
    """Return a description of the number that most YAML parsers read."""
    if len(text) > _DIGITS_MAX:
        return "a number"
    bare = text.replace("_", "")
    return f"the number {int(bare) if re.fullmatch(r'[-+]?[0-9]+', bare) else float(bare)}"
