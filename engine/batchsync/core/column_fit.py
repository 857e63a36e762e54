"""Expressions that turn the values of a column into those that a member of a record takes, judged by sample values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.record_schema import Format, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync.core.record_schema import Rule

#: Share of the sample values that have to fit.
FITTING = 0.9
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(Z|[-+][0-9:]+)?")
_PARTS = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})[/.-]([0-9]{4})")
_MONTHS = 12
_DATETIMES = {Format.DATETIME, Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES}
#: Letters of codes by format, and the function that gives them the right case.
CODES = {
    Format.COUNTRY: (re.compile(r"[A-Za-z]{2}"), "upper", "ISO 3166 codes of two letters"),
    Format.CURRENCY: (re.compile(r"[A-Za-z]{3}"), "upper", "ISO 4217 codes of three letters"),
    Format.IATA: (re.compile(r"[A-Za-z]{3}"), "upper", "IATA codes of three letters"),
    Format.LANGUAGE: (re.compile(r"[A-Za-z]{2}"), "lower", "ISO 639 codes of two letters"),
}
#: Letters and words for values of enumerations.
_ABBREVIATIONS = {"m": "male", "f": "female", "w": "female", "man": "male", "woman": "female", "y": "yes", "n": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """What is known of a column.

    Attributes:
        name: Its name.
        kind: text, integer, number, boolean, date, datetime, list or other.
        values: Values of the first rows as text, without nulls.
        unique: Whether all rows that were read have a value, each another one.
    """

    name: str
    kind: str
    values: tuple[str, ...] = field(default=(), repr=False)
    unique: bool = False

    @property
    def looks_like_addresses(self) -> bool:
        """Whether the values are e-mail addresses."""
        return self.kind == "text" and _fits(self.values, lambda text: _EMAIL.fullmatch(text.strip()) is not None)


@dataclass(frozen=True, slots=True)
class Fit:
    """An expression with a note; without an expression, the note says why the values do not fit."""

    expression: str = ""
    note: str = ""


def fitted(column: ColumnFacts, rule: Rule, name: str, *, is_name: bool = False) -> Fit:
    """Return the expression over a column for a member.

    Args:
        column: The column.
        rule: Constraints of the member.
        name: The column as in SQL.
        is_name: Whether the member is a name of a person, which is not written in capitals.
    """
    if rule.kind in {Kind.NUMBER, Kind.INTEGER}:
        return _number(column, rule, name)
    if rule.kind is Kind.BOOLEAN:
        return _boolean(column, name)
    if column.kind in {"list", "other"}:
        return Fit(name, "its items") if column.kind == "list" else Fit(note="its values are objects")
    if rule.format in _DATETIMES:
        return _moment(column, name)
    return _text(column, rule, name, is_name=is_name)


def _text(column: ColumnFacts, rule: Rule, name: str, *, is_name: bool) -> Fit:
    """Return the expression of a text."""
    if not column.values:
        return Fit(name, "it has no values in the first rows")
    trimmed = f"trim({name})" if any(text != text.strip() for text in column.values) else name
    if rule.enum:
        return _listed(column, rule, name, trimmed)
    if rule.format is Format.EMAIL:
        return _email(column, trimmed)
    if rule.format in CODES:
        return _code(column, trimmed, rule.format)
    is_capital = is_name and _fits(column.values, lambda text: text == text.upper() and text != text.lower())
    return Fit(f"initcap({trimmed})", "its values are in capitals") if is_capital else Fit(trimmed)


def _fits(values: tuple[str, ...], test: Callable[[str], bool]) -> bool:
    """Return whether most values meet a test; none without values."""
    return bool(values) and sum(map(test, values)) >= FITTING * len(values)


def _number(column: ColumnFacts, rule: Rule, name: str) -> Fit:
    if column.kind in {"integer", "number"}:
        return Fit(name)
    pattern, kind = (_INTEGER, "INTEGER") if rule.kind is Kind.INTEGER else (_NUMBER, "NUMERIC")
    if column.kind == "text" and _fits(column.values, lambda text: pattern.fullmatch(text) is not None):
        return Fit(f"CAST({name} AS {kind})")
    return Fit(note="its values are not all numbers")


def _boolean(column: ColumnFacts, name: str) -> Fit:
    if column.kind == "boolean":
        return Fit(name)
    if _fits(column.values, lambda text: text.casefold() in {"true", "false"}):
        return Fit(f"CAST({name} AS BOOLEAN)")
    return Fit(note="its values are not true and false")


def _moment(column: ColumnFacts, name: str) -> Fit:
    """Return the expression of a date or timestamp; a date with slashes may begin with the day or with the month."""
    if column.kind in {"date", "datetime"}:
        return Fit(name)
    if _fits(column.values, lambda text: _ISO_DATE.fullmatch(text) is not None):
        return Fit(f"CAST({name} AS DATE)")
    if _fits(column.values, lambda text: _ISO_TIME.fullmatch(text) is not None):
        zoned = any((found := _ISO_TIME.fullmatch(text)) and found[1] for text in column.values)
        return Fit(f"CAST({name} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'})")
    parts = [found for text in column.values if (found := _PARTS.fullmatch(text.strip()))]
    if not column.values or len(parts) < FITTING * len(column.values):
        return Fit(note="its values are no dates of a known form")
    sign = parts[0][2]
    day_first = any(int(found[1]) > _MONTHS for found in parts)
    month_first = any(int(found[3]) > _MONTHS for found in parts)
    if day_first and month_first:
        return Fit(note="its dates begin with the day in some rows and with the month in others")
    form = sign.join(("MM", "DD", "YYYY") if month_first else ("DD", "MM", "YYYY"))
    note = f"dates as {form}" + ("" if day_first or month_first else ", if the day comes first")
    return Fit(f"to_date({name}, '{form}')", note)


def _listed(column: ColumnFacts, rule: Rule, name: str, trimmed: str) -> Fit:
    """Return the first expression whose values are among those of an enumeration."""
    forms: list[tuple[Callable[[str], str], str, str]] = [
        (str.strip, trimmed, ""),
        (lambda text: text.strip().lower(), f"lower({trimmed})", ""),
        (lambda text: text.strip().upper(), f"upper({trimmed})", ""),
        (lambda text: text.strip().capitalize(), f"initcap({trimmed})", ""),
        (
            lambda text: text.strip().replace(".", "").capitalize(),
            f"initcap(replace({trimmed}, '.', ''))",
            "without the dot",
        ),
    ]
    for convert, sql, note in forms:
        if _fits(column.values, lambda text, convert=convert: convert(text) in rule.enum):  # type: ignore[misc]  # bound now
            return Fit(sql, note)
    known = {text: _ABBREVIATIONS.get(text.strip().casefold(), "") for text in dict.fromkeys(column.values)}
    cases = {text: word for text, word in known.items() if word in rule.enum}
    if cases and _fits(column.values, lambda text: text in cases):
        whens = " ".join(f"WHEN '{_sql_text(text)}' THEN '{word}'" for text, word in cases.items())
        others = [text for text in known if text not in cases]
        note = f"{', '.join(others[:3])}: left out" if others else ""
        return Fit(f"CASE {name} {whens} END", note)
    return Fit(note=f"its values are not among {', '.join(rule.enum[:5])}")


def _sql_text(text: str) -> str:
    return text.replace("'", "''")


def _email(column: ColumnFacts, trimmed: str) -> Fit:
    if not column.looks_like_addresses:
        return Fit(note="its values are no e-mail addresses")
    is_lower = all(text == text.lower() for text in column.values)
    return Fit(trimmed if is_lower else f"lower({trimmed})")


def _code(column: ColumnFacts, trimmed: str, format_: Format) -> Fit:
    pattern, function, meaning = CODES[format_]
    if not _fits(column.values, lambda text: pattern.fullmatch(text.strip()) is not None):
        return Fit(note=f"its values are no {meaning}")
    has_case = all(text == getattr(text, function)() for text in column.values)
    return Fit(trimmed if has_case else f"{function}({trimmed})")
