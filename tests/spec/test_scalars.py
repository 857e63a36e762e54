"""Unquoted scalars have the same value for all YAML parsers, or must be quoted."""

from __future__ import annotations

import time

import pytest

from batchsync.spec.scalars import AmbiguousScalar, NullScalar, interpret_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("abc", "abc"),
        ("0", 0),
        ("42", 42),
        ("-7", -7),
        ("2.5", 2.5),
        ("-0.25", -0.25),
        ("1.0", 1.0),
        ("true", True),
        ("False", False),
        ("5%", "5%"),
        ("30s", "30s"),
        ("1.2.3", "1.2.3"),
        ("0 2 * * *", "0 2 * * *"),
        ("y", "y"),
        ("-", "-"),
        (".", "."),
        ("10.0.0.1", "10.0.0.1"),
        ("2024-Q1", "2024-Q1"),
        ("1a", "1a"),
        ("999999999999999999", 10**18 - 1),
    ],
)
def test_unambiguous_scalar_has_its_value(text: str, value: object) -> None:
    found = interpret_scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("01234", "the number 1234"),
        ("1_000", "the number 1000"),
        ("1e3", "the number 1000.0"),
        ("1.10", "the number 1.1"),
        ("+353161123345", "the number 353161123345"),
        (".5", "the number 0.5"),
        ("5.", "the number 5.0"),
        ("-0", "the number 0"),
        ("0x1F", "a number in base 2, 8 or 16"),
        ("0o17", "a number in base 2, 8 or 16"),
        ("12:30", "a number in base 60"),
        ("12:30:45", "a number in base 60"),
        ("2024-01-31", "a date"),
        ("2024-01-31T10:00:00Z", "a date"),
        (".inf", "infinity or not a number"),
        ("NO", "false"),
        ("on", "true"),
        ("Yes", "true"),
        ("off", "false"),
        ("1234567890123456789", "the number 1234567890123456789"),
        ("0" * 400, "a number"),
        ("1e999", "the number inf"),
    ],
)
def test_ambiguous_scalar_must_be_quoted(text: str, reading: str) -> None:
    assert interpret_scalar(text) == AmbiguousScalar(reading)


@pytest.mark.parametrize("text", ["", "~", "null", "NULL"])
def test_empty_and_null_scalars_are_null(text: str) -> None:
    assert interpret_scalar(text) == NullScalar()


@pytest.mark.parametrize("unit", ["1", "1_", "1.", "1:", "1:1", "0x_", "-", "+1", ".", "1e", "2024-01-01", "0"])
def test_long_scalar_takes_linear_time(unit: str) -> None:
    start = time.process_time()
    for end in ("", "x", "e", "."):
        interpret_scalar(unit * (50_000 // len(unit)) + end)
    assert time.process_time() - start < 2
