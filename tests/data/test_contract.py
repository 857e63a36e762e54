"""Counts for the contract of a source, made in the pass over its rows: compared with those of a naive program."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from data_kit import ENGINE, NOW, Bench, job, record, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.core.contract import ColumnRule, Contract, ContractCounts, Freshness
from batchsync.core.guards import Limit
from batchsync.core.job import Join, Send
from batchsync.core.mapping import Expression, Place
from batchsync.data.record.contract_counts import microseconds
from batchsync.data.row import parquet_reader, partitions
from batchsync.errors import SourceError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACE = Place("jobs.yaml", 12, 9)
FRESH = Freshness(column="at", max_age=timedelta(hours=26), place=PLACE)
Row = tuple[str, bool, datetime | None, str | None]

MOMENTS = st.datetimes(datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2090-01-01"))
ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.none() | MOMENTS, st.none() | st.sampled_from(["x", "y z"])),
    max_size=40,
)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def contract(*names: str, fresh: Freshness | None = FRESH) -> Contract:
    limit = Limit(count=0)
    return Contract(
        freshness=fresh, columns=tuple(ColumnRule(column=name, max_null=limit, place=PLACE) for name in names)
    )


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def counted(bench: Bench) -> ContractCounts:
    found = bench.compare().plan.contract
    assert found is not None
    return found


def as_text(moment: datetime, form: int, zone: timezone) -> str:
    """Write a moment in one of the forms that begin with the year."""
    aware = moment.replace(tzinfo=UTC)
    match form:
        case 0:
            return aware.isoformat()
        case 1:
            return aware.astimezone(zone).isoformat(sep=" ", timespec="microseconds")
        case 4:
            return f"{aware:%Y-%m-%dT%H:%M:%S.%f}999Z"
        case 5:
            return f"{aware:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".")
        case 2:
            return f"{aware:%Y/%m/%d %H:%M:%S.%f} UTC"
        case _:
            return f" {aware:%Y.%m.%dT%H:%M:%S.%f}000Z "


@settings(max_examples=40, deadline=None)
@given(
    rows=ROWS, form=st.integers(0, 5), zone=OFFSETS, kind=st.sampled_from(["csv", "parquet", "jsonl", "text.parquet"])
)
def test_counts_are_those_of_a_naive_program(rows: list[Row], form: int, zone: timezone, kind: str) -> None:
    """Each row is a key, whether it is selected, the time of its change, and a value."""
    kept = [row for row in rows if row[1]]
    moments = [micros(row[2].replace(tzinfo=UTC)) for row in kept if row[2] is not None]
    expected = ContractCounts(
        rows=len(kept),
        nulls={"value": sum(row[3] is None for row in kept), "at": len(kept) - len(moments)},
        newest=max(moments, default=None),
    )
    texts = [row[2] and as_text(row[2], form, zone) for row in rows]
    frame = pl.DataFrame(
        {
            "id": pl.Series([row[0] for row in rows], dtype=pl.String),
            "keep": pl.Series([str(row[1]).lower() for row in rows], dtype=pl.String),
            "at": pl.Series([row[2] for row in rows], dtype=pl.Datetime("us"))
            if kind == "parquet"
            else pl.Series(texts, dtype=pl.String),
            "value": pl.Series([row[3] for row in rows], dtype=pl.String),
        }
    )
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions, "FRAME_ROWS", 7)
        patch.setattr(parquet_reader, "RANGE_ROWS", 5)
        folder = Path(name)
        source = {"path": f"source.{kind}", "duplicates": "last", "where": Expression("keep = 'true'")}
        made = job(folder, {"id": "=id"}, source=source | {"contract": contract("value", "at")})
        bench = Bench(folder, made, rules())
        path = folder / made.source.path
        if kind == "csv":
            frame.write_csv(path)
        elif kind == "jsonl":
            frame.write_ndjson(path)
        else:
            frame.write_parquet(path)
        assert counted(bench) == expected


@pytest.mark.parametrize(
    ("values", "newest"),
    [
        (pl.Series([date(2026, 11, 28), None]), datetime(2026, 11, 28, tzinfo=UTC)),
        (pl.Series([datetime.fromisoformat("2026-11-28T07:00")]), datetime(2026, 11, 28, 7, tzinfo=UTC)),
        (pl.Series([NOW]).dt.convert_time_zone("Asia/Tokyo"), NOW),
        (pl.Series([NOW]).cast(pl.Datetime("ns", "UTC")), NOW),
        (pl.Series([NOW]).cast(pl.Datetime("ms", "UTC")), NOW),
        (pl.Series(["2026-11-28T07:00:00+02:00", "2026-11-28T06:30"]), datetime(2026, 11, 28, 6, 30, tzinfo=UTC)),
        (pl.Series(["2026-11-28"], dtype=pl.Categorical), datetime(2026, 11, 28, tzinfo=UTC)),
    ],
)
def test_values_of_each_type_are_compared_as_times(tmp_path: Path, values: pl.Series, newest: datetime) -> None:
    made = job(tmp_path, {"id": "=id"}, source={"path": "source.parquet", "contract": contract()})
    bench = Bench(tmp_path, made, rules())
    ids = pl.Series("id", [str(index) for index in range(len(values))])
    pl.DataFrame([ids, values.alias("at")]).write_parquet(tmp_path / "source.parquet")
    assert counted(bench).newest == micros(newest)


@pytest.mark.parametrize(
    "text",
    [
        "29/11/2026",
        "11-29-2026",
        "2026-02-30",
        "0000-00-00",
        "2026-11/29",
        "2026-11-29 08:00 PM",
        "2026-11-29 08:00 CET",
        "2026-11-29T24:00",
        "2026-11-31T08:00:00Z",
        "2026-11-29T24:00:00",
        "2026-11-29 08:00:00.",
        "2026-11-29T08:00+25:00",
        "20261129",
        "1795910400",
        "yesterday",
        "1999",
    ],
)
def test_text_without_an_age_is_refused_with_its_row(bench: Bench, text: str) -> None:
    fresh = Freshness(column="mail", max_age=timedelta(hours=1), place=PLACE)
    bench.change_source(contract=contract(fresh=fresh))
    bench.source(f"id,name,mail\n1,a,2026-11-29\n2,b,\n3,c,{text}\n4,d,{text}\n")
    with pytest.raises(SourceError) as caught:
        bench.compare()
    assert caught.value.message.startswith('jobs.yaml:12:9: row 3, column "mail": the text is no date')
    assert text not in caught.value.message + caught.value.hint
    bench.change_source(nulls=(text,))
    assert counted(bench).newest == micros(datetime(2026, 11, 29, tzinfo=UTC))
    bench.change_source(nulls=(), where=Expression("name < 'c'"))
    assert counted(bench).newest == micros(datetime(2026, 11, 29, tzinfo=UTC))


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1]),
        pl.Series([1.5]),
        pl.Series([True]),
        pl.Series([[NOW]]),
        pl.Series([timedelta(1)]),
        pl.Series([b"2026"]),
    ],
)
def test_column_whose_values_have_no_age_is_a_problem_of_the_job(tmp_path: Path, values: pl.Series) -> None:
    made = job(tmp_path, {"id": "=id"}, source={"path": "source.parquet", "contract": contract()})
    pl.DataFrame([pl.Series("id", ["1"]), values.alias("at")]).write_parquet(tmp_path / "source.parquet")
    (problem,) = ENGINE.check(made, rules())
    assert (problem.code, problem.line, problem.column) == ("data.freshness", 12, 9)
    assert 'column "at" holds' in problem.message


def test_unknown_columns_are_problems_at_their_places(bench: Bench) -> None:
    bench.source("id,name,mail\n")
    bench.change_source(contract=contract("nam", "name"))
    found = ENGINE.check(bench.job, bench.rules)
    assert [(item.line, item.column) for item in found] == [(12, 9)] * 2
    assert [item.message.partition(":")[0] for item in found] == ["source.freshness", "source.columns"]
    assert "'name'" in found[1].suggestion


def test_field_that_no_line_has_is_null_in_each_row(tmp_path: Path) -> None:
    made = job(tmp_path, {"id": "=id"}, source={"path": "source.jsonl", "contract": contract("phone")})
    bench = Bench(tmp_path, made, rules())
    bench.source('{"id": "1"}\n{"id": "2"}\n')
    assert counted(bench) == ContractCounts(rows=2, nulls={"phone": 2}, newest=None)


def test_text_of_blanks_is_a_value(bench: Bench) -> None:
    bench.change_source(contract=contract("mail", fresh=None))
    bench.source('id,name,mail\n1,a,\n2,b," "\n3,c,\n')
    assert counted(bench).nulls == {"mail": 2}


def test_columns_of_a_join_are_counted_in_the_rows_of_the_source(bench: Bench) -> None:
    bench.change_source(joins=(Join(path="j.csv", on=(("name", "shop"),)),), contract=contract("city"))
    bench.source("shop,city,at\na,Brno,2026-11-28\nb,,2026-11-30\n", "j.csv")
    bench.source("id,name,mail\n1,a,x\n2,b,x\n3,c,x\n4,b,x\n")
    assert counted(bench) == ContractCounts(
        rows=4, nulls={"city": 3}, newest=micros(datetime(2026, 11, 30, tzinfo=UTC))
    )


GROUPED: dict[str, Any] = {"id": "=id", "items": [{"each": {"name": "=name"}}]}


@pytest.mark.parametrize("order", ["1,1,2", "1,2,1"])
def test_rows_of_a_record_are_counted_one_by_one(tmp_path: Path, order: str) -> None:
    """A source that is not sorted by its key is read again, and counted once."""
    bench = Bench(tmp_path, job(tmp_path, GROUPED, source={"contract": contract("mail", fresh=None)}), rules())
    bench.source("id,name,mail\n" + "".join(f"{key},a{number},\n" for number, key in enumerate(order.split(","))))
    assert counted(bench) == ContractCounts(rows=3, nulls={"mail": 3})


@pytest.mark.parametrize("known", [True, False])
def test_rows_below_the_watermark_are_counted(bench: Bench, *, known: bool) -> None:
    """Without their records in the baseline the source is read again, and counted once."""
    bench.change(record=record({"id": "=id", "name": "=name"}), send=Send(rows="since", since="mail"))
    fresh = Freshness(column="mail", max_age=timedelta(hours=1))
    bench.change_source(contract=contract("name", fresh=fresh))
    bench.source("id,name,mail\n1,,2026-01-01\n2,b,2026-01-02\n3,c,2026-01-03\n")
    if known:
        bench.accept_all()
    bench.watermark = "2026-01-03"
    assert counted(bench) == ContractCounts(rows=3, nulls={"name": 1}, newest=micros(datetime(2026, 1, 3, tzinfo=UTC)))


def test_rows_without_key_and_invalid_rows_are_counted(bench: Bench) -> None:
    bench.change_source(contract=contract("mail", fresh=None), where=Expression("CAST(name AS INT) > 0"))
    bench.source("id,name,mail\n1,1,\n,2,\n3,no number,\n4,-1,\n")
    found = bench.compare().plan
    assert (found.contract, found.counts.source_rows) == (ContractCounts(rows=2, nulls={"mail": 2}), 3)


def test_column_that_only_the_contract_uses_changes_no_record(bench: Bench) -> None:
    bench.change(record=record({"id": "=id"}))
    bench.source("id,name,mail\n1,a,\n2,b,x\n")
    before = bench.compare().plan
    bench.change_source(contract=contract("mail", fresh=None))
    after = bench.compare().plan
    assert before.contract is None
    assert (after.changes_digest, after.counts) == (before.changes_digest, before.counts)


def test_source_without_rows_has_no_counts(bench: Bench) -> None:
    bench.change_source(contract=contract("mail", fresh=Freshness(column="name", max_age=timedelta(1))))
    bench.source("id,name,mail\n")
    assert counted(bench).rows == 0


@given(moment=MOMENTS, zone=OFFSETS, form=st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_text_is_read_to_the_microsecond(moment: datetime, zone: timezone, form: int) -> None:
    text = as_text(moment, form, zone)
    assert microseconds(pl.Series([text])).to_list() == [micros(moment.replace(tzinfo=UTC))]
