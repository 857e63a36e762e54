"""`send: since` leaves out a row below the watermark only if the baseline holds the record of its key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import HEAD, Bench, counts, job, manifest_key, record, resolve_first, rules, verdicts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Join, Send
from batchsync.core.row_outcome import RowOutcome

if TYPE_CHECKING:
    from pathlib import Path

SINCE_MAIL = Send(rows="since", since="mail")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A job whose column `mail` is the `since` column; its record maps `name` alone."""
    return Bench(tmp_path, job(tmp_path, {"id": "=id", "name": "=name"}, send=SINCE_MAIL), rules())


def accepted(bench: Bench, text: str) -> None:
    """Send a source, have it accepted, and take its greatest value as the watermark."""
    bench.source(text)
    comparison = bench.compare()
    bench.accept_all()
    bench.watermark = comparison.plan.watermark


@pytest.mark.parametrize(
    ("accepted_value", "late"),
    [
        ("2026-01-02T00:00:00", "2026-01-02T00:00:00"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02", "2026-01-01"),
        ("2026-01-02", ""),
        ("7", "7"),
        ("7", "6"),
        ("7", "6.5"),
        ("7", "2026-01-02"),
    ],
)
def test_key_without_baseline_is_sent_below_watermark(bench: Bench, accepted_value: str, late: str) -> None:
    accepted(bench, HEAD + f"1,a,{accepted_value}\n")
    bench.source(HEAD + f"1,a,{accepted_value}\n2,b,{late}\n")
    assert counts(bench) == {"unchanged": 1, "added": 1}
    bench.accept_all()
    assert counts(bench) == {"unchanged": 2}


@pytest.mark.parametrize("since", ["2026-01-02T00:00:00", "2026-01-02", "7", "7.50"])
def test_changed_record_equal_to_watermark_is_sent(bench: Bench, since: str) -> None:
    accepted(bench, HEAD + f"1,a,{since}\n2,b,{since}\n")
    bench.source(HEAD + f"1,a,{since}\n2,B,{since}\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1}


@pytest.mark.parametrize(
    ("since", "other"),
    [
        ("7.50", "7.5"),
        ("2026-01-02T08:00", "2026-01-02"),
        ("2026-01-02T08:00:00", "2026-01-02 09:00:00"),
        ("2026-01-02T08:00:00Z", "2026-01-02T08:00:00.5Z"),
        ("2026-01-02T08:00:00+02:00", "2026-01-02T07:00:00+00:00"),
        ("2026-01-02 12:30 PM", "2026-01-02 01:30 PM"),
        ("2026/01/02", "2026-01-03"),
    ],
)
def test_since_value_in_other_format_is_compared(bench: Bench, since: str, other: str) -> None:
    accepted(bench, HEAD + f"1,a,{since}\n2,b,{since}\n")
    bench.source(HEAD + f"1,a,{since}\n2,B,{other}\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1}


def test_row_below_watermark_of_accepted_key_is_not_mapped(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,2026-01-01\n2,b,2026-02-01\n")
    bench.source(HEAD + "1,A,2026-01-01\n2,b,2026-02-01\n3,c,\n")
    comparison = bench.compare()
    assert (
        comparison.plan.counts.outcomes[RowOutcome.UNCHANGED],
        comparison.plan.counts.added,
        comparison.plan.watermark,
    ) == (2, 1, "2026-02-01")
    bench.source(HEAD)
    assert bench.compare().plan.watermark == "2026-02-01"


def test_untyped_numbers_are_ordered_as_numbers(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,8\n2,b,9\n")
    assert bench.watermark == "9"
    bench.source(HEAD + "1,A,8\n2,b,9\n3,c,10\n4,d,9.5\n")
    assert counts(bench) == {"unchanged": 2, "added": 2}
    assert bench.compare().plan.watermark == "10"


TIMESTAMP = datetime(2026, 1, 2, 8, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "since"),
    [(9, 10), (9.5, 10.25), (date(2026, 1, 1), date(2026, 1, 2)), (TIMESTAMP.replace(microsecond=0), TIMESTAMP)],
)
def test_typed_watermark_is_compared_as_its_type(bench: Bench, before: object, since: object) -> None:
    bench.change_source(path="source.parquet")

    def write(names: list[str], since_values: list[object]) -> None:
        ids = [str(index) for index in range(1, len(names) + 1)]
        pl.DataFrame({"id": ids, "name": names, "mail": since_values}).write_parquet(bench.folder / "source.parquet")

    write(["a", "b"], [before, since])
    first = bench.compare()
    bench.accept_all()
    bench.watermark = first.plan.watermark
    write(["A", "B"], [before, since])
    assert counts(bench) == {"unchanged": 1, "changed": 1}
    write(["a", "b", "c", "d"], [before, since, before, None])
    assert counts(bench) == {"unchanged": 2, "added": 2}


@pytest.mark.parametrize("state", ["rejected", "unknown"])
def test_key_with_rejected_or_unknown_version_is_not_unchanged(bench: Bench, state: str) -> None:
    accepted(bench, HEAD + "1,a,5\n2,b,9\n")
    bench.source(HEAD + "1,A,10\n2,b,9\n")
    verdicts(bench, state)
    bench.source(HEAD + "1,A,5\n2,b,9\n")
    assert counts(bench) == {"unchanged": 1, f"still_{state}": 1}


def test_manually_resent_key_is_sent_below_watermark(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,5\n2,b,9\n")
    bench.source(HEAD + "1,A,10\n2,b,9\n")
    verdicts(bench, "unknown")
    resolve_first(bench, delivered=False)
    bench.source(HEAD + "1,a,5\n2,b,9\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1}


def test_key_in_flight_below_watermark_is_deferred(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,5\n2,b,9\n")
    bench.source(HEAD + "1,A,10\n2,b,9\n")
    bench.in_flight = tuple(manifest_key(item) for item in bench.stage(bench.compare()))
    bench.source(HEAD + "1,a,5\n2,b,9\n")
    assert counts(bench) == {"unchanged": 1, "deferred": 1}


def test_late_row_of_a_record_with_each_is_sent(tmp_path: Path) -> None:
    mapping = {"id": "=id", "items": [{"each": {"name": "=name"}}]}
    orders = Bench(tmp_path, job(tmp_path, mapping, send=SINCE_MAIL), rules())
    accepted(orders, HEAD + "1,a,2026-01-01\n2,b,2026-01-05\n3,c,2026-01-02\n3,d,2026-01-02\n")
    orders.source(HEAD + "1,a,2026-01-01\n1,late,2026-01-03\n2,b,2026-01-05\n3,c,2026-01-02\n")
    assert counts(orders) == {"unchanged": 1, "changed": 2}


def test_late_row_among_many_parts_is_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchsync.data.compare.classify.PARTITION_ROWS", 10)
    rows = [f"{number},a,{number + 1000}\n" for number in range(300)]
    accepted(bench, HEAD + "".join(rows))
    bench.source(HEAD + "".join([*rows, "late,b,7\n"]))
    assert counts(bench) == {"unchanged": 300, "added": 1}
    assert [record["value"] for record in bench.records()] == [{"id": "late", "name": "b"}]


@pytest.mark.parametrize(
    ("policy", "rows"),
    [
        ("last", "1,a,2026-01-05\n1,late,2026-01-02\n"),
        ("first", "1,late,2026-01-02\n1,a,2026-01-05\n"),
        ("by:rank", "1,late,2026-01-02\n1,a,2026-01-05\n"),
    ],
)
def test_winner_below_the_watermark_is_compared(bench: Bench, policy: str, rows: str) -> None:
    bench.change_source(duplicates=policy)
    head = "id,name,mail,rank\n"
    accepted(bench, head + "1,a,2026-01-05,1\n2,b,2026-01-06,1\n")
    ranked = "".join(f"{row},{int('late' in row)}\n" for row in rows.splitlines())
    bench.source(head + ranked + "2,b,2026-01-06,1\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1, "superseded": 1}
    assert [record["value"]["name"] for record in bench.records()] == ["late"]


def test_row_below_the_watermark_is_compared_with_its_joined_row(bench: Bench) -> None:
    bench.change_source(joins=(Join(path="j.csv", on=(("id", "id"),)),))
    bench.job = replace(bench.job, record=record({"id": "=id", "label": "=label"}))
    bench.source("id,label\n1,old\n2,same\n", "j.csv")
    accepted(bench, HEAD + "1,a,2026-01-01\n2,b,2026-01-05\n")
    bench.source("id,label\n1,new\n2,same\n", "j.csv")
    assert counts(bench) == {"unchanged": 1, "changed": 1}


ROW = st.tuples(st.sampled_from("123"), st.sampled_from("ab"), st.integers(0, 3))
RUNS = st.lists(st.lists(ROW, min_size=1, max_size=5), min_size=2, max_size=4)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=RUNS, policy=st.sampled_from(["first", "last", "by:mail"]))
def test_every_key_without_baseline_is_sent(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[tuple[str, str, int]]], policy: str
) -> None:
    folder = tmp_path_factory.mktemp("since")
    mapping = {"id": "=id", "name": "=name"}
    bench = Bench(folder, job(folder, mapping, send=SINCE_MAIL, source={"duplicates": policy}), rules())
    held: set[str] = set()
    for rows in runs:
        bench.source(HEAD + "".join(f"{key},{name},{day}\n" for key, name, day in rows))
        comparison = bench.compare()
        sent = {entry["value"]["id"] for entry in bench.records()}
        keys = {key for key, _, _ in rows}
        assert keys - held <= sent
        assert comparison.plan.counts.outcomes[RowOutcome.UNCHANGED] == len(keys - sent)
        bench.accept_all()
        held |= keys
        bench.watermark = comparison.plan.watermark
