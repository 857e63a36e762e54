"""Rows, literals and the vendor's own validation agree on formats, also for typed dates and timestamps."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import ENGINE, NOW, Bench, job, rules
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchsync.core.record_schema import Extra, Format, Kind, Rule
from batchsync.data.mapping.formats import violations
from batchsync.spec.check_literal import literal_objection

if TYPE_CHECKING:
    from batchsync.ports import Reject

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = ["2025", "0000", "2024", "10000", "-", "02", "29", "30", "T", "24", "23", ":", "59", "60", "99", ".", "5", "Z"]
TIMESTAMP = st.builds(
    "{}-{}-{}T{}:{}{}{}".format,
    st.sampled_from(["2025", "2024", "0000", "0001", "9999", "1900", "999", "20255"]),
    st.sampled_from(["01", "02", "12", "13", "00", "4"]),
    st.sampled_from(["01", "29", "30", "31", "32", "00"]),
    st.sampled_from(["00", "23", "24", "25"]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from(["", ":00", ":59", ":60", ":99", ":00.5", ":60.5", ":00.123456789", ":00.1234567890", ":00."]),
    st.sampled_from(["Z", "", "+00:00", "z", "Z\n", " Z"]),
)
ADDRESS = st.text(
    st.sampled_from([*"ab@.-_,<>\" \t\n\x00'+1", "é", "ß", "\u2028", "٣", "²", "Ⅷ", "\u0301", "漢", "\x1c", "\x85"]),
    max_size=12,
)
TEXT = st.one_of(
    TIMESTAMP,
    ADDRESS,
    ADDRESS.map(lambda text: f"a@{text}.co"),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.sampled_from(["IE", "ie", "EUR", "DUB", "CE8B4A20-9C56-49A9-8C8B-0123456789ab", "x" * 250 + "@b.co"]),
)


def refused(values: pl.Series, rule: Rule) -> list[bool]:
    """Return which values break a rule, evaluated as for rows of a source."""
    frame = values.cast(pl.String).to_frame("x")
    found = violations(rule, pl.String(), pl.col("x"), NOW)
    filtered = frame.select(
        pl.any_horizontal(item.test if item.prefilter is None else item.prefilter for item in found)
    )
    hit = frame.select(pl.any_horizontal(item.test for item in found))
    return (filtered.to_series() & hit.to_series()).to_list()


@SLOW
@given(texts=st.lists(TEXT, min_size=1, max_size=40), format_=st.sampled_from(Format))
@example(["2025-02-30T00:00Z", "2025-03-07T16:15:60Z", "0000-01-01T00:00Z"], Format.DATETIME)
@example(["a,b@x.y", "a@b..co", "a@b.co", "a@b.²a", "a@².co", "a@b.c2"], Format.EMAIL)
def test_literal_check_agrees_with_row_check(texts: list[str], format_: Format) -> None:
    rule = Rule(kind=Kind.STRING, format=format_)
    assert [literal_objection(text, rule) is not None for text in texts] == refused(pl.Series(texts), rule)


def typed(bench: Bench, values: pl.Series, rule: Rule) -> tuple[list[Reject], list[Any]]:
    """Return the invalid rows of typed values, and the values sent."""
    keys = pl.Series("id", [str(index) for index in range(len(values))])
    pl.DataFrame([keys, values.alias("v")]).write_parquet(bench.folder / "typed.parquet")
    bench.job = job(bench.folder, {"id": "=id", "v": "=v"}, source={"path": "typed.parquet"})
    bench.rules = rules(fields={"v": rule})
    invalid = [item for chunk in ENGINE.invalid(bench.compare()) for item in chunk]
    return invalid, [record["value"].get("v") for record in bench.records()]


@pytest.mark.parametrize(
    ("format_", "sent"),
    [
        (Format.DATETIME, "2030-12-24T10:30:15.250Z"),
        (Format.DATETIME_NO_MILLIS, "2030-12-24T10:30:15Z"),
        (Format.DATETIME_MINUTES, "2030-12-24T10:30Z"),
    ],
)
def test_timestamp_is_formatted_by_rule(bench: Bench, format_: Format, sent: str) -> None:
    timestamp = datetime(2030, 12, 24, 10, 30, 15, 250_000, tzinfo=UTC)
    rule = Rule(kind=Kind.STRING, format=format_)
    assert typed(bench, pl.Series([timestamp]), rule) == ([], [sent])


@pytest.mark.parametrize("format_", [None, Format.DATETIME, Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES])
@pytest.mark.parametrize("kind", [pl.Date(), pl.Datetime("ms"), pl.Datetime("us")])
def test_timestamp_outside_years_1_to_9999_is_invalid(bench: Bench, kind: pl.DataType, format_: Format | None) -> None:
    days = [-(2**31), -719_163, -719_162, 0, 2_932_896, 2_932_897, 2**31 - 1]
    per_day = {"ms": 86_400_000, "us": 86_400_000_000}[kind.time_unit or "ms"] if isinstance(kind, pl.Datetime) else 1
    limit = 2**63 - 1 if per_day > 1 else 2**31 - 1
    numbers = [max(-limit, min(day * per_day, limit)) for day in days]
    values = pl.Series(numbers, dtype=pl.Int64 if per_day > 1 else pl.Int32).cast(kind)
    invalid, sent = typed(bench, values, Rule(kind=Kind.STRING, format=format_))
    assert [item.key for item in invalid] == ["0", "1", "5", "6"]
    assert all("is outside of the years 1 to 9999" in item.reason for item in invalid)
    assert [str(item)[:10] for item in sent] == ["0001-01-01", "1970-01-01", "9999-12-31"]


def test_typed_value_of_other_type_is_checked_against_format(bench: Bench) -> None:
    rule = Rule(kind=Kind.STRING, format=Format.DATETIME)
    invalid, sent = typed(bench, pl.Series([time(10, 30)]), rule)
    assert (len(invalid), invalid[0].code, sent) == (1, "format", [])
    invalid, sent = typed(bench, pl.Series([date(2020, 1, 1)]), Rule(kind=Kind.STRING, format=Format.COUNTRY))
    assert (len(invalid), invalid[0].code, sent) == (1, "format", [])


def test_blank_string_counts_as_missing(bench: Bench) -> None:
    fields = {"v": Rule(kind=Kind.STRING, required_in=frozenset({"*"})), "w": Rule(kind=Kind.STRING)}
    bench.rules = rules(fields=fields)
    bench.job = job(bench.folder, {"v": "=v", "w": "=w"}, source={"path": "source.jsonl"})
    blanks = ["", "  ", "\t", "\u00a0", "\u3000", "é", " x"]
    bench.source("".join(json.dumps({"id": str(n), "v": item, "w": " "}) + "\n" for n, item in enumerate(blanks)))
    invalid = [item for chunk in ENGINE.invalid(bench.compare()) for item in chunk]
    assert [(item.key, item.code) for item in invalid] == [(str(index), "required") for index in range(5)]


def test_literal_in_the_future_is_checked_with_rows(bench: Bench) -> None:
    bench.rules = rules(fields={"born": Rule(kind=Kind.STRING, format=Format.DATETIME_NO_MILLIS, past=True)})
    bench.source("id\n1\n2\n")
    for born, wrong in (("2999-01-01T00:00Z", 2), ("1999-01-01T00:00Z", 0)):
        bench.change(record=job(bench.folder, {"id": "=id", "born": born}).record)
        invalid = [item for chunk in ENGINE.invalid(bench.compare()) for item in chunk]
        assert [(item.field, item.code) for item in invalid] == [("born", "past")] * wrong


@pytest.mark.parametrize("item", [{"name": "ext", "v": "=v"}, {"name": "ext"}, {"name": "=v", "v": "=v"}])
def test_repeated_item_with_unique_constant_is_invalid(bench: Bench, item: dict[str, str]) -> None:
    inner = Rule(
        kind=Kind.OBJECT,
        fields=(("name", Rule(kind=Kind.STRING)),),
        extra=Extra(pattern="^[a-z]+$", max_count=9, unique=True),
    )
    bench.rules = rules(fields={"extensions": Rule(kind=Kind.ARRAY, items=inner, distinct=("name",))})
    bench.job = job(bench.folder, {"id": "=id", "extensions": [{"each": item}]})
    bench.source("id,v\n1,a\n1,b\n2,c\n")
    invalid = [entry for chunk in ENGINE.invalid(bench.compare()) for entry in chunk]
    assert [(entry.key, entry.code) for entry in invalid] == [("1", "distinct")]
    bench.job = job(bench.folder, {"id": "=id", "extensions": [{"each": {"name": "=v"}}]})
    assert [entry for chunk in ENGINE.invalid(bench.compare()) for entry in chunk] == []
