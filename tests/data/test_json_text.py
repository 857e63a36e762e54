"""The text of a record equals that of Python's json, except that integral floats have no `.0`."""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

import polars as pl
import pytest
from data_kit import Bench, job, node, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.core.mapping import Object
from batchsync.core.naming import NAMESPACE
from batchsync.core.record_schema import Kind, Rule
from batchsync.data.frame.numbers import float_text
from batchsync.data.mapping.compiled import compile_record
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.mapping.json_encode import Encoder

ODD_TEXT = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(
            [chr(index) for index in range(0x20)] + ['"', "\\", "/", "\u2028", "\u2029", "\x7f", "😀", "\U0010ffff"]
        ),
    ),
    max_size=12,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "t": st.none() | ODD_TEXT,
            "u": st.none() | ODD_TEXT,
            "i": st.none() | st.integers(-(2**63), 2**63 - 1),
            "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "b": st.none() | st.booleans(),
        },
    ),
    min_size=1,
    max_size=6,
)
SCHEMA = {"t": pl.String(), "u": pl.String(), "i": pl.Int64(), "f": pl.Float64(), "b": pl.Boolean()}
MAPPINGS: list[dict[str, Any]] = [
    {"t": "=t", "u": "=u", "i": "=i", "f": "=f", "b": "=b"},
    {"kind": 'quo"ted', "t": "=t", "n": 12, "yes": True},
    {"a": {"t": "=t", "deep": {"i": "=i", "f": "=f"}}, "z": "=b"},
    {"list": ["=t", "=u"], "last": "=i"},
    {"list": [{"provider": "CRM", "id": "=t"}, {"only": "=u"}], "empty": [{"x": "=t"}], "o": {"p": {"q": "=b"}}},
    {"t": "=t", "always": "x", "u": "=u", 'odd "name"\n': "=i"},
]


def without_zero(value: Any) -> Any:
    """Return a float as it is to be written: integral ones without `.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e16 else value


def expected(shape: Any, row: dict[str, Any]) -> Any:
    """Return the record that a mapping describes, without nulls and empty members."""
    if isinstance(shape, str) and shape.startswith("="):
        return without_zero(row[shape[1:]])
    if isinstance(shape, dict):
        members = {name: expected(entry, row) for name, entry in shape.items()}
        return {name: entry for name, entry in members.items() if entry is not None} or None
    if isinstance(shape, list):
        return [entry for entry in (expected(item, row) for item in shape) if entry is not None] or None
    return shape


def encoded(mapping: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    root = node(mapping)
    assert isinstance(root, Object)
    record, problems = compile_record(root, None, SCHEMA)
    assert not problems
    frame, invalid_values = evaluate(pl.DataFrame(rows, schema=SCHEMA), record.leaves)
    assert not invalid_values
    return Encoder(frame).column(record.root).to_list()


@pytest.mark.parametrize("mapping", MAPPINGS)
@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_record_text_equals_json_dumps(mapping: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    wanted = [json.dumps(expected(mapping, row) or {}, ensure_ascii=False, separators=(",", ":")) for row in rows]
    assert encoded(mapping, rows) == wanted


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.floats(), min_size=1, max_size=20))
def test_float_text_equals_json_without_trailing_zero(values: list[float]) -> None:
    assert float_text(pl.Series(values, dtype=pl.Float64)).to_list() == [
        json.dumps(without_zero(value)) if math.isfinite(value) else None for value in values
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("50", "50"),
        ("30.60", "30.6"),
        ("-45", "-45"),
        ("007", "7"),
        (" 1e3 ", "1000"),
        ("5.0", "5"),
        ("+5", "5"),
        ("-0", "0"),
        (".5", "0.5"),
    ],
)
def test_numeric_text_is_encoded_as_number(bench: Bench, text: str, wanted: str) -> None:
    bench.rules = rules(fields={"price": Rule(kind=Kind.NUMBER)})
    bench.job = job(bench.folder, {"price": "=price"})
    bench.source(f"id,price\n1,{text}\n")
    [line] = bench.lines()
    assert line.endswith(f'"value":{{"price":{wanted}}}}}')


def test_reference_is_uuid5_of_job_and_key(bench: Bench) -> None:
    keys = ["a", "é\u2028", "x" * 300, '"', "0"]
    bench.source("id,name,mail\n" + "".join('"' + key.replace('"', '""') + '",n,m\n' for key in keys))
    wanted = [str(uuid.uuid5(NAMESPACE, f"record\0job\0{key}")) for key in keys]
    assert [record["ref"] for record in bench.records()] == wanted


def test_control_characters_are_escaped(bench: Bench) -> None:
    dirty = "".join(chr(index) for index in range(0x20) if chr(index) not in "\n\r") + "\x7f"
    bench.source(f'id,name,mail\n1,"{dirty}\n\r",m\n')
    assert bench.records()[0]["value"]["name"] == dirty + "\n\r"


@pytest.mark.parametrize("mapping", [{}, {"kind": "x", "list": ["a", 1]}])
def test_constant_record_is_written_for_each_row(bench: Bench, mapping: dict[str, Any]) -> None:
    bench.job = job(bench.folder, mapping)
    bench.source("id,name\n1,a\n2,b\n")
    assert [record["value"] for record in bench.records()] == [mapping, mapping]
