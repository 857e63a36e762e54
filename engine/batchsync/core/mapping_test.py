"""Tests of a job's mapping (`tests:`): given rows, what is expected of them, and how the result differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from batchsync.core.mapping import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Value of a record as parsed from JSON. Numbers with a fraction are decimals, so that no digit is lost.
Json = str | int | float | Decimal | bool | list["Json"] | dict[str, "Json"] | None
#: Greatest number of digits of a number that every YAML parser reads alike.
_DIGITS_MAX = 17


@dataclass(frozen=True, slots=True)
class Cell:
    """Value of a column of a given row; `text` is its text as written, which columns of text hold."""

    column: str
    value: Json = field(repr=False)
    text: str = field(repr=False)
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class GivenRow:
    """A row of the source, or of a join. Columns that it does not name are null."""

    cells: tuple[Cell, ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Rows of a join, which is named by its path, table, query or Delta table as written."""

    name: str
    rows: tuple[GivenRow, ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingTest:
    """A test of a job's mapping.

    Attributes:
        name: Its name, unique in the job.
        given: Rows of the source; empty for a removal.
        joined: Rows of joins. The columns of a join that is not listed may be among those of `given`.
        removed: Values of the key columns of a removed key, in their order; empty if rows are given.
        expect: Expected records in the order of their first rows; None if no record is stated.
        reasons: Parts of the reasons why rows are invalid, one for each invalid record, in the order of rows.
        left_out: Whether `source.where` selects none of the rows.
        index: Position in the list, from 0.
        place: Location in jobs.yaml.
    """

    name: str
    given: tuple[GivenRow, ...] = ()
    joined: tuple[JoinedRows, ...] = ()
    removed: tuple[str, ...] = ()
    expect: tuple[Json, ...] | None = None
    reasons: tuple[str, ...] = ()
    left_out: bool = False
    index: int = 0
    place: Place = field(default=Place(), compare=False)

    @property
    def states_result(self) -> bool:
        """Whether the test says what is expected."""
        return self.expect is not None or bool(self.reasons) or self.left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingResult:
    """What a job makes of given rows.

    Attributes:
        records: Records as they would be sent, as parsed JSON, in the order of their first rows.
        reasons: Why rows are invalid, one for each invalid record, in the order of rows.
        left_out: Number of rows that `source.where` does not select.
        failure: Why a run with these rows would stop; empty if it would not.
        are_records: For each record and reason, in the order of rows, whether it is a record.
    """

    records: tuple[Json, ...] = ()
    reasons: tuple[str, ...] = ()
    left_out: int = 0
    failure: str = ""
    are_records: tuple[bool, ...] = ()

    @property
    def is_left_out(self) -> bool:
        """Whether nothing but rows that are not selected is given."""
        return bool(self.left_out) and not self.records and not self.reasons and not self.failure


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference at a member: `expected` or `actual` is None where it is absent, and a text of JSON otherwise."""

    path: str
    expected: str | None
    actual: str | None


def differences(test: MappingTest, result: MappingResult) -> tuple[Difference, ...]:
    """Return how a result differs from what a test expects; empty if it passes.

    Args:
        test: The test; it says what is expected.
        result: What the job makes of its rows.
    """
    if result.failure:
        return (Difference("", _expectation(test), result.failure),)
    if test.left_out:
        return () if result.is_left_out else (Difference("", "left out by source.where", _outcome(result)),)
    return (*_record_differences(test.expect or (), result, test), *_reason_differences(test, result))


def _record_differences(expected: tuple[Json, ...], result: MappingResult, test: MappingTest) -> Iterator[Difference]:
    """Yield the differences between expected and actual records, by position."""
    actual = result.records
    if expected and not actual and not result.reasons:
        yield Difference("", _expectation(test), _outcome(result))
        return
    alone = max(len(expected), len(actual)) == 1
    for number in range(max(len(expected), len(actual))):
        path = "" if alone else f"record {number + 1}"
        if number >= len(actual):
            yield Difference(path or "record", json_text(expected[number]), None)
        elif number >= len(expected):
            yield Difference(path or "record", None, json_text(actual[number]))
        else:
            yield from member_differences(expected[number], actual[number], path)


def _reason_differences(test: MappingTest, result: MappingResult) -> Iterator[Difference]:
    """Yield the expected reasons that are not part of the reason of their row, and reasons that are not expected."""
    for number in range(max(len(test.reasons), len(result.reasons))):
        expected = test.reasons[number] if number < len(test.reasons) else None
        actual = result.reasons[number] if number < len(result.reasons) else None
        if expected is None or actual is None or expected not in actual:
            yield Difference("reason", expected, actual)


def member_differences(expected: Json, actual: Json, path: str = "") -> Iterator[Difference]:
    """Yield the differences of two values of records by member.

    Args:
        expected: The expected value.
        actual: The actual value.
        path: Path of the value, as in `identifiers[0].id`.

    Yields:
        A difference for each member or item that is absent or not equal, in the order of the actual record.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in dict.fromkeys((*actual, *expected)):
            inner = _below(path, name)
            if name not in actual:
                yield Difference(inner, json_text(expected[name]), None)
            elif name not in expected:
                yield Difference(inner, None, json_text(actual[name]))
            else:
                yield from member_differences(expected[name], actual[name], inner)
    elif isinstance(expected, list) and isinstance(actual, list):
        for index in range(max(len(expected), len(actual))):
            inner = f"{path}[{index}]"
            if index >= len(actual):
                yield Difference(inner, json_text(expected[index]), None)
            elif index >= len(expected):
                yield Difference(inner, None, json_text(actual[index]))
            else:
                yield from member_differences(expected[index], actual[index], inner)
    elif not _is_equal(expected, actual):
        yield Difference(path or "record", json_text(expected), json_text(actual))


def _below(path: str, name: str) -> str:
    """Return the path of a member; a space follows the number of a record."""
    if not path:
        return name
    return f"{path}: {name}" if path.startswith("record ") and "." not in path and ":" not in path else f"{path}.{name}"


def _is_equal(expected: Json, actual: Json) -> bool:
    """Return whether two scalars are equal: numbers by value, and never a text, a number and a boolean."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(actual, int | float | Decimal) and isinstance(expected, str):
        # Numbers that YAML cannot hold exactly are written in quotes.
        return not is_plain_number(actual) and expected == number_text(actual)
    if isinstance(expected, int | float | Decimal) and isinstance(actual, int | float | Decimal):
        return _decimal(expected) == _decimal(actual)
    return type(expected) is type(actual) and expected == actual


def is_plain_number(number: float | Decimal) -> bool:
    """Return whether every YAML parser reads a number as the same one, so that it is written without quotes."""
    text = number_text(number)
    digits = text.lstrip("-").replace(".", "")
    return len(digits) <= _DIGITS_MAX and ("." not in text or repr(float(text)) == text)


def number_text(number: float | Decimal) -> str:
    """Return a number without an exponent and without zeros at the end of its fraction."""
    text = f"{_decimal(number):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal(number: float | Decimal) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(str(number))


def json_text(value: Json) -> str:
    """Return a value as compact JSON for a message, with a space after commas and colons."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(name)}: {json_text(item)}" for name, item in value.items()) + "}"
    return number_text(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char >= " " else f"\\u{ord(char):04x}" for char in escaped) + '"'


def _expectation(test: MappingTest) -> str:
    """Return what a test expects, in a few words."""
    if test.left_out:
        return "left out by source.where"
    if test.reasons:
        return "; ".join(f"invalid: {reason}" for reason in test.reasons)
    return ", ".join(map(json_text, test.expect or ())) or "no record"


def _outcome(result: MappingResult) -> str:
    """Return a result in a few words."""
    parts = [*map(json_text, result.records), *(f"invalid: {reason}" for reason in result.reasons)]
    if result.left_out and not parts:
        parts.append("left out by source.where")
    return ", ".join(parts) or "no record"
