"""Unquoted values mean one thing to everybody, or need quotes."""

from __future__ import annotations

import time

import pytest

from batchsync.spec.scalars import AmbiguousScalar, NullScalar, meaning


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
def test_a_value_without_doubt_is_what_it_looks_like(text: str, value: object) -> None:
    found = meaning(text)
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
        (".inf", "no number"),
        ("NO", "false"),
        ("on", "true"),
        ("Yes", "true"),
        ("off", "false"),
        ("1234567890123456789", "the number 1234567890123456789"),
        ("0" * 400, "a number"),
        ("1e999", "the number inf"),
    ],
)
def test_a_value_that_readers_disagree_about_needs_quotes(text: str, reading: str) -> None:
    assert meaning(text) == AmbiguousScalar(reading)


@pytest.mark.parametrize("text", ["", "~", "null", "NULL"])
def test_nothing_is_nothing(text: str) -> None:
    assert meaning(text) == NullScalar()


@pytest.mark.parametrize("unit", ["1", "1_", "1.", "1:", "1:1", "0x_", "-", "+1", ".", "1e", "2024-01-01", "0"])
def test_a_value_without_end_is_read_at_once(unit: str) -> None:
    began = time.process_time()
    for end in ("", "x", "e", "."):
        meaning(unit * (50_000 // len(unit)) + end)
    assert time.process_time() - began < 2
