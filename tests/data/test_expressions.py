"""An expression that fails for some rows makes exactly those rows invalid, with a reason that shows no value."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from data_kit import Bench, invalid, job, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.core.record_schema import Format, Kind, Rule
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.mapping.evaluate import failing_rows


@pytest.mark.parametrize(
    ("sql", "bad"),
    [
        ("CAST(name AS BIGINT)", {2, 4}),
        ("STRPTIME(name, '%Y')", {2, 4}),
        ("COALESCE(CAST(name AS BIGINT), 7)", {2, 4}),
        ("CASE WHEN mail = 'cast' THEN CAST(name AS BIGINT) ELSE 1 END", {2, 4}),
        ("DATE(name, '%Y-%m-%d')", {1, 2, 4, 5}),
    ],
)
def test_only_rows_with_failing_expression_are_invalid(bench: Bench, sql: str, bad: set[int]) -> None:
    bench.job = job(bench.folder, {"id": "=id", "value": "=" + sql})
    bench.source("id,name,mail\n1,2019,cast\n2,secretive,cast\n3,,cast\n4,12x4,cast\n5,2020,cast\n")
    found = invalid(bench.compare())
    assert {item.row for item in found} == bad
    assert all(item.field == "value" and item.code == "expression" and "failed" in item.reason for item in found)
    assert not any("secretive" in item.reason for item in found)
    if "mail" not in sql:  # with two columns the cause is ambiguous
        assert "s***e (9 characters)" in " ".join(item.reason for item in found)


@pytest.mark.parametrize("sql", ["strftime(DATE(name, '%Y'), '%Y')", "regexp_like('x', name)"])
def test_all_rows_are_invalid_if_expression_always_fails(bench: Bench, sql: str) -> None:
    bench.job = job(bench.folder, {"id": "=id", "value": "=" + sql})
    bench.source("id,name,mail\n1,(,m\n2,(,m\n")
    assert [(item.row, item.code) for item in invalid(bench.compare())] == [(1, "expression"), (2, "expression")]


def test_one_percent_invalid_of_100_000_rows_is_found_in_seconds(bench: Bench) -> None:
    bench.job = job(bench.folder, {"id": "=id", "when": "=STRPTIME(name, '%m/%d/%Y')", "n": "=CAST(mail AS BIGINT)"})
    lines = [
        f"{row},{'13/45/2020' if row % 100 == 3 else '04/08/1966'},{'x' + str(row) if row % 100 == 7 else row}"
        for row in range(100_000)
    ]
    bench.source("id,name,mail\n" + "\n".join(lines) + "\n")
    comparison = bench.compare()
    assert (comparison.plan.counts.outcomes[RowOutcome.INVALID], comparison.plan.counts.added) == (2000, 98_000)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.none() | st.sampled_from(["1", "2", "x", "y", "", " 3"]), min_size=1, max_size=40))
def test_failing_rows_equal_rows_that_fail_individually(values: list[str | None]) -> None:
    frame = pl.DataFrame({"a": values}, schema={"a": pl.String})
    expr = pl.sql_expr("CAST(a AS INT) + 1")
    alone = []
    for row in range(frame.height):
        try:
            frame[row : row + 1].select(expr)
            alone.append(False)
        except pl.exceptions.PolarsError:
            alone.append(True)
    assert failing_rows(frame, expr).to_list() == alone


@pytest.mark.parametrize(
    ("kind", "texts", "wanted"),
    [
        (Kind.INTEGER, ["1", " -7 ", "+3"], [1, -7, 3]),
        (Kind.BOOLEAN, ["true", "NO", "1", "y"], [True, False, True, True]),
        (Kind.NUMBER, ["1.5", "2"], [1.5, 2]),
        (Kind.STRING, ["1.5", "x"], ["1.5", "x"]),
        (Kind.SCALAR, ["1.5", "x"], ["1.5", "x"]),
    ],
)
def test_text_is_coerced_to_kind_of_rule(bench: Bench, kind: Kind, texts: list[str], wanted: list[object]) -> None:
    bench.rules = rules(fields={"v": Rule(kind=kind)})
    bench.job = job(bench.folder, {"v": "=name"})
    bench.source("id,name,mail\n" + "".join(f"{row},{item},m\n" for row, item in enumerate(texts)))
    assert [record["value"]["v"] for record in bench.records()] == wanted


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.INTEGER, "1.5"),
        (Kind.INTEGER, "9" * 30),
        (Kind.NUMBER, "1,5"),
        (Kind.NUMBER, "NaN"),
        (Kind.NUMBER, "inf"),
        (Kind.BOOLEAN, "maybe"),
    ],
)
def test_text_of_wrong_kind_makes_row_invalid(bench: Bench, kind: Kind, text: str) -> None:
    bench.rules = rules(fields={"v": Rule(kind=kind)})
    bench.job = job(bench.folder, {"v": "=name"})
    bench.source(f'id,name,mail\n1,"{text}",m\n')
    [found] = invalid(bench.compare())
    assert (found.field, found.code) == ("v", "kind")
    assert f"must be {kind.value}" in found.reason


def test_typed_parquet_columns_are_formatted_by_rule(bench: Bench) -> None:
    east = timezone(timedelta(hours=10))
    frame = pl.DataFrame(
        {
            "id": [1],
            "day": [date(1985, 12, 24)],
            "at": [datetime.fromisoformat("2025-03-07T16:15:11")],
            "zoned": [datetime(2025, 3, 8, 2, 15, 11, 5000, tzinfo=east).astimezone(UTC)],
            "price": [50.0],
            "yes": [True],
            "many": [12],
        },
    ).with_columns(pl.col("zoned").dt.convert_time_zone("Australia/Sydney"))
    frame.write_parquet(bench.folder / "source.parquet")
    bench.change_source(path="source.parquet")
    text = Rule(kind=Kind.STRING)
    fields = {
        "born": Rule(kind=Kind.STRING, format=Format.DATETIME_NO_MILLIS),
        "bornFull": Rule(kind=Kind.STRING, format=Format.DATETIME),
        "bornPlain": text,
        "at": text,
        "atShort": Rule(kind=Kind.STRING, format=Format.DATETIME_NO_MILLIS),
        "zoned": Rule(kind=Kind.STRING, format=Format.DATETIME),
        "priceText": text,
        "price": Rule(kind=Kind.NUMBER),
        "yes": text,
        "many": text,
    }
    mapping = {
        "born": "=day",
        "bornFull": "=day",
        "bornPlain": "=day",
        "at": "=at",
        "atShort": "=at",
        "zoned": "=zoned",
    }
    bench.job = job(
        bench.folder,
        mapping | {"priceText": "=price", "price": "=price", "yes": "=yes", "many": "=many", "free": "=many"},
        source={"path": "source.parquet"},
    )
    bench.rules = rules(fields=fields)
    assert bench.records()[0]["value"] == {
        "born": "1985-12-24T00:00Z",
        "bornFull": "1985-12-24T00:00:00.000Z",
        "bornPlain": "1985-12-24",
        "at": "2025-03-07T16:15:11.000Z",
        "atShort": "2025-03-07T16:15:11Z",
        "zoned": "2025-03-07T16:15:11.005Z",
        "priceText": "50",
        "price": 50.0,
        "yes": "true",
        "many": "12",
        "free": 12,
    }


def test_nan_and_infinity_make_row_invalid(bench: Bench) -> None:
    frame = pl.DataFrame({"id": [1, 2, 3], "name": [1.5, float("nan"), float("inf")], "mail": ["a", "b", "c"]})
    frame.write_parquet(bench.folder / "source.parquet")
    bench.change_source(path="source.parquet")
    assert [(item.row, item.field, item.code) for item in invalid(bench.compare())] == [
        (2, "name", "kind"),
        (3, "name", "kind"),
    ]
