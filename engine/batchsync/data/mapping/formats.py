"""Tests of named formats, patterns and lengths, as expressions that are true where a string column breaks the rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.record_schema import Format, Rule

if TYPE_CHECKING:
    from datetime import datetime

#: Valid dates and minutes, except 29 February: matching values need no further check.
_EXISTING_MINUTE = (
    r"^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
    r"-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]"
)
#: Shape of a timestamp up to the minute.
_MINUTE_SHAPE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}"
_SECONDS = ":[0-5][0-9]"
#: End of a UTC timestamp after the minute: optional seconds and fractions.
_ENDINGS = {
    Format.DATETIME: rf"({_SECONDS}(\.[0-9]{{1,9}})?)?Z$",
    Format.DATETIME_NO_MILLIS: rf"({_SECONDS})?Z$",
    Format.DATETIME_MINUTES: "Z$",
}
_FORMATS = {
    # Without a counted repetition, which is twenty times slower.
    Format.EMAIL: r'^[^\s@"(),:;<>\[\]\\\x00-\x1f]+@([\p{L}\p{N}][\p{L}\p{N}-]*\.)+\p{L}[\p{L}\p{N}-]+$',
    Format.UUID: r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    Format.COUNTRY: r"^[A-Z]{2}$",
    Format.LANGUAGE: r"^[A-Za-z]{2}$",
    Format.CURRENCY: r"^[A-Z]{3}$",
    Format.IATA: r"^[A-Z]{3}$",
} | {item: _MINUTE_SHAPE + tail for item, tail in _ENDINGS.items()}
_FORMAT_NAMES = {
    Format.EMAIL: "an e-mail address",
    Format.UUID: "a UUID",
    Format.DATETIME: "a UTC timestamp such as 2025-03-07T16:15:11.000Z",
    Format.DATETIME_NO_MILLIS: "a UTC timestamp without milliseconds such as 1985-12-24T00:00Z",
    Format.DATETIME_MINUTES: "a UTC timestamp without seconds such as 2030-12-24T00:00Z",
    Format.COUNTRY: "two capital letters (ISO 3166-1)",
    Format.LANGUAGE: "two letters (ISO 639)",
    Format.CURRENCY: "three capital letters (ISO 4217)",
    Format.IATA: "three capital letters (IATA)",
}
_NEVER = pl.lit(value=False)
#: Maximum length of an e-mail address (RFC 5321).
_EMAIL_MAX = 254


@dataclass(frozen=True, slots=True)
class Violation:
    """A way to break the rule of a value; `prefilter` is a cheaper test (see `validate.Check`)."""

    code: str
    test: pl.Expr
    message: str
    prefilter: pl.Expr | None = None


def violations(rule: Rule, kind: pl.DataType, text: pl.Expr, now: datetime) -> list[Violation]:
    """Return the ways to break the rule of a value.

    Args:
        rule: The rule.
        kind: Type of the value before it became a string.
        text: The value as a string.
        now: Time that rules about the past refer to.

    Returns:
        The violations, each with its test.
    """
    found = []
    typed = kind == pl.Date or isinstance(kind, pl.Datetime)
    if typed:
        # Years outside of 1 to 9999 are formatted with a sign or as 0000, which sort before 0001.
        found.append(Violation("format", text < "0001", "is outside of the years 1 to 9999"))
    # Typed dates and timestamps were formatted as the rule requires.
    if rule.format is not None and not (typed and rule.format in _ENDINGS):
        found += _format(rule.format, text)
    if rule.pattern:
        found.append(Violation("pattern", ~text.str.contains(rule.pattern), f"must match {rule.pattern}"))
    if rule.max_length is not None:
        test, prefilter = text.str.len_chars() > rule.max_length, text.str.len_bytes() > rule.max_length
        found.append(Violation("max_length", test, f"is longer than {rule.max_length} characters", prefilter))
    if rule.min_length is not None:
        test = text.str.len_chars() < rule.min_length
        found.append(Violation("min_length", test, f"is shorter than {rule.min_length} characters"))
    return found + before_now(rule, text, now)


def before_now(rule: Rule, text: pl.Expr, now: datetime) -> list[Violation]:
    """Return the test of a timestamp that must be in the past, if the rule requires it."""
    if not rule.past:
        return []
    minute = now.strftime("%Y-%m-%dT%H:%M")
    return [Violation("past", text.str.head(16) > minute, "must be in the past", text > minute)]


def _format(format_: Format, text: pl.Expr) -> list[Violation]:
    """Return the tests of a named format."""
    test, message = ~text.str.contains(_FORMATS[format_]), f"must be {_FORMAT_NAMES[format_]}"
    if format_ is Format.EMAIL:
        too_long, prefilter = f"is longer than {_EMAIL_MAX} characters", text.str.len_bytes() > _EMAIL_MAX
        return [
            Violation("format", test, message),
            Violation("format", text.str.len_chars() > _EMAIL_MAX, too_long, prefilter),
        ]
    if format_ in _ENDINGS:
        prefilter = ~text.str.contains(_EXISTING_MINUTE + _ENDINGS[format_])
        # A string of the right shape may still be a time that does not exist: 30 February, hour 25, year 0.
        minute = text.str.head(16).str.to_datetime("%Y-%m-%dT%H:%M", strict=False, cache=False)
        is_nonexistent = minute.is_null() | text.str.starts_with("0000")
        nonexistent = "is a day or an hour that does not exist"
        return [
            Violation("format", test, message, prefilter),
            Violation("format", text.str.contains(_FORMATS[Format.DATETIME]) & is_nonexistent, nonexistent, _NEVER),
        ]
    return [Violation("format", test, message)]
