"""`order_by` of an `each:`: items are sent in its order, which is part of the record; source order never is."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from data_kit import Bench, counts, invalid, job, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "no,line,sku\n"


def bench_of(folder: Path, *order: str, item: Any = "=sku") -> Bench:
    mapping = {"no": "=no", "items": [{"each": item, "order_by": order}]}
    return Bench(folder, job(folder, mapping, source={"key": ("no",)}), rules())


def items(bench: Bench) -> dict[str, list[Any]]:
    return {entry["value"]["no"]: entry["value"].get("items", []) for entry in bench.records()}


def source(bench: Bench, *rows: str) -> None:
    bench.source(HEAD + "\n".join([*rows, ""]))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("10", "9", "1"), "cba"),
        (("2.5", "10", "2.25"), "cab"),
        (("2026-10-01", "2026-09-30", "2025-12-31"), "cba"),
        (("b", "a", "c"), "bac"),
        (("2", "", "1"), "cab"),
        (("1", "1", "0"), "cab"),
    ],
)
def test_items_are_sent_in_order(tmp_path: Path, lines: tuple[str, ...], expected: str) -> None:
    bench = bench_of(tmp_path, '"line"')
    source(bench, *(f"A,{line},{sku}" for line, sku in zip(lines, "abc", strict=True)), "B,,z")
    assert items(bench) == {"A": list(expected), "B": ["z"]}


def test_expressions_and_several_values_give_the_order(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "length(line)", "-CAST(sku AS INTEGER)")
    source(bench, "A,xx,1", "A,y,2", "A,zz,3", "A,w,4")
    assert items(bench)["A"] == ["4", "2", "3", "1"]


@pytest.mark.parametrize("rows", list(permutations(["A,1,x", "A,2,y", "A,2,x", "A,10,"])))
def test_order_of_rows_is_no_change(tmp_path: Path, rows: tuple[str, ...]) -> None:
    bench = bench_of(tmp_path, '"line"')
    source(bench, "A,1,x", "A,2,y", "A,2,x", "A,10,")
    bench.accept_all()
    source(bench, *rows)
    assert counts(bench) == {"unchanged": 1}


def test_other_order_of_items_is_a_change_and_other_values_of_the_same_order_are_none(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, '"line"')
    source(bench, "A,1,x", "A,2,y")
    bench.accept_all()
    source(bench, "A,20,y", "A,10,x")
    assert counts(bench) == {"unchanged": 1}
    source(bench, "A,1,y", "A,2,x")
    assert counts(bench) == {"changed": 1}


def test_lists_with_and_without_order_are_independent(tmp_path: Path) -> None:
    mapping = {
        "no": "=no",
        "ordered": [{"each": "=sku", "order_by": ["line"]}],
        "backwards": [{"each": "=sku", "order_by": ["-CAST(line AS INTEGER)"]}],
        "plain": [{"each": {"sku": "=sku"}}],
    }
    bench = Bench(tmp_path, job(tmp_path, mapping, source={"key": ("no",)}), rules())
    source(bench, "A,3,c", "A,1,a", "A,2,b")
    [sent] = [entry["value"] for entry in bench.records()]
    assert sent == {
        "no": "A",
        "ordered": ["a", "b", "c"],
        "backwards": ["c", "b", "a"],
        "plain": [{"sku": "c"}, {"sku": "a"}, {"sku": "b"}],
    }
    bench.accept_all()
    source(bench, "A,1,a", "A,2,b", "A,3,c")
    assert counts(bench) == {"unchanged": 1}


@pytest.mark.parametrize("lines", [("1", "a"), ("-1", "2"), ("2026-01-01", "1"), ("01.02.2026", "02.01.2026")])
def test_values_that_cannot_be_compared_make_the_record_invalid(tmp_path: Path, lines: tuple[str, ...]) -> None:
    bench = bench_of(tmp_path, '"line"')
    source(bench, *(f"A,{line},x" for line in lines), f"B,{lines[0]},x", f"C,{lines[1]},x")
    assert counts(bench) == {"added": 2, "invalid": 1}
    [reject] = invalid(bench.compare())
    assert (reject.key, reject.field, reject.code) == ("A", "items", "unordered")
    assert "cast it to a number" in reject.reason
    assert "02.01" not in reject.reason


def test_order_that_cannot_be_computed_makes_the_record_invalid(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "CAST(line AS INTEGER)")
    source(bench, "A,1,x", "A,two,y", "B,1,z")
    assert counts(bench) == {"added": 1, "invalid": 1}
    [reject] = invalid(bench.compare())
    assert (reject.key, reject.field, reject.code) == ("A", "items", "expression")


@pytest.mark.parametrize("order", ["position", "sum(line)", "line +"])
def test_order_is_checked_against_the_source(tmp_path: Path, order: str) -> None:
    bench = bench_of(tmp_path, order)
    source(bench, "A,1,x")
    with pytest.raises(SpecError):
        bench.compare()


ROWS = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 12), st.sampled_from("xyz")), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, data=st.data())
def test_any_order_of_rows_gives_the_sorted_items(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    bench = bench_of(tmp_path_factory.mktemp("order"), '"line"', item={"sku": "=sku", "line": "=line"})
    source(bench, *(f"{key},{line},{sku}" for key, line, sku in rows))
    for key, sent in items(bench).items():
        of_key = [row for row in rows if row[0] == key]
        assert [(int(item["line"]), item["sku"]) for item in sent] == [
            row[1:] for row in sorted(of_key, key=lambda row: row[1])
        ]
    bench.accept_all()
    source(bench, *(f"{key},{line},{sku}" for key, line, sku in data.draw(st.permutations(rows))))
    assert counts(bench) == {"unchanged": len({row[0] for row in rows})}
