"""Progress output: live on a terminal, as lines of a log, and as NDJSON."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from batchsync.cli.progress_lines import LineObserver, NdjsonObserver, QuietObserver
from batchsync.cli.progress_live import LiveObserver
from batchsync.core.batch import Batch, BatchFile, BatchId, Phase, RowCounts, RunId, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 22, 7, 30, 14, tzinfo=UTC)
SOON = NOW + timedelta(seconds=5)
BATCH = Batch(
    id=BatchId("guests-1f0c2a9be77d"),
    run=RunId("guests-1"),
    job="guests",
    seq=1,
    file=BatchFile(path="a.gz", row_manifest="a.parquet", digest="d", md5="m", size=9_800, rows=115),
    phase=Phase.PREPARED,
    prepared_at=NOW,
)


def batch(**changes: Any) -> Batch:
    return replace(BATCH, **changes)


LIFECYCLE = (
    batch(),
    batch(phase=Phase.ALLOCATED),
    batch(phase=Phase.SUBMITTED),
    batch(phase=Phase.SUBMITTED, vendor_status="PROCESSING", polls=1),
    batch(phase=Phase.SUBMITTED, vendor_status="PROCESSING", polls=2),
    batch(phase=Phase.FINISHED, vendor_status="DONE", verdict=Verdict.MIXED),
    batch(phase=Phase.DELIVERED, counts=RowCounts(accepted=112, rejected=3)),
)


def test_log_has_one_line_per_event() -> None:
    output: list[str] = []
    observer = LineObserver(output.append, lambda: NOW)
    observer.on_progress("guests", "compare", 60, "rows", 120)
    observer.on_progress("guests", "compare", 120, "rows", 120)
    for item in LIFECYCLE:
        observer.on_batch_changed(item)
        observer.on_waiting(SOON)

    name = "07:30:14 guests: batch guests-1f0c2a9be77d:"
    assert output == [
        "07:30:14 guests: compare 60 of 120 rows",
        f"{name} prepared, 115 records, 9.8 kB",
        "07:30:14 waiting until 07:30:19",
        f"{name} allocated",
        "07:30:14 waiting until 07:30:19",
        f"{name} submitted",
        "07:30:14 waiting until 07:30:19",
        f'{name} submitted, vendor status "PROCESSING"',
        "07:30:14 waiting until 07:30:19",
        f"{name} finished, verdict mixed (DONE)",
        "07:30:14 waiting until 07:30:19",
        f"{name} delivered, accepted 112, rejected 3, unknown 0",
        "07:30:14 waiting until 07:30:19",
    ]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (batch(failures=2, reason="HTTP 503", not_before=SOON), "prepared, failure 2: HTTP 503, again at 07:30:19"),
        (batch(attempt=2, reason="the allocation expired"), "allocation lost, next attempt 2: the allocation expired"),
        (batch(phase=Phase.NEEDS_ATTENTION, reason="no\x1b[2Jway"), "needs attention: no\\x1b[2Jway"),
    ],
)
def test_failures_are_described_with_reason(changed: Batch, text: str) -> None:
    output: list[str] = []
    LineObserver(output.append, lambda: NOW).on_batch_changed(changed)

    assert output == [f"07:30:14 guests: batch guests-1f0c2a9be77d: {text}"]


def test_ndjson_has_one_object_per_event() -> None:
    output: list[Mapping[str, object]] = []
    observer = NdjsonObserver(output.append)
    observer.on_progress("guests", "compare", 60, "rows", 120)
    observer.on_progress("guests", "compare", 120, "rows", 120)
    for item in LIFECYCLE:
        observer.on_batch_changed(item)
        observer.on_waiting(SOON)

    assert [item["event"] for item in output] == ["stage", "run_started", *["batch_changed", "waiting"] * 6]
    assert output[1] == {"event": "run_started", "job": "guests", "run": "guests-1"}
    assert output[3] == {"event": "waiting", "until": "2026-11-22T07:30:19Z"}


def screen(observer: LiveObserver) -> list[str]:
    """Return the lines that a terminal shows now."""
    console = Console(file=io.StringIO(), width=120)
    console.print(observer.drawn())
    buffer = console.file
    assert isinstance(buffer, io.StringIO)
    return [line.rstrip() for line in buffer.getvalue().splitlines()]


def test_terminal_shows_one_line_per_job() -> None:
    observer = LiveObserver(lambda: NOW)
    observer.on_progress("guests", "compare", 60, "rows", 120)
    observer.on_progress("orders", "stage", 0, "rows")
    assert screen(observer) == ["guests    compare 60 of 120 rows", "orders    stage"]

    observer.on_batch_changed(batch(phase=Phase.SUBMITTED, vendor_status="PROCESSING", not_before=SOON))
    observer.on_batch_changed(batch(id="guests-2", seq=2))
    observer.on_waiting(SOON)
    assert screen(observer) == [
        'guests  0 of 2 batches  submitted, vendor status "PROCESSING", next poll at 07:30:19Z',
        "orders                  stage",
        "                        next check in 5 s",
    ]

    observer.on_batch_changed(batch(phase=Phase.DELIVERED, counts=RowCounts(accepted=115)))
    observer.on_batch_changed(batch(id="guests-2", seq=2, phase=Phase.DELIVERED, counts=RowCounts(accepted=115)))
    assert screen(observer)[0] == "guests  2 of 2 batches  settled"


def test_quiet_suppresses_progress(capsys: pytest.CaptureFixture[str]) -> None:
    observer = QuietObserver()
    observer.on_progress("guests", "compare", 1, "rows")
    observer.on_batch_changed(BATCH)
    observer.on_waiting(SOON)

    assert capsys.readouterr() == ("", "")


class ManualClock:
    """Clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def set(self, seconds: float) -> None:
        self.now = NOW + timedelta(seconds=seconds)


