"""Validation of literals in a record against the rule of their member, equivalent to the validation of rows in `data`.

The rule `past` depends on the current time and is checked for rows only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batchsync.core.record_schema import Format, Kind, Severity
from batchsync.util.patterns import contains_pattern
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from batchsync.core.record_schema import Rule

_KINDS = {
    Kind.STRING: "a string",
    Kind.INTEGER: "an integer",
    Kind.NUMBER: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.SCALAR: "a single value",
}
_MINUTE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}"
_TIMESTAMPS = frozenset({Format.DATETIME, Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES})
#: Maximum length of an e-mail address (RFC 5321).
_EMAIL_MAX = 254
#: Pattern and description of each format. Equivalent to the formats of `data`, in the syntax of `re`.
_FORMATS: dict[Format, tuple[str, str]] = {
    Format.EMAIL: (
        r"[^\s@\"(),:;<>\[\]\\\x00-\x1f]+@(?:[^\W_](?:[^\W_]|-)*\.)+[^\W\d_](?:[^\W_]|-)+",
        "an e-mail address",
    ),
    Format.UUID: (r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "a UUID"),
    Format.DATETIME: (
        rf"{_MINUTE}(?::[0-5][0-9](?:\.[0-9]{{1,9}})?)?Z",
        "a UTC timestamp such as 2025-03-07T16:15:11Z",
    ),
    Format.DATETIME_NO_MILLIS: (
        rf"{_MINUTE}(?::[0-5][0-9])?Z",
        "a UTC timestamp without milliseconds, such as 1985-12-24T00:00Z",
    ),
    Format.DATETIME_MINUTES: (rf"{_MINUTE}Z", "a UTC timestamp without seconds, such as 2030-12-24T00:00Z"),
    Format.COUNTRY: (r"[A-Z]{2}", "a country code of two upper-case letters, such as NZ"),
    Format.LANGUAGE: (r"[A-Za-z]{2}", "a language code of two letters, such as EN"),
    Format.CURRENCY: (r"[A-Z]{3}", "a currency code of three upper-case letters, such as NZD"),
    Format.IATA: (r"[A-Z]{3}", "an airport code of three upper-case letters, such as AKL"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a literal is invalid, and what is expected instead."""

    message: str
    expected: str
    suggestion: str = ""
    is_enum: bool = False


def literal_objection(value: str | float | bool, rule: Rule) -> Objection | None:  # noqa: FBT001 - literals may be of any scalar type
    """Return why a literal violates a rule, or None if it does not.

    Rules of severity `warn` are not checked; they are counted per row.
    """
    if not _is_of(value, rule.kind):
        found = {bool: "a boolean", int: "a number", float: "a number"}.get(type(value), "a string")
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
    return _check_string(text, rule)


def _check_string(text: str, rule: Rule) -> Objection | None:
    if rule.format is not None:
        pattern, expected = _FORMATS[rule.format]
        if not re.fullmatch(pattern, text) or not _is_plausible(text, rule.format):
            return Objection(message=f"cannot be {quoted(text)}", expected=expected)
        if rule.format is Format.EMAIL and len(text) > _EMAIL_MAX:
            return Objection(message=f"is {len(text)} characters long", expected=f"at most {_EMAIL_MAX}")
    if rule.pattern and not contains_pattern(rule.pattern, text):
        return Objection(message=f"cannot be {quoted(text)}", expected=f"a string that matches {rule.pattern}")
    if rule.max_length is not None and len(text) > rule.max_length:
        return Objection(message=f"is {len(text)} characters long", expected=f"at most {rule.max_length}")
    if rule.min_length is not None and len(text) < rule.min_length:
        return Objection(message=f"is {len(text)} characters long", expected=f"at least {rule.min_length}")
    return None


def _is_plausible(text: str, form: Format) -> bool:
    r"""Return whether a text that matches its pattern is a valid value: the date exists, the domain ends in letters.

    `strptime` refuses hour 24 in every version of Python; `\w` also matches superscripts.
    """
    if form is Format.EMAIL:
        return text.rpartition(".")[2][:1].isalpha()
    if form not in _TIMESTAMPS:
        return True
    try:
        datetime.strptime(text[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _is_of(value: str | float | bool, kind: Kind) -> bool:  # noqa: FBT001 - see literal_objection
    if isinstance(value, bool):
        return kind in {Kind.BOOLEAN, Kind.SCALAR}
    if isinstance(value, str):
        return kind in {Kind.STRING, Kind.SCALAR}
    if isinstance(value, int):
        return kind in {Kind.INTEGER, Kind.NUMBER, Kind.SCALAR}
    return kind in {Kind.NUMBER, Kind.SCALAR}
