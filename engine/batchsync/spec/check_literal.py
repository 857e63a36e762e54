"""Says why a literal cannot be the value of a member, by the rules that rows are held to.

It does not know where it stands, nor what time it is: that a moment is in the past is asked of it as of every row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lading.core.record_schema import Format, Kind, Severity
from lading.spec.suggest import one_of, quoted

if TYPE_CHECKING:
    from lading.core.record_schema import Rule

_KINDS = {
    Kind.STRING: "a text",
    Kind.INTEGER: "a whole number",
    Kind.NUMBER: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.SCALAR: "one value",
}
_MINUTE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}"
_MOMENTS = frozenset({Format.DATETIME, Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES})
#: The longest address that mail systems carry (RFC 5321).
_EMAIL_MAX = 254
#: The same shapes that `data` holds rows against, in the words of Python's patterns.
_FORMATS: dict[Format, tuple[str, str]] = {
    Format.EMAIL: (
        r"[^\s@\"(),:;<>\[\]\\\x00-\x1f]+@(?:[^\W_](?:[^\W_]|-)*\.)+[^\W\d_](?:[^\W_]|-)+",
        "an e-mail address",
    ),
    Format.UUID: (r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "a UUID"),
    Format.DATETIME: (
        rf"{_MINUTE}(?::[0-5][0-9](?:\.[0-9]{{1,9}})?)?Z",
        "a UTC moment as in 2025-03-07T16:15:11Z",
    ),
    Format.DATETIME_NO_MILLIS: (
        rf"{_MINUTE}(?::[0-5][0-9])?Z",
        "a UTC moment without milliseconds, as in 1985-12-24T00:00Z",
    ),
    Format.DATETIME_MINUTES: (rf"{_MINUTE}Z", "a UTC moment without seconds, as in 2030-12-24T00:00Z"),
    Format.COUNTRY: (r"[A-Z]{2}", "two capital letters, as in NZ"),
    Format.LANGUAGE: (r"[A-Za-z]{2}", "two letters, as in EN"),
    Format.CURRENCY: (r"[A-Z]{3}", "three capital letters, as in NZD"),
    Format.IATA: (r"[A-Z]{3}", "three capital letters, as in AKL"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a literal will not do, and what would."""

    message: str
    expected: str
    suggestion: str = ""
    is_enum: bool = False


def literal_objection(value: str | float | bool, rule: Rule) -> Objection | None:  # noqa: FBT001 - any kind of literal comes in
    """Return what is wrong with a literal, or None. Rules that only warn are left to the rows."""
    if not _is_of(value, rule.kind):
        found = {bool: "a truth value", int: "a number", float: "a number"}.get(type(value), "a text")
        advice = (
            f'quote it: "{str(value).lower() if isinstance(value, bool) else value}"'
            if rule.kind is Kind.STRING
            else ""
        )
        return Objection(message=f"is {found}", expected=_KINDS[rule.kind], suggestion=advice)
    text = str(value)
    if rule.enum and rule.enum_severity is Severity.REFUSE and text not in rule.enum:
        return Objection(message=f"cannot be {quoted(text)}", expected=one_of(rule.enum), is_enum=True)
    if not isinstance(value, str):
        return None
    return _shape(text, rule)


def matches(pattern: str, text: str) -> bool:
    """Whether a text holds what a vendor's pattern describes. A pattern that Python cannot read is left to the rows."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True


def _shape(text: str, rule: Rule) -> Objection | None:
    if rule.format is not None:
        pattern, expected = _FORMATS[rule.format]
        if not re.fullmatch(pattern, text) or not _sound(text, rule.format):
            return Objection(message=f"cannot be {quoted(text)}", expected=expected)
        if rule.format is Format.EMAIL and len(text) > _EMAIL_MAX:
            return Objection(message=f"is {len(text)} characters long", expected=f"at most {_EMAIL_MAX}")
    if rule.pattern and not matches(rule.pattern, text):
        return Objection(message=f"cannot be {quoted(text)}", expected=f"a text that matches {rule.pattern}")
    if rule.max_length is not None and len(text) > rule.max_length:
        return Objection(message=f"is {len(text)} characters long", expected=f"at most {rule.max_length}")
    if rule.min_length is not None and len(text) < rule.min_length:
        return Objection(message=f"is {len(text)} characters long", expected=f"at least {rule.min_length}")
    return None


def _sound(text: str, form: Format) -> bool:
    """Whether a text of the right shape is sound: there is such a moment, and a domain ends in a word.

    Hour 24 is none, whatever the Python at hand says; its patterns take a superscript for a letter.
    """
    if form is Format.EMAIL:
        return text.rpartition(".")[2][:1].isalpha()
    if form not in _MOMENTS:
        return True
    try:
        datetime.strptime(text[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _is_of(value: str | float | bool, kind: Kind) -> bool:  # noqa: FBT001 - the same
    if isinstance(value, bool):
        return kind in {Kind.BOOLEAN, Kind.SCALAR}
    if isinstance(value, str):
        return kind in {Kind.STRING, Kind.SCALAR}
    if isinstance(value, int):
        return kind in {Kind.INTEGER, Kind.NUMBER, Kind.SCALAR}
    return kind in {Kind.NUMBER, Kind.SCALAR}
