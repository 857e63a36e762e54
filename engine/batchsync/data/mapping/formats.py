"""What a text of a record must look like to be of a named format, and the ways in which it is not.

It does not know where the text stands. A test is an expression over a column of text, true where the rule is broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from lading.core.record_schema import Format, Rule

if TYPE_CHECKING:
    from datetime import datetime

#: Any moment that exists but those of a leap day: what passes needs no second look.
_SURE = (
    r"^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
    r"-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]"
)
#: What looks like a moment, to the minute.
_MINUTE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}"
_SECONDS = ":[0-5][0-9]"
#: How a moment in UTC ends: after its minutes, there may be seconds and then fractions.
_TAILS = {
    Format.DATETIME: rf"({_SECONDS}(\.[0-9]{{1,9}})?)?Z$",
    Format.DATETIME_NO_MILLIS: rf"({_SECONDS})?Z$",
    Format.DATETIME_MINUTES: "Z$",
}
_FORMATS = {
    # No counted repetition: it makes the test twenty times as slow.
    Format.EMAIL: r'^[^\s@"(),:;<>\[\]\\\x00-\x1f]+@([\p{L}\p{N}][\p{L}\p{N}-]*\.)+\p{L}[\p{L}\p{N}-]+$',
    Format.UUID: r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    Format.COUNTRY: r"^[A-Z]{2}$",
    Format.LANGUAGE: r"^[A-Za-z]{2}$",
    Format.CURRENCY: r"^[A-Z]{3}$",
    Format.IATA: r"^[A-Z]{3}$",
} | {one: _MINUTE + tail for one, tail in _TAILS.items()}
_FORMAT_WORDS = {
    Format.EMAIL: "an e-mail address",
    Format.UUID: "a UUID",
    Format.DATETIME: "a UTC moment such as 2025-03-07T16:15:11.000Z",
    Format.DATETIME_NO_MILLIS: "a UTC moment without milliseconds such as 1985-12-24T00:00Z",
    Format.DATETIME_MINUTES: "a UTC moment without seconds such as 2030-12-24T00:00Z",
    Format.COUNTRY: "two capital letters (ISO 3166-1)",
    Format.LANGUAGE: "two letters (ISO 639)",
    Format.CURRENCY: "three capital letters (ISO 4217)",
    Format.IATA: "three capital letters (IATA)",
}
_NEVER = pl.lit(value=False)
#: The longest address that mail systems carry (RFC 5321).
_EMAIL_MAX = 254


@dataclass(frozen=True, slots=True)
class Broken:
    """A way to break the rule of one value, and the cheaper test for it (see `validate.Check`)."""

    code: str
    test: pl.Expr
    words: str
    mark: pl.Expr | None = None


def broken(rule: Rule, kind: pl.DataType, text: pl.Expr, now: datetime) -> list[Broken]:
    """Return the ways to break the rule of a value whose type was `kind` before it became text."""
    typed = kind == pl.Date or isinstance(kind, pl.Datetime)
    # A typed day or moment was written in the form that the rule names, if it names one of moments.
    found = _year(text) if typed else []
    if rule.format is not None and not (typed and rule.format in _TAILS):
        found += _format(rule.format, text)
    return found + _text(rule, text) + past(rule, text, now)


def past(rule: Rule, text: pl.Expr, now: datetime) -> list[Broken]:
    """Return the test of a moment that must be before now."""
    if not rule.past:
        return []
    minute = now.strftime("%Y-%m-%dT%H:%M")
    return [Broken("past", text.str.head(16) > minute, "must be in the past", text > minute)]


def _year(text: pl.Expr) -> list[Broken]:
    """Return the test of a typed day that no four digits can name."""
    # Below 1 and above 9999 a year is written with a sign or as 0000, and nothing else stands before 0001.
    return [Broken("format", text < "0001", "lies outside of the years 1 to 9999")]


def _format(form: Format, text: pl.Expr) -> list[Broken]:
    """Return the tests of a named format."""
    test, words = ~text.str.contains(_FORMATS[form]), f"must be {_FORMAT_WORDS[form]}"
    if form is Format.EMAIL:
        message, mark = f"is longer than {_EMAIL_MAX} characters", text.str.len_bytes() > _EMAIL_MAX
        return [Broken("format", test, words), Broken("format", text.str.len_chars() > _EMAIL_MAX, message, mark)]
    if form in _TAILS:
        unsure = ~text.str.contains(_SURE + _TAILS[form])
        missing = "is a day or an hour that does not exist"
        return [Broken("format", test, words, unsure), Broken("format", _no_such_day(text), missing, _NEVER)]
    return [Broken("format", test, words)]


def _no_such_day(text: pl.Expr) -> pl.Expr:
    """Return the test for a text that looks like a moment and is none (30 February, hour 25, year 0)."""
    minute = text.str.head(16)
    looks = text.str.contains(_FORMATS[Format.DATETIME])
    none = minute.str.to_datetime("%Y-%m-%dT%H:%M", strict=False, cache=False).is_null()
    return looks & (none | text.str.starts_with("0000"))


def _text(rule: Rule, text: pl.Expr) -> list[Broken]:
    """Return the tests of a text's shape and length."""
    found = []
    if rule.pattern:
        found.append(Broken("pattern", ~text.str.contains(rule.pattern), f"must match {rule.pattern}"))
    if rule.max_length is not None:
        test, mark = text.str.len_chars() > rule.max_length, text.str.len_bytes() > rule.max_length
        found.append(Broken("max_length", test, f"is longer than {rule.max_length} characters", mark))
    if rule.min_length is not None:
        test = text.str.len_chars() < rule.min_length
        found.append(Broken("min_length", test, f"is shorter than {rule.min_length} characters"))
    return found
