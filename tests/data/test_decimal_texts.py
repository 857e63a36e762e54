"""Decimal numbers keep all their digits, from text and from floats of any width."""

from __future__ import annotations

import json
import struct
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_kit import Bench, invalid, job, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.core.record_schema import Kind, Rule
from batchsync.data.frame.numbers import decimal_text, inexact_numbers, widened

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {"n": Rule(kind=Kind.NUMBER), "i": Rule(kind=Kind.INTEGER), "any": Rule(kind=Kind.SCALAR)}
_DIGITS = st.text("0123456789", min_size=1, max_size=40)
_NUMBERS = st.one_of(
    st.builds(
        lambda sign, whole, fraction, exponent: f"{sign}{whole}{fraction}{exponent}",
        st.sampled_from(["", "-", "+"]),
        _DIGITS,
        st.one_of(st.just(""), st.just("."), _DIGITS.map(lambda digits: f".{digits}")),
        st.one_of(st.just(""), st.integers(-330, 300).map(lambda power: f"e{power}")),
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
)


@given(st.lists(_NUMBERS, min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_decimal_text_is_equal_to_its_number(texts: list[str]) -> None:
    found = decimal_text(pl.Series(texts))
    for text, written in zip(texts, found, strict=True):
        if written is None:
            assert float(text) in (float("inf"), float("-inf"))
        else:
            json.loads(written)
            assert Decimal(written) == Decimal(text)
    exact = [
        written is not None and Decimal(repr(float(text))) == Decimal(text)
        for text, written in zip(texts, found, strict=True)
    ]
    assert inexact_numbers(pl.Series(texts)).to_list() == [not entry for entry in exact]


def _digits(number: float) -> int:
    """Return the number of significant digits with which Python writes a float."""
    return len(Decimal(repr(number)).normalize().as_tuple().digits)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_widened_float_is_the_shortest_that_is_the_same_float(floats: list[float]) -> None:
    for value, wide in zip(floats, widened(pl.Series(floats, dtype=pl.Float32)), strict=True):
        assert struct.pack("f", wide) == struct.pack("f", value)
        assert _digits(wide) <= _digits(value)


def _sent(bench: Bench) -> list[str]:
    return [line.split('"value":')[1].removesuffix("}") for line in bench.lines()]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("99999999999999.994", "99999999999999.994"),
        ("9007199254740993.0", "9007199254740993"),
        ("12345678901234567.89", "12345678901234567.89"),
        ("-0000.12345678901234567890", "-0.1234567890123456789"),
        ("1e-400", "1e-400"),
        ("9007199254740993e-3", "9007199254740.993"),
        ("0.1000000000000000055", "0.1000000000000000055"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1e400", None),
        ("1e-99999999999999999999", None),
    ],
)
def test_csv_number_keeps_its_digits_or_its_row_is_invalid(tmp_path: Path, text: str, number: str | None) -> None:
    bench = Bench(tmp_path, job(tmp_path, {"n": "=x"}), rules(fields=FIELDS))
    bench.source(f"id,x\n1,{text}\n2,5\n")
    if number is None:
        assert [(entry.row, entry.field) for entry in invalid(bench.compare())] == [(1, "n")]
    else:
        assert _sent(bench) == [f'{{"n":{number}}}', '{"n":5}']


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_narrow_floats_are_sent_in_their_shortest_form(tmp_path: Path, kind: pa.DataType) -> None:
    values = [0.1, 19.99, 0.5, 3.0, None] if kind != pa.float16() else [0.1, 20.0, 0.5, 3.0, None]
    bench = Bench(tmp_path, job(tmp_path, {"n": "=x", "any": "=x"}), rules(fields=FIELDS))
    bench.change_source(path="s.parquet")
    ids = [str(number) for number in range(5)]
    pq.write_table(pa.table({"id": ids, "x": pa.array(values, kind)}), tmp_path / "s.parquet")
    wanted = ["0.1", "20" if kind == pa.float16() else "19.99", "0.5", "3"]
    assert [json.loads(line, parse_float=str, parse_int=str).get("n") for line in _sent(bench)] == [*wanted, None]
    assert [json.loads(line, parse_float=str, parse_int=str).get("any") for line in _sent(bench)] == [*wanted, None]