def test_log_shows_rate_and_remaining_time_every_ten_seconds() -> None:
    output: list[str] = []
    clock = ManualClock()
    observer = LineObserver(output.append, clock)
    for second in range(0, 41, 2):
        clock.set(second)
        rows = 25_000 + second * 100_000
        observer.on_progress("guests", "compare", rows, "rows", 8_025_000, size=(rows * 200, 1_605_000_000))
    clock.set(41)
    observer.on_progress("guests", "stage", 25_000, "records", 4_000_000, size=(5_000_000, None))

    assert output == [
        "07:30:14 guests: compare 25,000 of 8,025,000 rows, 5.0 MB of 1.6 GB",
        "07:30:24 guests: compare 1,025,000 of 8,025,000 rows, 205.0 MB of 1.6 GB, 100,000 rows/s, about 1 min left",
        "07:30:34 guests: compare 2,025,000 of 8,025,000 rows, 405.0 MB of 1.6 GB, 100,000 rows/s, about 1 min left",
        "07:30:44 guests: compare 3,025,000 of 8,025,000 rows, 605.0 MB of 1.6 GB, 100,000 rows/s, about 50 s left",
        "07:30:54 guests: compare 4,025,000 of 8,025,000 rows, 805.0 MB of 1.6 GB, 100,000 rows/s, about 40 s left",
        "07:30:55 guests: stage 25,000 of 4,000,000 records, 5.0 MB",
    ]


def test_remaining_time_uses_bytes_if_rows_are_unknown() -> None:
    clock = ManualClock()
    observer = LiveObserver(clock)
    observer.on_progress("guests", "compare", 25_000, "rows", size=(1_000_000, 9_000_000))
    assert screen(observer) == ["guests    compare 25,000 rows, 1.0 MB of 9.0 MB"]
    clock.set(4)
    observer.on_progress("guests", "compare", 75_000, "rows", size=(3_000_000, 9_000_000))
    assert screen(observer) == ["guests    compare 75,000 rows, 3.0 MB of 9.0 MB, 12,500 rows/s, about 12 s left"]
    clock.set(5)
    observer.on_progress("guests", "stage", 10, "records", 10)
    assert screen(observer) == ["guests    stage 10 records"]
