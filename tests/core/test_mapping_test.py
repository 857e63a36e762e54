"""Differences of expected and actual records."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.mapping_test import (
    Difference,
    MappingResult,
    MappingTest,
    differences,
    json_text,
    member_differences,
    number_text,
)

JSON = st.recursive(
    st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(value=JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert list(member_differences(value, value)) == []


@given(value=st.dictionaries(st.text(min_size=1), JSON, min_size=1), name=st.text(min_size=1))
def test_an_additional_member_is_the_only_difference(value: dict[str, Any], name: str) -> None:
    more = {**value, name: [Decimal("0.125")]}
    without = {key: item for key, item in value.items() if key != name}

    assert list(member_differences(without, more)) == [Difference(name, None, "[0.125]")]
    assert list(member_differences(more, without)) == [Difference(name, "[0.125]", None)]


@pytest.mark.parametrize(
    ("expected", "actual", "equal"),
    [
        (1, 1.0, True),
        (1.5, Decimal("1.50"), True),
        (19.99, Decimal("19.99"), True),
        (1, "1", False),
        ("2", 2, False),
        (True, 1, False),
        (True, "true", False),
        ("12345678901234567890", Decimal(12345678901234567890), True),
        ("0.1234567890123456789", Decimal("0.1234567890123456789"), True),
        ("x", None, False),
        ({}, [], False),
    ],
)
def test_scalars_are_equal_by_type_and_value(expected: Any, actual: Any, *, equal: bool) -> None:
    assert (not list(member_differences(expected, actual))) is equal


def test_paths_name_members_items_and_records() -> None:
    test = MappingTest(name="t", expect=({"a": [{"b": 1}]}, {"c": "x"}))
    result = MappingResult(records=({"a": [{"b": 2}, 3]}, {"c": "y"}, {"d": 1}))

    assert [(item.path, item.expected, item.actual) for item in differences(test, result)] == [
        ("record 1: a[0].b", "1", "2"),
        ("record 1: a[1]", None, "3"),
        ("record 2: c", '"x"', '"y"'),
        ("record 3", None, '{"d": 1}'),
    ]


@pytest.mark.parametrize(
    ("test", "result", "passes"),
    [
        (MappingTest(name="t", expect=()), MappingResult(), True),
        (MappingTest(name="t", expect=()), MappingResult(records=({},)), False),
        (MappingTest(name="t", expect=({},)), MappingResult(), False),
        (MappingTest(name="t", expect=({},)), MappingResult(records=({},), reasons=("a",)), False),
        (MappingTest(name="t", reasons=("phone",)), MappingResult(reasons=("email is required",)), False),
        (MappingTest(name="t", reasons=("email",)), MappingResult(reasons=("email is required",)), True),
        (MappingTest(name="t", reasons=("email",)), MappingResult(reasons=("email is", "email is")), False),
        (MappingTest(name="t", left_out=True), MappingResult(left_out=2), True),
        (MappingTest(name="t", left_out=True), MappingResult(left_out=1, records=({},)), False),
        (MappingTest(name="t", left_out=True), MappingResult(), False),
        (MappingTest(name="t", expect=()), MappingResult(failure="stops"), False),
    ],
)
def test_outcomes(test: MappingTest, result: MappingResult, *, passes: bool) -> None:
    assert (not differences(test, result)) is passes


@given(number=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_number_text_keeps_the_value(number: Decimal) -> None:
    assert Decimal(number_text(number)) == number


@given(text=st.text())
def test_json_text_of_a_string_is_json(text: str) -> None:
    assert json.loads(json_text(text), strict=False) == text
