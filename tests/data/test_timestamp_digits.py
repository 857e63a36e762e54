"""Digits after the second of a timestamp are sent, or their loss to the vendor's format is counted."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import Bench, job, rules

from batchsync.core.record_schema import Format, Kind, Rule

if TYPE_CHECKING:
    from pathlib import Path

MOMENTS = ["2024-06-01T12:00:00.123456", "2024-06-01T12:00:00.123", "2024-06-01T12:00:05", "2024-06-01T12:00:00"]


def _bench(folder: Path, rule: Rule | None, moments: list[str] = MOMENTS) -> Bench:
    times = pl.Series("t", [datetime.fromisoformat(text) for text in moments], dtype=pl.Datetime("us"))
    pl.DataFrame([pl.Series("id", [str(index) for index in range(len(moments))]), times]).write_parquet(
        folder / "s.parquet"
    )
    return Bench(
        folder, job(folder, {"t": "=t"}, source={"path": "s.parquet"}), rules(fields={"t": rule} if rule else None)
    )


@pytest.mark.parametrize("rule", [None, Rule(kind=Kind.STRING), Rule(kind=Kind.SCALAR)])
def test_microseconds_are_sent_where_no_format_is_required(tmp_path: Path, rule: Rule | None) -> None:
    bench = _bench(tmp_path, rule)
    assert [record["value"]["t"] for record in bench.records()] == [
        "2024-06-01T12:00:00.123456Z",
        "2024-06-01T12:00:00.123Z",
        "2024-06-01T12:00:05.000Z",
        "2024-06-01T12:00:00.000Z",
    ]
    assert not bench.compare().plan.warnings


@pytest.mark.parametrize(
    ("format_", "unit", "count"),
    [
        (Format.DATETIME, "milliseconds", 1),
        (Format.DATETIME_NO_MILLIS, "seconds", 2),
        (Format.DATETIME_MINUTES, "minutes", 3),
    ],
)
def test_digits_that_a_format_cuts_off_are_counted(tmp_path: Path, format_: Format, unit: str, count: int) -> None:
    bench = _bench(tmp_path, Rule(kind=Kind.STRING, format=format_))
    warning = f"timestamps of t, sent in {unit}; what they have beyond is cut off"
    assert bench.compare().plan.warnings == {warning: count}
    assert not _bench(tmp_path, Rule(kind=Kind.STRING, format=format_), MOMENTS[-1:]).compare().plan.warnings


def test_keys_that_differ_in_microseconds_are_different(tmp_path: Path) -> None:
    bench = _bench(tmp_path, None, ["2024-06-01T12:00:00.123456", "2024-06-01T12:00:00.123457"])
    bench.change_source(key=("t",))
    assert len(bench.records()) == 2
