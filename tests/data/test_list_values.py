"""A list column in a list attribute gives as many items as it has; its items are coerced and checked one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import NOW, Bench, counts, invalid, job, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.record_schema import Format, Kind, Rule
from batchsync.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

STRINGS = Rule(kind=Kind.ARRAY, items=Rule(kind=Kind.STRING))


def bench_of(folder: Path, values: pl.Series, mapping: Any, rule: Rule | None = STRINGS) -> Bench:
    pl.DataFrame({"id": [str(row) for row in range(len(values))], "v": values, "w": ["x"] * len(values)}).write_parquet(
        folder / "source.parquet"
    )
    made = job(folder, {"id": "=id", "list": mapping}, source={"path": "source.parquet"})
    fields = {"id": Rule(kind=Kind.STRING), "list": rule} if rule else None
    return Bench(folder, made, rules(fields=fields))


def lists(bench: Bench) -> list[Any]:
    return [entry["value"].get("list") for entry in bench.records()]


@pytest.mark.parametrize(
    ("values", "items", "expected"),
    [
        (
            pl.Series([["+1", "+2"], ["+3"], [], None, [None, "+4"]]),
            Kind.STRING,
            [["+1", "+2"], ["+3"], None, None, ["+4"]],
        ),
        (pl.Series([['a"b\\', "č\n"], [""]]), Kind.STRING, [['a"b\\', "č\n"], [""]]),
        (pl.Series([[1, 2], [3]]), Kind.INTEGER, [[1, 2], [3]]),
        (pl.Series([[1, 2], [3]]), Kind.STRING, [["1", "2"], ["3"]]),
        (pl.Series([["1", " 2"], ["3"]]), Kind.INTEGER, [[1, 2], [3]]),
        (pl.Series([[1.5, 2.0]]), Kind.NUMBER, [[1.5, 2]]),
        (pl.Series([[True, False]]), Kind.BOOLEAN, [[True, False]]),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2)), Kind.INTEGER, [[1, 2]]),
        (pl.Series([[NOW.date()]]), Kind.STRING, [["2026-11-22"]]),
        (pl.Series([[], None], dtype=pl.List(pl.Null)), Kind.STRING, [None, None]),
        (pl.Series([["a", "b"]]), None, [["a", "b"]]),
        (pl.Series([[1, 2]]), None, [[1, 2]]),
        (pl.Series([[True]]), None, [[True]]),
    ],
)
def test_list_column_gives_its_items(
    tmp_path: Path, values: pl.Series, items: Kind | None, expected: list[Any]
) -> None:
    rule = Rule(kind=Kind.ARRAY, items=Rule(kind=items)) if items else None
    bench = bench_of(tmp_path, values, ["=v"], rule)
    assert lists(bench) == expected
    bench.accept_all()
    assert counts(bench) == {"unchanged": len(values)}


def test_list_stands_beside_other_items(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, pl.Series([["a", "b"], None]), ["first", "=v", "=w"])
    assert lists(bench) == [["first", "a", "b", "x"], ["first", "x"]]


def test_another_order_or_number_of_items_is_a_change(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, pl.Series([["a", "b"], ["a,b"], ["c"]]), ["=v"])
    bench.accept_all()
    changed = bench_of(tmp_path, pl.Series([["b", "a"], ["a", "b"], ["c"]]), ["=v"])
    changed.baseline, changed.runs = bench.baseline, bench.runs
    assert counts(changed) == {"changed": 2, "unchanged": 1}


@pytest.mark.parametrize(
    ("values", "rule", "code", "reason"),
    [
        (["1", "x"], Rule(kind=Kind.INTEGER), "kind", "must be integer"),
        (["a@b.cz", "no"], Rule(kind=Kind.STRING, format=Format.EMAIL), "format", "list[0] an item"),
        (["ok", "too long"], Rule(kind=Kind.STRING, max_length=5), "max_length", "an item is longer than 5 characters"),
        (["A", "D"], Rule(kind=Kind.STRING, enum=("A", "B")), "enum", "an item must be one of A, B"),
    ],
)
def test_items_are_checked(tmp_path: Path, values: list[str], rule: Rule, code: str, reason: str) -> None:
    bench = bench_of(tmp_path, pl.Series([values, values[:1], None]), ["=v"], Rule(kind=Kind.ARRAY, items=rule))
    assert counts(bench) == {"added": 2, "invalid": 1}
    [reject] = invalid(bench.compare())
    assert (reject.field, reject.code) == ("list[0]", code)
    assert reason in reject.reason
    assert values[1] not in reject.reason


def test_number_of_items_is_checked(tmp_path: Path) -> None:
    rule = Rule(kind=Kind.ARRAY, items=Rule(kind=Kind.STRING), max_length=3, min_length=2)
    bench = bench_of(tmp_path, pl.Series([["a", "b", "c"], ["a", "b", None], ["a"], []]), ["=v", "=w"], rule)
    assert [item.code for item in invalid(bench.compare())] == ["max_length", "min_length"]
    assert counts(bench) == {"added": 2, "invalid": 2}


@pytest.mark.parametrize(
    ("values", "mapping"),
    [
        (pl.Series([["a"]]), "=v"),
        (pl.Series([[["a"]]]), ["=v"]),
        (pl.Series([[{"a": 1}]]), ["=v"]),
        (pl.Series([[True]]), [{"each": "=v"}]),
    ],
)
def test_list_elsewhere_is_refused(tmp_path: Path, values: pl.Series, mapping: Any) -> None:
    rule = STRINGS if isinstance(mapping, list) else Rule(kind=Kind.STRING)
    with pytest.raises(SpecError) as caught:
        bench_of(tmp_path, values, mapping, rule).compare()
    assert caught.value.problems[0].code == "data.expression_kind"


def test_lists_of_json_lines_and_within_each(tmp_path: Path) -> None:
    mapping = {"id": "=id", "phones": ["=v"], "items": [{"each": {"sku": "=w", "tags": ["=t"]}}]}
    bench = Bench(tmp_path, job(tmp_path, mapping, source={"path": "source.jsonl"}), rules())
    rows = [
        {"id": "1", "v": ["a", "b"], "w": "s1", "t": ["x"]},
        {"id": "1", "v": ["a", "b"], "w": "s2", "t": []},
        {"id": "2", "w": "s3", "t": ["y", "z"]},
        {"id": "3", "v": ["a"], "w": "s4"},
        {"id": "3", "v": ["b"], "w": "s5"},
    ]
    bench.source("".join(json.dumps(row) + "\n" for row in rows))
    assert [entry["value"] for entry in bench.records()] == [
        {"id": "1", "phones": ["a", "b"], "items": [{"sku": "s1", "tags": ["x"]}, {"sku": "s2"}]},
        {"id": "2", "items": [{"sku": "s3", "tags": ["y", "z"]}]},
    ]
    [reject] = invalid(bench.compare())
    assert (reject.key, reject.code) == ("3", "rows_differ")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.none() | st.lists(st.none() | st.text(max_size=6), max_size=4), min_size=1, max_size=6))
def test_any_lists_of_texts_arrive(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    bench = bench_of(tmp_path_factory.mktemp("lists"), pl.Series(values, dtype=pl.List(pl.String)), ["=v"])
    expected = [[item for item in value or [] if item is not None] or None for value in values]
    assert lists(bench) == expected
