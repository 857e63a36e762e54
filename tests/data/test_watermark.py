"""`send: since` leaves out a row below the mark only if the baseline holds the record of its key."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import HEAD, Bench, counts, job, rules, said, verdicts

from lading.core.job import Send

if TYPE_CHECKING:
    from pathlib import Path

SINCE_MAIL = Send(what="since", since="mail")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A job whose column `mail` holds the mark; its record maps `name` alone, so that a mark changes no record."""
    return Bench(tmp_path, job(tmp_path, {"id": "=id", "name": "=name"}, send=SINCE_MAIL), rules())


def accepted(bench: Bench, text: str) -> None:
    """Send a source, have it accepted, and let its greatest value be the mark."""
    bench.source(text)
    comparison = bench.compare()
    bench.accept_all()
    bench.high_water = comparison.high_water


@pytest.mark.parametrize(
    ("held", "late"),
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
def test_key_without_baseline_is_sent_whatever_its_mark(bench: Bench, held: str, late: str) -> None:
    accepted(bench, HEAD + f"1,a,{held}\n")
    bench.source(HEAD + f"1,a,{held}\n2,b,{late}\n")
    assert counts(bench) == {"unchanged": 1, "added": 1}
    bench.accept_all()
    assert counts(bench) == {"unchanged": 2}


@pytest.mark.parametrize("mark", ["2026-01-02T00:00:00", "2026-01-02", "7", "7.50"])
def test_changed_record_with_the_same_mark_is_sent(bench: Bench, mark: str) -> None:
    accepted(bench, HEAD + f"1,a,{mark}\n2,b,{mark}\n")
    bench.source(HEAD + f"1,a,{mark}\n2,B,{mark}\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1}


@pytest.mark.parametrize(
    ("mark", "other"),
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
def test_mark_written_otherwise_is_compared(bench: Bench, mark: str, other: str) -> None:
    accepted(bench, HEAD + f"1,a,{mark}\n2,b,{mark}\n")
    bench.source(HEAD + f"1,a,{mark}\n2,B,{other}\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1}


def test_row_below_the_mark_of_a_held_key_is_not_mapped(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,2026-01-01\n2,b,2026-02-01\n")
    bench.source(HEAD + "1,A,2026-01-01\n2,b,2026-02-01\n3,c,\n")
    comparison = bench.compare()
    assert (comparison.tally.unchanged, comparison.tally.added, comparison.high_water) == (2, 1, "2026-02-01")
    bench.source(HEAD)
    assert bench.compare().high_water == "2026-02-01"


def test_numbers_of_a_source_without_types_are_put_in_order_as_numbers(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,8\n2,b,9\n")
    assert bench.high_water == "9"
    bench.source(HEAD + "1,A,8\n2,b,9\n3,c,10\n4,d,9.5\n")
    assert counts(bench) == {"unchanged": 2, "added": 2}
    assert bench.compare().high_water == "10"


MOMENT = datetime(2026, 1, 2, 8, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "mark"),
    [(9, 10), (9.5, 10.25), (date(2026, 1, 1), date(2026, 1, 2)), (MOMENT.replace(microsecond=0), MOMENT)],
)
def test_typed_mark_is_compared_as_its_type(bench: Bench, before: object, mark: object) -> None:
    bench.change_source(path="source.parquet")

    def write(names: list[str], marks: list[object]) -> None:
        ids = [str(one) for one in range(1, len(names) + 1)]
        pl.DataFrame({"id": ids, "name": names, "mail": marks}).write_parquet(bench.folder / "source.parquet")

    write(["a", "b"], [before, mark])
    first = bench.compare()
    bench.accept_all()
    bench.high_water = first.high_water
    write(["A", "B"], [before, mark])
    assert counts(bench) == {"unchanged": 1, "changed": 1}
    write(["a", "b", "c", "d"], [before, mark, before, None])
    assert counts(bench) == {"unchanged": 2, "added": 2}


@pytest.mark.parametrize("state", ["rejected", "unknown"])
def test_key_whose_newest_version_was_not_accepted_is_not_called_unchanged(bench: Bench, state: str) -> None:
    accepted(bench, HEAD + "1,a,5\n2,b,9\n")
    bench.source(HEAD + "1,A,10\n2,b,9\n")
    verdicts(bench, state)
    bench.source(HEAD + "1,A,5\n2,b,9\n")
    assert counts(bench) == {"unchanged": 1, f"standing_{state}": 1}


def test_key_that_a_person_sends_again_is_sent_below_the_mark(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,5\n2,b,9\n")
    bench.source(HEAD + "1,A,10\n2,b,9\n")
    verdicts(bench, "unknown")
    said(bench, delivered=False)
    bench.source(HEAD + "1,a,5\n2,b,9\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1}


def test_key_below_the_mark_with_a_version_in_flight_is_held(bench: Bench) -> None:
    accepted(bench, HEAD + "1,a,5\n2,b,9\n")
    bench.source(HEAD + "1,A,10\n2,b,9\n")
    bench.in_flight = tuple(bench.folder / one.evidence for one in bench.stage(bench.compare()))
    bench.source(HEAD + "1,a,5\n2,b,9\n")
    assert counts(bench) == {"unchanged": 1, "held": 1}


def test_late_row_of_a_record_with_each_is_sent(tmp_path: Path) -> None:
    mapping = {"id": "=id", "items": [{"each": {"name": "=name"}}]}
    orders = Bench(tmp_path, job(tmp_path, mapping, send=SINCE_MAIL), rules())
    accepted(orders, HEAD + "1,a,2026-01-01\n2,b,2026-01-05\n3,c,2026-01-02\n3,d,2026-01-02\n")
    orders.source(HEAD + "1,a,2026-01-01\n1,late,2026-01-03\n2,b,2026-01-05\n3,c,2026-01-02\n")
    assert counts(orders) == {"unchanged": 1, "changed": 2}


def test_late_row_among_many_parts_is_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lading.data.diff.PART", 10)
    rows = [f"{number},a,{number + 1000}\n" for number in range(300)]
    accepted(bench, HEAD + "".join(rows))
    bench.source(HEAD + "".join([*rows, "late,b,7\n"]))
    assert counts(bench) == {"unchanged": 300, "added": 1}
    assert [one["value"] for one in bench.records()] == [{"id": "late", "name": "b"}]
