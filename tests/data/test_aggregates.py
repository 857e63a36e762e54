"""Aggregates: members that combine the rows of a key, with the results of PostgreSQL, in any order of the rows."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from itertools import permutations
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import Bench, invalid, job, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.expression_text import AGGREGATES
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.sql.aggregates import FUNCTIONS
from batchsync.errors import SpecError
from kit.aggregate_cases import CASES, HEAD, ROWS

if TYPE_CHECKING:
    from pathlib import Path


def bench_of(folder: Path, **members: Any) -> Bench:
    return Bench(folder, job(folder, {"no": "=no", **members}, source={"key": ("no",)}), rules())


def values(bench: Bench) -> dict[str, Any]:
    return {entry["value"]["no"]: entry["value"].get("x") for entry in bench.records()}


def of_parquet(folder: Path, sql: str, kind: pl.DataType, *rows: tuple[str, Any]) -> Bench:
    bench = Bench(
        folder,
        job(folder, {"no": "=no", "x": sql}, source={"key": ("no",), "path": str(folder / "a.parquet")}),
        rules(),
    )
    frame = pl.DataFrame({"no": [row[0] for row in rows]}).with_columns(
        pl.Series("v", [row[1] for row in rows], dtype=kind)
    )
    frame.write_parquet(folder / "a.parquet")
    return bench


@pytest.mark.parametrize(("sql", "expected"), CASES)
def test_aggregate_gives_the_result_of_postgresql(tmp_path: Path, sql: str, expected: dict[str, Any]) -> None:
    bench = bench_of(tmp_path, x=f"={sql}")
    bench.source(HEAD + "\n".join([*ROWS, ""]))
    assert values(bench) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "sum(CAST(price AS NUMERIC))",
        "sum(CAST(price AS DOUBLE PRECISION) / 3)",
        "string_agg(sku, ',' ORDER BY qty)",
        "string_agg(mail, ',' ORDER BY sku DESC)",
        "first(mail ORDER BY sku)",
        "first(price ORDER BY length(sku))",
        "count(DISTINCT day)",
        "min(mail)",
    ],
)
def test_order_of_rows_is_no_change(tmp_path: Path, sql: str) -> None:
    bench = bench_of(tmp_path, x=f"={sql}")
    bench.source(HEAD + "\n".join([*ROWS, ""]))
    bench.accept_all()
    for rows in permutations(ROWS[:4]):
        bench.source(HEAD + "\n".join([*rows, ROWS[4], ""]))
        assert bench.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 3, rows


def test_changed_row_of_a_key_changes_its_record_only(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, x="=sum(CAST(qty AS INTEGER))")
    bench.source(HEAD + "\n".join([*ROWS, ""]))
    bench.accept_all()
    bench.source(HEAD + "\n".join([ROWS[0].replace(",2,", ",7,"), *ROWS[1:], ""]))
    assert values(bench) == {"A": 8}


def test_rows_that_disagree_on_a_member_without_aggregate_are_named(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, x="=count(*)", y="=sku", z="=sku || count(*)", w="=length(sku) + count(*)")
    bench.source(HEAD + "\n".join([*ROWS, ""]))
    [reject] = invalid(bench.compare())
    assert reject.key == "A"
    assert "y must be the same in all rows of a key, but differs between rows 1 and 2" in reject.reason
    assert "z must be the same in all rows of a key, but differs between rows 1 and 2" in reject.reason
    assert "w must" not in reject.reason
    assert {entry["value"]["no"] for entry in bench.records()} == {"B", "C"}


def test_argument_that_cannot_be_computed_makes_its_record_invalid(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, x="=sum(CAST(qty AS INTEGER))")
    bench.source(HEAD + "A,1,s,many,,,\nA,2,s,3,,,\nB,1,s,4,,,\n")
    [reject] = invalid(bench.compare())
    assert (reject.key, reject.field, reject.code) == ("A", "x", "expression")
    assert "many" not in reject.reason
    assert values(bench) == {"B": 4}


def test_argument_is_computed_in_rows_of_the_filter_only(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, x="=sum(CAST(qty AS INTEGER)) FILTER (WHERE qty ~ '^[0-9]+$')")
    bench.source(HEAD + "A,1,s,many,,,\nA,2,s,3,,,\n")
    assert values(bench) == {"A": 3}


@pytest.mark.parametrize(
    "days",
    [("9", "10"), ("1/2/2025", "2/1/2024"), ("2.5", "11", "11.5"), ("9 March", "10 March")],
)
@pytest.mark.parametrize("sql", ["max(day)", "first(sku ORDER BY day)", "string_agg(sku, ',' ORDER BY day DESC)"])
def test_numbers_and_dates_of_other_forms_are_not_ordered_as_text(
    tmp_path: Path, sql: str, days: tuple[str, ...]
) -> None:
    bench = bench_of(tmp_path, x=f"={sql}")
    bench.source(HEAD + "".join(f"A,1,s,,,{day},\n" for day in days) + "B,1,s,,,9,\n")
    [reject] = invalid(bench.compare())
    assert (reject.key, reject.field, reject.code) == ("A", "x", "unordered")
    assert "CAST(x AS TEXT)" in reject.reason
    assert len(values(bench)) == 1


@pytest.mark.parametrize("days", [("09", "10"), ("2025-01-02", "2024-12-31"), ("b", "a"), ("9", "9"), ("1", "", "2")])
def test_texts_whose_order_is_that_of_their_values_are_ordered(tmp_path: Path, days: tuple[str, ...]) -> None:
    bench = bench_of(tmp_path, x="=max(day)")
    bench.source(HEAD + "".join(f"A,1,s,,,{day},\n" for day in days))
    assert values(bench) == {"A": max(days)}


@pytest.mark.parametrize(
    ("kind", "given", "sql", "expected"),
    [
        (pl.Int64(), [2**63 - 1, 2**63 - 1], "=sum(v)", 2**64 - 2),
        (pl.UInt64(), [2**64 - 1, 2], "=sum(v)", 2**64 + 1),
        (pl.Int64(), [-(2**63), 1], "=min(v)", -(2**63)),
        (pl.Int8(), [127, 127], "=sum(v)", 254),
        (pl.Decimal(38, 2), [Decimal("9" * 34 + ".99"), Decimal("0.01")], "=sum(v)", Decimal("1" + "0" * 34)),
        (pl.Float64(), [1e16, 1.0, -1e16], "=max(v)", 1e16),
        (pl.Boolean(), [True, None], "=bool_and(v)", True),
        (pl.Datetime("us"), [None, None], "=count(v)", 0),
    ],
)
def test_sums_keep_every_digit(tmp_path: Path, kind: pl.DataType, given: list[Any], sql: str, expected: Any) -> None:
    bench = of_parquet(tmp_path, sql, kind, *(("A", value) for value in given))
    [line] = bench.lines()
    assert json.loads(line, parse_float=Decimal)["value"]["x"] == expected


def test_sum_beyond_38_digits_makes_its_record_invalid(tmp_path: Path) -> None:
    big = Decimal("9" * 38)
    bench = of_parquet(tmp_path, "=sum(v)", pl.Decimal(38, 0), ("A", big), ("A", big), ("B", Decimal(1)))
    [reject] = invalid(bench.compare())
    assert (reject.key, reject.code) == ("A", "expression")
    assert "sum(v) has more than 38 digits" in reject.reason
    assert values(bench) == {"B": 1}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("sum(price)", "takes numbers, not text"),
        ("sum(qty, 1)", "other arguments"),
        ("sum(*)", "other arguments"),
        ("sum()", "other arguments"),
        ("count()", "other arguments"),
        ("count(DISTINCT *)", "count(DISTINCT *)"),
        ("count(sku, qty)", "other arguments"),
        ("bool_or(qty)", "takes conditions, not text"),
        ("string_agg(sku, ',')", "needs ORDER BY"),
        ("string_agg(sku)", "other arguments"),
        ("string_agg(sku, line ORDER BY sku)", "separator in single quotes"),
        ("string_agg(length(sku), ',' ORDER BY sku)", "takes text"),
        ("string_agg(DISTINCT sku, ',' ORDER BY line)", "the same expression"),
        ("first(sku)", "needs ORDER BY"),
        ("first(DISTINCT sku ORDER BY sku)", "DISTINCT"),
        ("max(sku ORDER BY line)", "does not depend on an order"),
        ("sum(max(length(sku)))", "more than one row"),
        ("sum(length(sku)) OVER (PARTITION BY no)", "more than one row"),
        ("lower(sku) FILTER (WHERE qty = '1')", "FILTER belongs to an aggregate"),
        ("median(length(sku))", "more than one row"),
        ("sum(length(skuu))", "no column 'skuu'"),
        ("max(bool_or(qty = '1'))", "more than one row"),
    ],
)
def test_other_uses_are_refused(tmp_path: Path, sql: str, message: str) -> None:
    bench = bench_of(tmp_path, x=f"={sql}")
    bench.source(HEAD + "\n".join([*ROWS, ""]))
    with pytest.raises(SpecError) as raised:
        bench.compare()
    [problem] = raised.value.problems
    assert message in problem.message
    assert problem.suggestion


@pytest.mark.parametrize(
    "members",
    [
        {"x": [{"each": "=max(sku)"}]},
        {"x": [{"each": "=sku", "order_by": ["max(line)"]}]},
        {"x": [{"each": {"n": "=count(*)"}}]},
    ],
)
def test_aggregates_inside_each_are_refused(tmp_path: Path, members: dict[str, Any]) -> None:
    bench = bench_of(tmp_path, **members)
    bench.source(HEAD + "\n".join([*ROWS, ""]))
    with pytest.raises(SpecError) as raised:
        bench.compare()
    assert all("more than one row" in problem.message for problem in raised.value.problems)


def test_aggregates_stand_beside_each(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, x="=count(*)", items=[{"each": {"sku": "=sku"}, "order_by": ["CAST(line AS INTEGER)"]}])
    bench.source(HEAD + "\n".join([*ROWS, ""]))
    found = {entry["value"]["no"]: entry["value"] for entry in bench.records()}
    assert found["A"] == {"no": "A", "x": 3, "items": [{"sku": "s1"}, {"sku": "s2"}, {"sku": "s2"}]}
    assert found["C"] == {"no": "C", "x": 1}


def test_column_that_only_an_aggregate_uses_is_read(tmp_path: Path) -> None:
    bench = of_parquet(tmp_path, "=max(v) FILTER (WHERE no <> 'B')", pl.Int64(), ("A", 4), ("B", 5))
    assert values(bench) == {"A": 4, "B": None}


NUMBERS = st.none() | st.decimals(-1000, 1000, places=2, allow_nan=False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.sampled_from("ABCDE"), NUMBERS, NUMBERS), min_size=1, max_size=30), data=st.data())
def test_generated_rows_give_the_results_of_exact_arithmetic(
    tmp_path: Path, rows: list[tuple[str, Decimal | None, Decimal | None]], data: st.DataObject
) -> None:
    rows = data.draw(st.permutations(rows))
    bench = bench_of(
        tmp_path,
        total="=sum(CAST(qty AS NUMERIC(12, 2)) * CAST(price AS NUMERIC(12, 2)))",
        least="=min(CAST(qty AS NUMERIC))",
        number="=count(price)",
        different="=count(DISTINCT CAST(qty AS NUMERIC))",
        joined="=string_agg(price, ' ' ORDER BY CAST(qty AS NUMERIC) DESC NULLS LAST, price)",
        dearest="=first(qty ORDER BY CAST(price AS NUMERIC) DESC)",
        floating="=sum(CAST(price AS DOUBLE PRECISION))",
    )
    text = "".join(f"{no},1,s,{'' if q is None else q},{'' if p is None else p},,\n" for no, q, p in rows)
    bench.source(HEAD + text)
    found = {}
    for line in bench.lines():
        value = json.loads(line, parse_float=Decimal)["value"]
        found[value["no"]] = value
    for key in {row[0] for row in rows}:
        own = [row[1:] for row in rows if row[0] == key]
        products = [q * p for q, p in own if q is not None and p is not None]
        quantities = [q for q, _ in own if q is not None]
        prices = [p for _, p in own if p is not None]
        by_quantity = sorted(own, key=lambda row: (row[0] is None, -(row[0] or 0), str(row[1])))
        dearest = min(own, key=lambda row: (row[1] is not None, -(row[1] or 0), row[0] is None, str(row[0])))[0]
        floating = math.fsum(float(price) for price in prices)
        record = found[key]
        assert math.isclose(float(record.pop("floating", 0)), floating, rel_tol=1e-9, abs_tol=1e-9)
        expected: dict[str, Any] = {
            "no": key,
            "total": sum(products) if products else None,
            "least": min(quantities, default=None),
            "number": len(prices),
            "different": len(set(quantities)),
            "joined": " ".join(str(p) for _, p in by_quantity if p is not None) or None,
            "dearest": None if dearest is None else str(dearest),
        }
        assert record == {name: value for name, value in expected.items() if value is not None}


def test_names_of_aggregates_are_those_of_the_reference() -> None:
    assert {*FUNCTIONS, *(name for item in FUNCTIONS.values() for name in item.also)} == AGGREGATES


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("3399.99", "2", "6799.98"),
        ("99999999.999999", "999999.5", "99999949999999.0000005"),
        ("1.123456789012345678", "0.5", "0.561728394506172839"),
        ("0.5", "-1.123456789012345678", "-0.561728394506172839"),
        ("12345678901234", "1", "12345678901234"),
        ("123456789012345678", "10", None),
        ("1.123456789012345678", "1.1234567890123", None),
        ("", "1", ""),
    ],
)
def test_product_of_numerics_is_exact_or_makes_its_row_invalid(
    tmp_path: Path, left: str, right: str, expected: str | None
) -> None:
    bench = bench_of(tmp_path, x="=CAST(CAST(qty AS NUMERIC) * CAST(price AS NUMERIC) AS TEXT)")
    bench.source(f"{HEAD}A,1,s,{left},{right},,\nB,1,s,1,1,,\n")
    found = values(bench)
    assert found.pop("B") == "1"
    assert found == ({} if expected is None else {"A": expected or None})
    assert [reject.reason for reject in invalid(bench.compare())] == (
        ["x the expression failed: the factors of a product have too many digits"] if expected is None else []
    )
